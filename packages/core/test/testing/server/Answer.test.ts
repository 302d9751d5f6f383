import type { TestExchange } from "@effect-alf/core/testing"
import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, TestClock } from "effect"
import * as Answer from "../../../src/testing/server/Answer.js"

const request = HttpClientRequest.get("https://api.test")

const text = (answer: TestExchange.Answer, headers?: Record<string, string>) =>
  Effect.flatMap(
    Answer.send(request, answer, headers),
    (response) => Effect.map(response.text, (text) => ({ status: response.status, headers: response.headers, text }))
  )

describe("Answer", () => {
  it.effect("sends plain values: text as it is, anything else as JSON", () =>
    Effect.gen(function*() {
      const plain = yield* text({ status: 418, body: "tea", headers: { "x-pot": "1" } }, { "x-more": "2" })
      deepStrictEqual([plain.status, plain.text], [418, "tea"])
      deepStrictEqual([plain.headers["x-pot"], plain.headers["x-more"]], ["1", "2"])
      const json = yield* text({ body: { a: 1 } })
      deepStrictEqual([json.status, json.text, json.headers["content-type"]], [200, "{\"a\":1}", "application/json"])
      const empty = yield* text({})
      deepStrictEqual([empty.text, { ...empty.headers }], ["", {}])
      const bytes = yield* text({ body: new TextEncoder().encode("bytes").buffer })
      assert.strictEqual(bytes.text, "bytes")
      for (const name of ["Content-Type", "content-type"]) {
        const problem = yield* text({ body: { a: 1 }, headers: { [name]: "application/problem+json" } })
        assert.strictEqual(problem.headers["content-type"], "application/problem+json")
      }
      assert.strictEqual((yield* text({ status: 204, body: "not sent" })).text, "")
    }))

  it.effect("a Response can be sent again", () =>
    Effect.gen(function*() {
      const web = new Response("web", { status: 201 })
      for (const _ of [1, 2]) assert.strictEqual((yield* text(web)).text, "web")
      const redirect = yield* text(Response.redirect("https://other.test/"), { "dpop-nonce": "1" })
      deepStrictEqual([redirect.status, { ...redirect.headers }], [302, {
        location: "https://other.test/",
        "dpop-nonce": "1"
      }])
    }))

  it.effect("breaks connections before and during the response", () =>
    Effect.gen(function*() {
      const before = yield* Effect.flip(text("reset"))
      deepStrictEqual([before._tag, before.reason], ["RequestError", "Transport"])
      const within = yield* Effect.flip(text("cut"))
      deepStrictEqual([within._tag, within.reason], ["ResponseError", "Decode"])
    }))

  it.effect("a script answers the next requests first, then all later ones", () =>
    Effect.sync(() => {
      const script = Answer.makeScript()
      assert.isUndefined(script.next())
      script.failNext(2, "reset")
      script.failNext(1, "hang")
      script.fail("cut")
      deepStrictEqual(Array.from({ length: 5 }, script.next), ["reset", "reset", "hang", "cut", "cut"])
      script.fail(undefined)
      assert.isUndefined(script.next())
    }))

  it.effect("a script waits by Clock, for the delay that was set when the request arrived", () =>
    Effect.gen(function*() {
      const script = Answer.makeScript("1 second")
      const fiber = yield* Effect.fork(script.wait())
      script.setDelay(0)
      yield* script.wait()
      yield* TestClock.adjust("999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
    }))
})
