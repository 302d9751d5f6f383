import { AccessToken, RequestSignature } from "@effect-alf/core"
import { Headers, HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Effect, FiberRef, Redacted } from "effect"
import * as Resource from "./Resource.js"
import * as Secrets from "./Secrets.js"

// What is shown of a signed request, in every way, is in AuthedHttpClient.secrets.test.ts

const token = (value: string) =>
  AccessToken.make({ value: Redacted.make(value), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1 hour" })

const request = HttpClientRequest.get("https://api.test/orders", { headers: { "x-mine": "1" } })

const attempt = (token: AccessToken.AccessToken): RequestSignature.Attempt => ({
  request,
  url: request.url,
  token,
  call: { replayable: false },
  use: undefined,
  resends: 0
})

describe("RequestSignature", () => {
  it.live("RFC 6750 §2.1: each request carries its own token, and the caller sees its own request", () =>
    Effect.gen(function*() {
      const resource = Resource.make()
      const send = RequestSignature.make(resource.client)
      const [one, other] = [token("secret-one"), token("secret-other")]
      for (const each of [one, one, other, one]) {
        const response = yield* send(attempt(each), Effect.succeed)
        assert.strictEqual(response.request, request)
        deepStrictEqual(Secrets.leaks(response, ["secret-one", "secret-other"]), [])
      }
      deepStrictEqual(resource.sent.map(({ authorization }) => authorization), [
        "Bearer secret-one",
        "Bearer secret-one",
        "Bearer secret-other",
        "Bearer secret-one"
      ])
    }))

  it.live("rule 9: an error shows the caller's request", () =>
    Effect.gen(function*() {
      const resource = Resource.make(({ request }) =>
        Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport" }))
      )
      const error = yield* Effect.flip(
        RequestSignature.make(resource.client)(attempt(token("secret-one")), Effect.succeed)
      )
      assert.strictEqual(error.request, request)
      deepStrictEqual(Secrets.leaks(error, ["secret-one"]), [])
    }))

  it.live("rule 9: hide keeps the signature out of spans, whatever the app's list", () =>
    Effect.gen(function*() {
      const names = FiberRef.get(Headers.currentRedactedNames)
      deepStrictEqual(yield* RequestSignature.hide(names, ["x-mine"]), ["x-mine", "authorization"])
      // Nothing to be done
      assert.strictEqual(RequestSignature.hide(names, ["authorization"]), names)
    }))
})
