import { AccessToken } from "@effect-alf/core"
import { Headers, HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Effect, FiberRef, HashMap, Redacted } from "effect"
import * as Authorization from "../../src/client/Authorization.js"
import * as Resource from "../support/Resource.js"
import * as Secrets from "../support/Secrets.js"

// What is shown of a request with a token, in every way, is in AuthedHttpClient.secrets.test.ts

const token = (value: string) =>
  AccessToken.make({ value: Redacted.make(value), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1 hour" })

const request = HttpClientRequest.get("https://api.test/orders", { headers: { "x-mine": "1" } })

const attempt = (token: AccessToken.AccessToken): Authorization.Attempt => ({
  request,
  url: request.url,
  token,
  call: { replayable: false },
  use: undefined,
  resends: 0
})

describe("Authorization", () => {
  it.live("RFC 6750 §2.1: each request carries its own token, and the caller sees its own request", () =>
    Effect.gen(function*() {
      const resource = Resource.make()
      const send = Authorization.make(resource.client)
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
        Authorization.make(resource.client)(attempt(token("secret-one")), Effect.succeed)
      )
      assert.strictEqual(error.request, request)
      deepStrictEqual(Secrets.leaks(error, ["secret-one"]), [])
    }))

  it.live("rule 9: hide keeps the authorization out of spans, whatever header names the app redacts", () =>
    Effect.gen(function*() {
      const names = FiberRef.get(Headers.currentRedactedNames)
      deepStrictEqual(yield* Authorization.hide(names, ["x-mine"]), ["x-mine", "authorization"])
      // Nothing to be done
      assert.strictEqual(Authorization.hide(names, ["authorization"]), names)
    }))
})

const annotations = Effect.map(
  Effect.spanAnnotations,
  (annotations) => Object.fromEntries(HashMap.entries(annotations))
)

describe("Authorization.annotate", () => {
  it.effect("annotates the spans of the effect, and keeps the app's attributes", () =>
    Effect.gen(function*() {
      const { after, within } = yield* Effect.all({
        within: Authorization.annotate(annotations, { use: "awaited", resends: 0 }),
        after: annotations
      }).pipe(Effect.annotateSpans("app", 1))
      deepStrictEqual(within, { app: 1, "oauth.token.use": "awaited" })
      deepStrictEqual(after, { app: 1 })
    }))

  it.effect("contains how often the request was sent before", () =>
    Effect.map(
      Authorization.annotate(annotations, { use: "replayed", resends: 1 }),
      (annotations) => deepStrictEqual(annotations, { "oauth.token.use": "replayed", "http.request.resend_count": 1 })
    ))

  it.effect("counts requests with a token from memory too", () =>
    Effect.map(
      Authorization.annotate(annotations, { use: undefined, resends: 1 }),
      (annotations) => deepStrictEqual(annotations, { "http.request.resend_count": 1 })
    ))

  it("changes nothing for the first request with a token from memory", () => {
    assert.strictEqual(Authorization.annotate(annotations, { use: undefined, resends: 0 }), annotations)
  })
})
