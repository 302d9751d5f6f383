import { EncryptedTokenStore, Grant, type OAuthError, RefreshTokenGrant, TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Fiber, Inspectable, Option, Redacted, TestClock } from "effect"
import * as RefreshTokens from "../src/store/RefreshTokens.js"
import * as StoredToken from "../src/store/StoredToken.js"
import { during, settle, value } from "./support/ProviderBench.js"
import * as RefreshBench from "./support/RefreshBench.js"

const { messageOf } = RefreshBench

const get = ({ provider }: RefreshBench.Process, scope?: string) =>
  provider.get(scope === undefined ? undefined : { scope })

const entry = (generation: number, token: string, version = "other"): TokenStore.Entry => ({
  version,
  payload: JSON.stringify({ v: 1, generation, token }),
  timeToLive: Duration.infinity
})

describe.concurrent("RefreshTokenGrant", () => {
  it.scoped("RFC 6749 §6: each access token is requested with the last refresh token", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, stored, uses } = yield* RefreshBench.make()
      for (let i = 1; i <= 4; i++) {
        assert.strictEqual(value(yield* during("1 second")(get(one))), `token-${i}`)
        yield* TestClock.adjust("1 hour")
      }
      deepStrictEqual(yield* sent, ["token-refresh-1", "token-refresh-2", "token-refresh-3", "token-refresh-4"])
      deepStrictEqual(yield* uses, [1, 1, 1, 1, 0])
      deepStrictEqual(yield* stored, Option.some({ v: 1, generation: 4, token: "token-refresh-5" }))
    }))

  it.scoped("scopes share one refresh token and take turns, also over a store that grants every lease", () =>
    Effect.gen(function*() {
      const backend = new Map<string, string>()
      const { processes: [one], uses } = yield* RefreshBench.make({ sharedStore: TokenStore.make(backend) })
      const scopes = ["a", "b", "c", "d"]
      const tokens = yield* during("5 seconds")(
        Effect.forEach(scopes, (scope) => get(one, scope), { concurrency: "unbounded" })
      )
      assert.strictEqual(new Set(tokens.map(value)).size, 4)
      deepStrictEqual(yield* uses, [1, 1, 1, 1, 0])
    }))

  it.scoped("without rotation the first refresh token is kept, and nothing is stored", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, stored } = yield* RefreshBench.make({ server: { rotatesRefreshTokens: false } })
      for (let i = 0; i < 3; i++) {
        yield* during("1 second")(get(one))
        yield* TestClock.adjust("1 hour")
      }
      deepStrictEqual(yield* sent, ["token-refresh-1", "token-refresh-1", "token-refresh-1"])
      deepStrictEqual(yield* stored, Option.none())
    }))

  it.scoped("a server that returns the same refresh token does not rotate: nothing is stored", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, server, stored } = yield* RefreshBench.make()
      yield* server.setTokenResponse(() => ({
        body: { access_token: "a", expires_in: 60, refresh_token: "token-refresh-1" }
      }))
      for (let i = 0; i < 2; i++) {
        yield* during("1 second")(get(one))
        yield* TestClock.adjust("1 minute")
      }
      deepStrictEqual(yield* sent, ["token-refresh-1", "token-refresh-1"])
      deepStrictEqual(yield* stored, Option.none())
    }))

  it.scoped("the entry does not expire, and no capacity drops it", () =>
    Effect.gen(function*() {
      const sharedStore = yield* TokenStore.makeMemory({ capacity: 3, sharing: TokenStore.byTurns })
      const { key, processes: [one], uses } = yield* RefreshBench.make({ sharedStore })
      for (let i = 0; i < 10; i++) yield* during("1 second")(get(one, `scope-${i}`))
      yield* TestClock.adjust("3650 days")
      const kept = Option.getOrThrow(yield* sharedStore.get(key))
      assert.strictEqual(Duration.toMillis(kept.timeToLive), Infinity)
      assert.strictEqual((yield* uses).length, 11)
    }))

  it.scoped("rule 9: no refresh token reaches the app, the entry of an access token, a log or an error", () =>
    Effect.gen(function*() {
      const { key, processes: [one], server } = yield* RefreshBench.make()
      const token = yield* during("1 second")(get(one))
      assert.isUndefined(token.refreshToken)
      assert.notInclude(Inspectable.format(token) + StoredToken.encode(token), "refresh")
      yield* settle
      const others = Array.from(yield* one.store.entries).filter(([other]) => other !== key)
      assert.isNotEmpty(others)
      assert.notInclude(JSON.stringify(others), "token-refresh")
      yield* server.setTokenResponse(({ params }) => ({
        status: 400,
        body: { error: "invalid_grant", error_description: `${new Map(params).get("refresh_token")} is unknown` }
      }))
      yield* TestClock.adjust("1 hour")
      const error = yield* Effect.flip(during("1 second")(get(one)))
      const shown = [
        error.message,
        Inspectable.format(error),
        JSON.stringify(error),
        ...one.logs.map(({ text }) => text)
      ]
      assert.notInclude(shown.join("\n"), "token-refresh")
    }))

  it.scoped("a refresh token of another grant is neither kept nor given to the app", () =>
    Effect.gen(function*() {
      const { processes: [one], server, stored } = yield* RefreshBench.make({
        endpoint: { request: { grant: Grant.clientCredentials } }
      })
      yield* server.setTokenResponse(() => ({ body: { access_token: "a", expires_in: 60, refresh_token: "r" } }))
      const token = yield* during("1 second")(get(one))
      assert.isUndefined(token.refreshToken)
      deepStrictEqual(yield* stored, Option.none())
    }))

  it.scoped("if the client is signed out, the error says so, and what to do", () =>
    Effect.gen(function*() {
      const { processes: [one], server } = yield* RefreshBench.make()
      yield* server.failNext(1, { status: 400, body: { error: "invalid_grant" } })
      const message = yield* messageOf(during("1 second")(get(one)))
      assert.strictEqual(
        message,
        "Token endpoint https://auth.test/token answered 400 invalid_grant. A refresh token that was used, was " +
          "revoked or has expired stays invalid: obtain a new one, and make another RefreshTokenGrant with it"
      )
    }))

  it.scoped("an app that starts with a new refresh token ignores the old ones", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, server } = yield* RefreshBench.make()
      yield* during("1 second")(get(one))
      const initial = yield* server.issueRefreshToken
      yield* during("1 second")(one.provider.get({ grant: RefreshTokenGrant.make(initial) }))
      deepStrictEqual(yield* sent, ["token-refresh-1", Redacted.value(initial)])
    }))
})

describe.concurrent("RefreshTokenGrant, no lease, no refresh", () => {
  it.scoped("if the store fails, nothing is sent, and the error says why", () =>
    Effect.gen(function*() {
      const { processes: [one], sent } = yield* RefreshBench.make({ provider: { shareTokens: false } })
      const error = yield* Effect.flip(get(one))
      assert.strictEqual((error as OAuthError.TokenProviderError).reason, "RefreshToken")
      assert.strictEqual(
        error.message,
        "The refresh token cannot be used: it is kept in the store, and TokenProvider.shareTokens is false"
      )
      deepStrictEqual(yield* sent, [])
    }))

  for (const method of ["get", "acquireLease"] as const) {
    it.scoped(`while ${method} fails nothing is sent`, () =>
      Effect.gen(function*() {
        const { processes: [one], sent, sharedStore, key } = yield* RefreshBench.make()
        yield* one.store.fail("connection refused", method)
        assert.strictEqual(
          yield* messageOf(during("2 seconds")(get(one))),
          `The refresh token cannot be used: Token store, ${method}: connection refused`
        )
        deepStrictEqual(yield* sent, [])
        assert.isTrue(yield* sharedStore.acquireLease(key, "another", Duration.seconds(1)))
        yield* sharedStore.releaseLease(key, "another")
        yield* one.store.fail(undefined)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(value(yield* during("1 second")(get(one))), "token-1")
      }))
  }

  it.scoped("a store that hangs costs bounded waits", () =>
    Effect.gen(function*() {
      const { processes: [one], sent } = yield* RefreshBench.make({ provider: { storeTimeout: undefined } })
      yield* one.store.hang(true)
      const message = yield* messageOf(during("3 seconds")(get(one)))
      assert.include(message, "Token store, acquireLease: no answer within 500ms")
      deepStrictEqual(yield* sent, [])
    }))

  it.scoped("during an outage of the store the access token serves until it expires", () =>
    Effect.gen(function*() {
      const { processes: [one], sent } = yield* RefreshBench.make()
      yield* during("1 second")(get(one))
      yield* one.store.fail("connection refused")
      yield* TestClock.adjust("59 minutes")
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(value(yield* during("5 seconds")(get(one))), "token-1")
      }
      assert.lengthOf(yield* sent, 1)
      yield* TestClock.adjust("10 seconds")
      assert.include(yield* messageOf(during("2 seconds")(get(one))), "The refresh token cannot be used")
      assert.lengthOf(yield* sent, 1)
    }))

  it.scoped("an unreadable entry is an error and is not overwritten", () =>
    Effect.gen(function*() {
      const { key, processes: [one], sent, sharedStore } = yield* RefreshBench.make()
      const strange = { version: "1", payload: "{\"v\":2}", timeToLive: Duration.infinity }
      yield* sharedStore.set(key, strange, Option.none())
      assert.strictEqual(
        yield* messageOf(during("1 second")(get(one))),
        `The refresh token cannot be used: entry ${key} of the token store cannot be read by this version`
      )
      deepStrictEqual(yield* sent, [])
      deepStrictEqual(yield* sharedStore.get(key), Option.some(strange))
    }))

  it.scoped("an entry that cannot be decrypted is an error and is not overwritten", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      const encrypted = (id: string, byte: number) =>
        EncryptedTokenStore.make(memory, { keys: [{ id, key: Redacted.make(new Uint8Array(32).fill(byte)) }] })
      const { key, processes: [one], sent } = yield* RefreshBench.make({ sharedStore: yield* encrypted("new", 1) })
      const old = yield* encrypted("old", 2)
      yield* old.set(key, entry(3, "newest"), Option.none())
      // Decryption takes its time beside that of TestClock
      const fiber = yield* Effect.fork(messageOf(get(one)))
      yield* Effect.repeat(Effect.zipRight(TestClock.adjust(0), Fiber.poll(fiber)), { until: Option.isSome })
      assert.include(
        yield* Fiber.join(fiber),
        "it is encrypted with the key old, which is not one of the configured keys"
      )
      deepStrictEqual(yield* sent, [])
      deepStrictEqual(yield* old.get(key), Option.some(entry(3, "newest")))
    }))

  it.scoped("the lease outlasts the attempt's timeout", () =>
    Effect.gen(function*() {
      const { key, processes: [one] } = yield* RefreshBench.make({ endpoint: { timeout: "1 minute" } })
      yield* during("1 second")(get(one))
      const leases = (yield* one.store.calls).filter((call) => call.method === "acquireLease" && call.key === key)
      deepStrictEqual(leases.map((call) => "duration" in call ? Duration.toSeconds(call.duration) : 0), [76])
      deepStrictEqual(yield* one.store.callsOf("extendLease"), [])
    }))

  it.scoped("a process that stood still checks its lease before it sends", () =>
    Effect.gen(function*() {
      const { key, processes: [one], sent, sharedStore } = yield* RefreshBench.make({
        provider: { storeTimeout: "1 hour", maxWait: "1 hour" }
      })
      // Between its lease and its token it stands still, and another takes over
      yield* one.store.afterGet((read) =>
        read !== key ? Effect.void : Effect.gen(function*() {
          yield* one.store.afterGet(undefined)
          yield* TestClock.adjust("30 seconds")
          assert.isTrue(yield* Effect.orDie(sharedStore.acquireLease(key, "another", Duration.minutes(1))))
        })
      )
      assert.include(yield* messageOf(get(one)), "another process has the lease")
      deepStrictEqual(yield* sent, [])
    }))
})

describe.concurrent("RefreshTokenGrant, the new token is stored before the access token is used", () => {
  it.scoped("a failed write is retried, and callers wait for it", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, stored } = yield* RefreshBench.make()
      yield* one.store.fail("read only", "set")
      const fiber = yield* Effect.fork(get(one))
      yield* TestClock.adjust("500 millis")
      assert.isNull(yield* Fiber.poll(fiber).pipe(Effect.map(Option.getOrNull)))
      yield* one.store.fail(undefined)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* Fiber.join(fiber)), "token-1")
      assert.lengthOf(yield* sent, 1)
      deepStrictEqual(yield* stored, Option.some({ v: 1, generation: 1, token: "token-refresh-2" }))
    }))

  it.scoped("until the store accepts the write, the token is not used and the lease is held", () =>
    Effect.gen(function*() {
      const { processes: [one, two], sent, stored } = yield* RefreshBench.make({ size: 2 })
      yield* one.store.fail("read only", "set")
      assert.strictEqual(
        yield* messageOf(during("3 seconds")(get(one))),
        "The refresh token cannot be used: its successor is not in the token store yet. Token store, set: read only"
      )
      // The lease is kept for longer than it lasts
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(
          yield* messageOf(during("10 seconds")(get(two))),
          "No token within 10s: another renewal is sending the same refresh token to https://auth.test/token"
        )
      }
      assert.lengthOf(yield* sent, 1)
      yield* one.store.fail(undefined)
      yield* TestClock.adjust("2 seconds")
      deepStrictEqual(Option.map(yield* stored, ({ token }) => token), Option.some("token-refresh-2"))
      // The access token that came with it is kept for the next caller
      assert.strictEqual(value(yield* during("2 seconds")(get(one))), "token-1")
      assert.lengthOf(yield* sent, 1)
      assert.strictEqual(value(yield* during("2 seconds")(get(two))), "token-1")
    }))

  it.scoped("if the store refuses the write each time, the error says so", () =>
    Effect.gen(function*() {
      const sharedStore = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      const { key, processes: [one] } = yield* RefreshBench.make({
        sharedStore: { ...sharedStore, set: () => Effect.succeed(false) }
      })
      assert.strictEqual(
        yield* messageOf(during("3 seconds")(get(one))),
        "The refresh token cannot be used: its successor is not in the token store yet. " +
          `another process has written entry ${key} of the token store`
      )
    }))

  it.scoped("a write whose response was lost is found", () =>
    Effect.gen(function*() {
      const sharedStore = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      let isLossy = true
      const { processes: [one], stored, uses } = yield* RefreshBench.make({
        provider: { storeTimeout: undefined },
        sharedStore: {
          ...sharedStore,
          set: (key, entry, replaces) =>
            Effect.flatMap(sharedStore.set(key, entry, replaces), (written) => {
              if (!isLossy || !key.endsWith("#refresh")) return Effect.succeed(written)
              isLossy = false
              return Effect.never
            })
        }
      })
      assert.strictEqual(value(yield* during("2 seconds")(get(one))), "token-1")
      deepStrictEqual(Option.map(yield* stored, ({ generation }) => generation), Option.some(1))
      yield* TestClock.adjust("1 hour")
      yield* during("1 second")(get(one))
      deepStrictEqual(yield* uses, [1, 1, 0])
    }))

  it.scoped("a provider that closes during a refresh completes it", () =>
    Effect.gen(function*() {
      const { launch, processes: [one], stored, uses } = yield* RefreshBench.make({
        server: { tokenDelay: "3 seconds" }
      })
      yield* Effect.fork(Effect.exit(get(one)))
      yield* TestClock.adjust("1 second")
      yield* during("3 seconds")(one.close)
      deepStrictEqual(Option.map(yield* stored, ({ token }) => token), Option.some("token-refresh-2"))
      assert.strictEqual(value(yield* during("5 seconds")(get(yield* launch))), "token-2")
      deepStrictEqual(yield* uses, [1, 1, 0])
    }))

  it.scoped("a closing provider stores what it could not store before", () =>
    Effect.gen(function*() {
      const { key, processes: [one], sharedStore, stored } = yield* RefreshBench.make()
      yield* one.store.fail("read only", "set")
      yield* Effect.exit(during("3 seconds")(get(one)))
      yield* one.store.fail(undefined)
      yield* one.close
      deepStrictEqual(Option.map(yield* stored, ({ token }) => token), Option.some("token-refresh-2"))
      assert.isTrue(yield* sharedStore.acquireLease(key, "another", Duration.seconds(1)))
    }))

  for (
    const [what, lose] of [
      ["has lost", Option.none<TokenStore.Entry>()],
      ["fell back from", Option.some(entry(1, "token-refresh-2"))]
    ] as const
  ) {
    it.scoped(`a holder restores a newer token that the store ${what}`, () =>
      Effect.gen(function*() {
        const { key, processes: [one], sharedStore, uses } = yield* RefreshBench.make()
        for (let i = 0; i < 3; i++) {
          yield* during("1 second")(get(one))
          yield* TestClock.adjust("1 hour")
        }
        const { version } = Option.getOrThrow(yield* sharedStore.get(key))
        yield* sharedStore.remove(key, version)
        if (Option.isSome(lose)) yield* sharedStore.set(key, lose.value, Option.none())
        yield* during("1 second")(get(one))
        deepStrictEqual(yield* uses, [1, 1, 1, 1, 0])
      }))
  }
})

describe.concurrent("RefreshTokenGrant, responses of the server", () => {
  it.scoped("a refresh token with an unusable access token is kept", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, server, stored } = yield* RefreshBench.make()
      yield* server.failNext(1, { body: { access_token: "access", token_type: "mac", refresh_token: "s3cr3t-next" } })
      const error = yield* Effect.flip(during("1 second")(get(one)))
      assert.include(error.message, "token_type is \"mac\"")
      const shown = [Inspectable.format(error), JSON.stringify(error), ...one.logs.map(({ text }) => text)]
      assert.notInclude(shown.join("\n"), "s3cr3t")
      deepStrictEqual(yield* stored, Option.some({ v: 1, generation: 1, token: "s3cr3t-next" }))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.exit(during("1 second")(get(one)))
      deepStrictEqual(yield* sent, ["token-refresh-1", "s3cr3t-next"])
    }))

  it.scoped("a refresh token that the store accepts late, without an access token, is kept too", () =>
    Effect.gen(function*() {
      const { processes: [one], server, stored } = yield* RefreshBench.make()
      yield* one.store.fail("read only", "set")
      yield* server.failNext(1, { body: { access_token: "", refresh_token: "next" } })
      assert.include(yield* messageOf(during("3 seconds")(get(one))), "not in the token store yet")
      yield* one.store.fail(undefined)
      yield* TestClock.adjust("2 seconds")
      deepStrictEqual(Option.map(yield* stored, ({ token }) => token), Option.some("next"))
    }))

  for (const answer of ["reset", "cut"] as const) {
    it.scoped(`an attempt without a response (${answer}) is repeated once with the same token, at once`, () =>
      Effect.gen(function*() {
        const { processes: [one], sent, server } = yield* RefreshBench.make()
        yield* server.failNext(1, answer)
        assert.strictEqual(value(yield* during("300 millis")(get(one))), "token-1")
        deepStrictEqual(yield* sent, ["token-refresh-1", "token-refresh-1"])
      }))
  }

  it.scoped("an attempt is not repeated if the lease cannot be extended first; the error does not mention the lease", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, server } = yield* RefreshBench.make()
      yield* server.failNext(20, "reset")
      yield* one.store.fail("connection refused", "extendLease")
      assert.match(
        yield* messageOf(during("20 seconds")(get(one))),
        /^Token endpoint https:\/\/auth.test\/token: .*reset/
      )
      deepStrictEqual(new Set(yield* sent), new Set(["token-refresh-1"]))
    }))

  it.scoped("an attempt that has timed out is repeated with the same token, at once", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, server } = yield* RefreshBench.make({ server: { tokenDelay: "1 minute" } })
      const fiber = yield* Effect.fork(get(one))
      yield* TestClock.adjust("5 seconds")
      yield* server.setTokenDelay("100 millis")
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      const [first, second] = (yield* server.tokenRequests).map(({ time }) => time)
      // At the time limit of a token request, without a pause
      assert.strictEqual(second - first, 8_000)
      deepStrictEqual(yield* sent, ["token-refresh-1", "token-refresh-1"])
    }))

  it.scoped("a second attempt without a response is an ordinary transient failure", () =>
    Effect.gen(function*() {
      const { processes: [one], server } = yield* RefreshBench.make({ server: { tokenDelay: 0 } })
      yield* during("1 second")(get(one))
      yield* TestClock.adjust("57 minutes")
      yield* server.resetRecords
      yield* server.failNext(100, "reset")
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(value(yield* during("1 second")(get(one))), "token-1")
      }
      const times = (yield* server.tokenRequests).map(({ time }) => time)
      const [start] = times
      // Twice at once, and then at the pace of the background
      deepStrictEqual(times.map((time) => Math.floor((time - start) / 1000)), [0, 0, 1, 3, 7])
    }))

  it.scoped("a server with a grace period returns the token whose response was lost", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes: [one], server, uses } = yield* RefreshBench.make({
        server: { refreshGracePeriod: "30 seconds" }
      })
      yield* server.setTokenDelay("12 seconds")
      const fiber = yield* Effect.fork(Effect.exit(get(one)))
      yield* TestClock.adjust("5 seconds")
      yield* server.setTokenDelay("100 millis")
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.include(value(yield* during("5 seconds")(get(one))), "token-")
      assert.isFalse(yield* isLockedOut)
      assert.strictEqual((yield* uses)[0], 1)
    }))

  it.scoped("after invalid_grant for a token that was replaced in the store the newer one is used", () =>
    Effect.gen(function*() {
      const { key, processes: [one], sent, server, sharedStore, stored } = yield* RefreshBench.make()
      let isFirst = true
      yield* server.setTokenResponse(() => {
        if (!isFirst) return { body: { access_token: "a", expires_in: 60, refresh_token: "next" } }
        isFirst = false
        return Effect.as(
          Effect.orDie(sharedStore.set(key, entry(5, "newer"), Option.none())),
          { status: 400, body: { error: "invalid_grant" } }
        )
      })
      assert.strictEqual(value(yield* during("1 second")(get(one))), "a")
      deepStrictEqual(yield* sent, ["token-refresh-1", "newer"])
      deepStrictEqual(yield* stored, Option.some({ v: 1, generation: 6, token: "next" }))
    }))

  it.scoped("invalid_grant for the newer token too is final", () =>
    Effect.gen(function*() {
      const { key, processes: [one], sent, server, sharedStore } = yield* RefreshBench.make()
      yield* server.setTokenResponse(() =>
        Effect.as(
          Effect.orDie(sharedStore.set(key, entry(5, "newer"), Option.none())),
          { status: 400, body: { error: "invalid_grant" } }
        )
      )
      assert.include(yield* messageOf(during("1 second")(get(one))), "obtain a new one")
      deepStrictEqual(yield* sent, ["token-refresh-1", "newer"])
    }))

  it.scoped("after other errors the token is neither used up nor replaced", () =>
    Effect.gen(function*() {
      const { processes: [one], sent, server, uses } = yield* RefreshBench.make()
      yield* server.failNext(1, { status: 401, body: { error: "invalid_client" } })
      const message = yield* messageOf(during("1 second")(get(one)))
      assert.include(message, "invalid_client")
      assert.notInclude(message, "RefreshTokenGrant")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(value(yield* during("1 second")(get(one))), "token-1")
      deepStrictEqual(yield* sent, ["token-refresh-1", "token-refresh-1"])
      deepStrictEqual(yield* uses, [1, 0])
    }))

  it("its key is derived from the first token, does not show it and causes no notices", () => {
    const key = RefreshTokens.storeKey(Redacted.make("s3cr3t"))
    assert.match(key, /^[\w-]{43}#refresh$/)
    assert.notStrictEqual(key, RefreshTokens.storeKey(Redacted.make("other")))
  })
})
