import { AccessToken, OAuthError, OAuthMetrics, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Fiber, Option, Redacted, TestClock } from "effect"
import * as RefreshTokens from "../../src/store/RefreshTokens.js"
import * as StoredToken from "../../src/store/StoredToken.js"
import { during, value } from "../support/ProviderBench.js"

const key = "key"
const context = { clientId: "app", endpoint: "https://auth.test/token", issuer: undefined, attempt: 1 }

const token = (name: string, refreshToken?: string) =>
  Effect.map(DateTime.now, (obtainedAt) =>
    AccessToken.make({
      value: Redacted.make(name),
      obtainedAt,
      expiresIn: "1 hour",
      refreshToken: refreshToken === undefined ? undefined : Redacted.make(refreshToken)
    }))

/** Refresh tokens, and those that were sent. For each the endpoint issues a successor. */
const makeOver = Effect.fnUntraced(function*(store: TokenStore.TokenStore["Type"]) {
  const { endpoint } = yield* TestTokenEndpoint.make()
  const sent: Array<string> = []
  const refreshTokens = RefreshTokens.make({
    endpoint: {
      address: "https://auth.test/token",
      attempt: ({ grant }) =>
        Effect.gen(function*() {
          const params = yield* Effect.orDie(grant.params(context))
          const refreshToken = Redacted.value(params.refresh_token as Redacted.Redacted)
          sent.push(refreshToken)
          return yield* token("own", `${refreshToken}'`)
        }),
      timeout: Duration.seconds(5),
      proofKey: undefined
    },
    store,
    storeTimeout: Duration.seconds(1),
    maxWait: Duration.seconds(10),
    failureCooldown: Duration.seconds(5),
    defaultLifetime: Duration.hours(1),
    capacity: 1,
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
  return {
    sent,
    attempt: (own: Partial<RefreshTokens.Need>, initial = "first") =>
      Effect.map(refreshTokens.attempt(Redacted.make(initial), { ...need, ...own }), value)
  }
})

/** Over a store that has an access token of another process. */
const make = Effect.gen(function*() {
  const store = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
  const stored = StoredToken.encode(yield* token("of another process"))
  yield* store.set(key, { version: "1", payload: stored, timeToLive: Duration.hours(1) }, Option.none())
  return (yield* makeOver(store)).attempt
})

describe("RefreshTokens", () => {
  it.scoped("fleet rule 13: an access token that another process stored is used in place of a refresh", () =>
    Effect.gen(function*() {
      const attempt = yield* make
      assert.strictEqual(yield* attempt({}), "of another process")
    }))

  it.scoped("fleet rule 11: it is not used if only own tokens work, or if it cannot be adopted", () =>
    Effect.gen(function*() {
      const attempt = yield* make
      assert.strictEqual(yield* attempt({ sharesTokens: false }), "own")
      assert.strictEqual(yield* attempt({ isAdoptable: () => false }), "own")
    }))

  it.scoped("fleet rule 1: an access token that cannot be decrypted counts as none", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      const { attempt, sent } = yield* makeOver({
        ...memory,
        get: (name) =>
          name === key
            ? new OAuthError.TokenStoreError({ method: "get", reason: "InvalidEntry", description: "another key" })
            : memory.get(name)
      })
      assert.strictEqual(yield* attempt({}), "own")
      deepStrictEqual(sent, ["first"])
    }))

  it.scoped("a refresh token whose successor is not stored yet is remembered, whatever the capacity", () =>
    Effect.gen(function*() {
      const { control, store } = TestTokenStore.make(yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns }))
      const { attempt, sent } = yield* makeOver(store)
      yield* control.fail("read only", "set")
      yield* Effect.flip(during("3 seconds")(attempt({}, "kept")))
      yield* control.fail(undefined)
      yield* attempt({}, "another")
      assert.strictEqual(yield* during("1 second")(attempt({}, "kept")), "own")
      deepStrictEqual(sent, ["kept", "another"])
    }))

  it.scoped("beyond the capacity, the least recently used refresh token is forgotten", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      const { attempt, sent } = yield* makeOver(store)
      yield* attempt({ sharesTokens: false }, "one")
      const lost = RefreshTokens.storeKey(Redacted.make("one"))
      const entry = Option.getOrThrow(yield* store.get(lost))
      assert.isTrue(yield* store.remove(lost, entry.version))
      yield* attempt({ sharesTokens: false }, "one")
      yield* attempt({ sharesTokens: false }, "another")
      const restored = Option.getOrThrow(yield* store.get(lost))
      assert.isTrue(yield* store.remove(lost, restored.version))
      yield* attempt({ sharesTokens: false }, "one")
      deepStrictEqual(sent, ["one", "one'", "another", "one"])
    }))

  it.scoped("there is one attempt at a time, also while its successor is stored late", () =>
    Effect.gen(function*() {
      const { control, store } = TestTokenStore.make(yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns }))
      const { attempt, sent } = yield* makeOver(store)
      yield* control.fail("read only", "set")
      yield* Effect.flip(during("3 seconds")(attempt({})))
      yield* control.fail(undefined)
      yield* control.hang(true, "set")
      yield* control.resetRecords
      yield* TestClock.adjust("1 second")
      const next = yield* Effect.fork(attempt({}))
      yield* TestClock.adjust("400 millis")
      const writes = yield* control.callsOf("set")
      yield* control.hang(false)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(next), "own")
      assert.lengthOf(writes, 1)
      deepStrictEqual(sent, ["first"])
    }))
})
