import type { Grant } from "@effect-alf/core"
import { AccessToken, RefreshTokenGrant } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Exit, Redacted, Scope } from "effect"
import * as TokenAttempts from "../../src/provider/TokenAttempts.js"
import type * as RefreshTokens from "../../src/store/RefreshTokens.js"
import { value } from "../ProviderBench.js"

const issued = AccessToken.make({
  value: Redacted.make("issued"),
  obtainedAt: DateTime.unsafeMake(0),
  refreshToken: Redacted.make("next")
})

/** Keeps nothing, and tells what it is asked for. */
const makeRecorder = () => {
  const calls: Array<string> = []
  const make: RefreshTokens.Start["make"] = () => {
    calls.push("make")
    return {
      attempt: (initial, { key, send }) => {
        calls.push(`attempt ${Redacted.value(initial)} ${key}`)
        return send(Redacted.make("newest"), (token) => calls.push(`successor ${Redacted.value(token)}`))
      },
      flush: Effect.sync(() => {
        calls.push("flush")
      })
    }
  }
  const grant = (initial: string): Grant.Grant => ({
    ...RefreshTokenGrant.make(Redacted.make(initial)),
    refreshTokens: { initial: Redacted.make(initial), make } as RefreshTokens.Start
  })
  return { calls, grant }
}

const make = Effect.gen(function*() {
  const { endpoint } = yield* TestTokenEndpoint.make()
  const sent: Array<readonly [params: Grant.Params, attempt: number]> = []
  const context = { clientId: "app", endpoint: endpoint.address, issuer: undefined, attempt: 1 }
  const scope = yield* Scope.make()
  const attempts = yield* Scope.extend(
    TokenAttempts.make({
      endpoint: {
        ...endpoint,
        attempt: ({ grant }, attempt = 1) =>
          Effect.map(Effect.orDie(grant.params(context)), (params) => {
            sent.push([params, attempt])
            grant.onRefreshToken?.(Redacted.make("next"))
            return issued
          })
      },
      store: undefined,
      storeTimeout: Duration.seconds(1),
      maxWait: Duration.seconds(10),
      failureCooldown: Duration.seconds(1),
      defaultLifetime: Duration.hours(1),
      update: () => {}
    }),
    scope
  )
  const attempt = (grant: Grant.Grant | undefined, number: number) => {
    const request = endpoint.resolve({ grant })
    return Effect.map(
      attempts({ request, sharesTokens: true, isAdoptable: () => true, deadline: 0 }, number),
      (token) => ({ key: request.key, token })
    )
  }
  return { attempt, close: Scope.close(scope, Exit.void), sent }
})

describe("TokenAttempts", () => {
  it.effect("asks the endpoint, and keeps what may have come with the token from whoever uses it", () =>
    Effect.gen(function*() {
      const { attempt, sent } = yield* make
      const { token } = yield* attempt(undefined, 3)
      assert.strictEqual(value(token), "issued")
      assert.isUndefined(token.refreshToken)
      deepStrictEqual(sent, [[{}, 3]])
    }))

  it.effect("leaves refresh tokens to what the grant brings, made once for all that begin anywhere", () =>
    Effect.gen(function*() {
      const { attempt, close, sent } = yield* make
      const { calls, grant } = makeRecorder()
      const [first, second] = [yield* attempt(grant("a"), 1), yield* attempt(grant("b"), 2)]
      deepStrictEqual(calls, [
        "make",
        `attempt a ${first.key}`,
        "successor next",
        `attempt b ${second.key}`,
        "successor next"
      ])
      deepStrictEqual(sent, [[{ refresh_token: Redacted.make("newest") }, 1], [{
        refresh_token: Redacted.make("newest")
      }, 2]])
      yield* close
      assert.strictEqual(calls.at(-1), "flush")
    }))

  it.effect("without a store a refresh token is not sent", () =>
    Effect.gen(function*() {
      const { attempt, sent } = yield* make
      const error = yield* Effect.flip(attempt(RefreshTokenGrant.make(Redacted.make("a")), 1))
      assert.include(error.message, "TokenProvider.shareTokens")
      deepStrictEqual(sent, [])
    }))
})
