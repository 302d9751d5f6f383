import type { TestExchange } from "@effect-alf/core/testing"
import { HttpBody, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Stream, TestClock } from "effect"
import * as Requests from "../../../src/testing/server/Requests.js"

const url = "https://api.test/orders?page=1"

const read = (body: HttpBody.HttpBody, headers: Record<string, string> = {}) =>
  Requests.read(HttpClientRequest.post(url, { body, headers }), url)

const textOf = ({ body }: TestExchange.Arrival) => new TextDecoder().decode(body)

describe("Requests", () => {
  it.effect("contains the request as it arrived, and its time", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("5 seconds")
      const { body, headers, ...rest } = yield* read(HttpBody.text("body"), { authorization: "Bearer t" })
      deepStrictEqual(rest, {
        time: 5000,
        method: "POST",
        url: "https://api.test/orders?page=1",
        authorization: "Bearer t",
        status: undefined
      })
      deepStrictEqual(body, new TextEncoder().encode("body"))
      assert.strictEqual(headers["content-type"], "text/plain")
    }))

  it.effect("contains the body, of whatever kind", () =>
    Effect.gen(function*() {
      const form = new FormData()
      form.append("field", "value")
      assert.strictEqual(textOf(yield* read(HttpBody.empty)), "")
      assert.strictEqual(textOf(yield* read(HttpBody.raw("raw"))), "raw")
      const encoder = new TextEncoder()
      const parts = Stream.make(encoder.encode("in "), encoder.encode("parts"))
      assert.strictEqual(textOf(yield* read(HttpBody.stream(parts))), "in parts")
      const multipart = yield* read(HttpBody.formData(form))
      assert.include(textOf(multipart), "name=\"field\"")
      assert.match(multipart.headers["content-type"] ?? "", /^multipart\/form-data; boundary=/)
    }))

  it.effect("a body that fails is a Transport error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read(HttpBody.stream(Stream.fail("source"))))
      deepStrictEqual([error._tag, error.reason, error.cause], ["RequestError", "Transport", "source"])
    }))
})
