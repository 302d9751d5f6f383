import { AccessToken, TokenIntrospection } from "@effect-alf/core"
import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Effect, Layer, Option, Redacted } from "effect"
import { rowsEffect } from "./support/Rows.js"

const token = "t0k3n-value"

/** Answers every request with this body, and keeps what was sent. */
const fetchOf = (body: unknown) => {
  const sent: Array<string> = []
  const fetch = async (_: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    sent.push(new TextDecoder().decode(init.body as Uint8Array))
    return Response.json(body)
  }
  return { sent, layer: Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch)) }
}

const options = { clientId: "app", clientSecret: Redacted.make("secret") }

const accessToken = AccessToken.make({ value: Redacted.make(token), obtainedAt: DateTime.unsafeMake(0) })

describe("TokenIntrospection (RFC 7662)", () => {
  const url = "https://auth.example.com/introspect"

  const introspect = (body: unknown) => {
    const { layer, sent } = fetchOf(body)
    return Effect.gen(function*() {
      const introspect = yield* TokenIntrospection.make({ ...options, introspectionEndpoint: url })
      const answer = yield* Effect.either(introspect(accessToken, "access_token"))
      deepStrictEqual(sent, [`token=${token}&token_type_hint=access_token`])
      return answer
    }).pipe(Effect.provide(layer))
  }

  it.effect("returns the claims of the response", () =>
    Effect.gen(function*() {
      const answer = yield* Effect.flatten(introspect({
        active: true,
        scope: "read write",
        exp: "1419356238",
        aud: ["a", "b"],
        cnf: { jkt: "thumb" },
        extension_field: "twenty-seven"
      }))
      assert.isTrue(answer.active)
      deepStrictEqual(answer.scope, Option.some("read write"))
      deepStrictEqual(answer.exp, Option.some(1_419_356_238))
      deepStrictEqual(answer.aud, Option.some(["a", "b"]))
      deepStrictEqual(answer.cnf, Option.some({ jkt: "thumb" }))
      deepStrictEqual(answer.sub, Option.none())
    }))

  it.effect("an unknown token is not active", () =>
    Effect.gen(function*() {
      assert.isFalse((yield* Effect.flatten(introspect({ active: false }))).active)
    }))

  const wrong: ReadonlyArray<readonly [body: unknown, says: string]> = [
    [{}, "active is missing"],
    [{ active: "true" }, "active is not true or false"],
    [{ active: true, exp: "soon" }, "exp is not a number of seconds"],
    [{ active: true, aud: 1 }, "aud is neither a string nor a list of them"],
    [[], "the JSON is not an object"]
  ]
  it.effect("reports an invalid response", () =>
    rowsEffect(wrong, ([, says]) => `reports an invalid response: ${says}`, ([body, says]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.flatten(introspect(body)))
        assert.strictEqual(error.message, `Introspection endpoint ${url} answered 200: ${says}`)
      })))
})
