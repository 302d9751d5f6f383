import { AuthedHttpClient, WwwAuthenticate } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option, TestClock } from "effect"
import * as Resource from "./support/Resource.js"
import { rowsEffect } from "./support/Rows.js"

const refuse = (challenge: string | undefined, status = 401) => ({ index }: { readonly index: number }) =>
  new Response(`no ${index}`, { status, headers: challenge === undefined ? {} : { "www-authenticate": challenge } })

describe.concurrent("AuthedHttpClient, challenges of a 401", () => {
  const atFault: Record<string, string | undefined> = {
    "no challenge": undefined,
    "an empty one": "",
    "one that cannot be read": "\"=\\",
    "no error (RFC 6750 §3.1)": "Bearer realm=\"api\"",
    "invalid_token": "Bearer error=\"invalid_token\", error_description=\"expired\"",
    "invalid_token, beside other schemes": "Negotiate, Basic realm=\"x\", BEARER Error=invalid_token",
    "invalid_token by DPoP (RFC 9449 §7.1)": "DPoP error=\"invalid_token\", algs=\"ES256\"",
    "an error that nobody knows": "Bearer error=\"token_rotated\"",
    "invalid_token, beside what another scheme says": "DPoP error=\"use_dpop_nonce\", Bearer error=\"invalid_token\"",
    "an error of another scheme": "Custom error=\"insufficient_scope\"",
    "a known error in other words": "Bearer error_description=\"insufficient_scope\"",
    "another scheme": "Basic realm=\"api\""
  }
  it.scoped("rule 5: a 401 that may concern the token causes a new token and a replay", () =>
    rowsEffect(Object.entries(atFault), ([what]) => what, ([, challenge]) =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(
          Resource.make((one) => one.token === "token-1" ? refuse(challenge)(one) : 200)
        )
        assert.strictEqual((yield* client.get("/")).status, 200)
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2"])
      })))

  it.scoped("rule 5: if the 401 recurs for ever, few tokens are requested, whatever the traffic", () =>
    Effect.gen(function*() {
      const worlds = yield* Effect.forEach(
        Object.entries(atFault),
        ([what, challenge]) =>
          Effect.map(Resource.over(Resource.make(refuse(challenge))), (world) => ({ ...world, what }))
      )
      for (let second = 0; second < 16; second++) {
        for (const { client, what } of worlds) {
          assert.strictEqual((yield* client.get("/")).status, 401, what)
        }
        yield* TestClock.adjust("1 second")
      }
      for (const { tokens, what } of worlds) {
        assert.isAtMost((yield* tokens.requests).length, 6, what)
      }
    }))

  const notAtFault: Record<string, string> = {
    "RFC 6750 §3.1: insufficient_scope": "Bearer error=\"insufficient_scope\", scope=\"admin\"",
    "RFC 6750 §3.1: invalid_request": "Bearer realm=\"x\", error=\"invalid_request\"",
    "RFC 9470 §3: insufficient_user_authentication": "Bearer error=\"insufficient_user_authentication\", max_age=5",
    "RFC 9449 §7.1: invalid_dpop_proof": "DPoP error=\"invalid_dpop_proof\"",
    "RFC 9449 §9: use_dpop_nonce": "Bearer, DPoP error=\"use_dpop_nonce\""
  }
  it.scoped("a 401 for another reason is returned as it is, and the token stays in use", () =>
    rowsEffect(Object.entries(notAtFault), ([what]) => what, ([, challenge]) =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(refuse(challenge)))
        for (const index of [0, 1]) {
          const response = yield* client.get("/")
          deepStrictEqual([response.status, yield* response.text], [401, `no ${index}`])
          assert.strictEqual(response.headers["www-authenticate"], challenge)
        }
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-1"])
        assert.strictEqual((yield* tokens.requests).length, 1)
      })))

  it.scoped("RFC 6750 §3.1: the caller reads the required scope, requests it, and succeeds", () =>
    Effect.gen(function*() {
      const resource = Resource.make((one) =>
        one.token === "token-1" ? refuse("Bearer error=\"insufficient_scope\", scope=\"a b\"", 403)(one) : 200
      )
      const { client, tokens } = yield* Resource.over(resource)
      const { scope } = Option.getOrThrow(WwwAuthenticate.insufficientScope(yield* client.get("/")))
      deepStrictEqual(scope, ["a", "b"])
      assert.strictEqual((yield* AuthedHttpClient.withTokenScope(client.get("/"), scope)).status, 200)
      deepStrictEqual(
        (yield* tokens.requests).map(({ request }) => new Map(request.params).get("scope")),
        [undefined, "a b"]
      )
    }))

  it.scoped("a replay refused for another reason proves the new token", () =>
    Effect.gen(function*() {
      const resource = Resource.make((one) =>
        refuse(`Bearer error="${one.token === "token-1" ? "invalid_token" : "insufficient_scope"}"`)(one)
      )
      const { client, sent, tokens } = yield* Resource.over(resource)
      for (let call = 0; call < 3; call++) assert.strictEqual((yield* client.get("/")).status, 401)
      deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2", "token-2", "token-2"])
      assert.strictEqual((yield* tokens.requests).length, 2)
    }))

  it.scoped("rule 5: invalid_token concerns the token, whatever the status", () =>
    rowsEffect([400, 401, 403, 419, 503], String, (status) =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(
          Resource.make((one) => one.token === "token-1" ? refuse("Bearer error=\"invalid_token\"", status)(one) : 200)
        )
        assert.strictEqual((yield* client.get("/")).status, 200)
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2"])
      })))

  it.scoped("any other error with another status than 401 does not concern the token", () =>
    Effect.gen(function*() {
      const { client, sent, tokens } = yield* Resource.over(
        Resource.make(refuse("Bearer error=\"token_rotated\"", 403))
      )
      assert.strictEqual((yield* client.get("/")).status, 403)
      deepStrictEqual([sent.length, (yield* tokens.requests).length], [1, 1])
    }))

  it.scoped("isRejection: an app decides what a rejection is", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [status: number, standard: boolean]> = []
      const { client, sent } = yield* Resource.over(
        Resource.make((one) => one.token === "token-1" ? 419 : 401),
        {
          baseUrl: "https://api.test",
          isRejection: ({ status }, standard) => {
            seen.push([status, standard])
            return status === 419
          }
        }
      )
      assert.strictEqual((yield* client.get("/")).status, 401)
      assert.strictEqual((yield* client.get("/")).status, 401)
      deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2", "token-2"])
      deepStrictEqual(seen, [[419, false], [401, true], [401, true]])
    }))
})
