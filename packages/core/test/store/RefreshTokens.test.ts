import { AccessToken, OAuthMetrics, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Option, Redacted } from "effect"
import * as RefreshTokens from "../../src/store/RefreshTokens.js"
import * as StoredToken from "../../src/store/StoredToken.js"
import { value } from "../support/ProviderBench.js"

const key = "key"

const token = (name: string) =>
  Effect.map(
    DateTime.now,
    (obtainedAt) => AccessToken.make({ value: Redacted.make(name), obtainedAt, expiresIn: "1 hour" })
  )

/** Refresh tokens over a store that has an access token of another process. */
const make = Effect.gen(function*() {
  const store = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
  const stored = StoredToken.encode(yield* token("of another process"))
  yield* store.set(key, { version: "1", payload: stored, timeToLive: Duration.hours(1) }, Option.none())
  const { endpoint } = yield* TestTokenEndpoint.make()
  const refreshTokens = RefreshTokens.make({
    endpoint: {
      address: "https://auth.test/token",
      attempt: () => token("own"),
      timeout: Duration.seconds(5),
      proofKey: undefined
    },
    store,
    storeTimeout: Duration.seconds(1),
    maxWait: Duration.seconds(10),
    failureCooldown: Duration.seconds(5),
    defaultLifetime: Duration.hours(1),
    update: yield* OAuthMetrics.makeUpdate,
    scope: yield* Effect.scope
  })
  const need: RefreshTokens.Need = {
    key,
    sharesTokens: true,
    isAdoptable: () => true,
    deadline: 10_000,
    request: endpoint.resolve(),
    attempt: 1
  }
  return (own: Partial<RefreshTokens.Need>) =>
    Effect.map(refreshTokens.attempt(Redacted.make("first"), { ...need, ...own }), value)
})

describe("RefreshTokens", () => {
  it.scoped("fleet rule 13: an access token that another process stored is used in place of a refresh", () =>
    Effect.gen(function*() {
      const attempt = yield* make
      assert.strictEqual(yield* attempt({}), "of another process")
    }))

  it.scoped("fleet rule 11: not if only own tokens work, nor if it is of no use", () =>
    Effect.gen(function*() {
      const attempt = yield* make
      assert.strictEqual(yield* attempt({ sharesTokens: false }), "own")
      assert.strictEqual(yield* attempt({ isAdoptable: () => false }), "own")
    }))
})
