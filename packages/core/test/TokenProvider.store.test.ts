import { OAuthError, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Exit, Fiber, Option, Scope, Stream, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value, warnings } from "./support/ProviderBench.js"
import { storeKey } from "./support/StoreKey.js"

type Store = TokenStore.TokenStore["Type"]

/** With the default storeTimeout, which bounds the waits here. */
const make = (options: ProviderBench.Options = {}) => ProviderBench.make({ storeTimeout: undefined, ...options })

const infos = ({ logs }: ProviderBench.Bench) => logs.filter(({ level }) => level === "Info").map(({ text }) => text)

const onlyEntry = (bench: ProviderBench.Bench) =>
  Effect.map(bench.store.entries, (entries) => {
    const [first, ...rest] = Array.from(entries)
    assert.isEmpty(rest)
    assert.isDefined(first)
    return { key: first[0], entry: first[1] }
  })

/** Every request gets its token within so many milliseconds. */
const getsToken = (bench: ProviderBench.Bench, waits: number, request?: { readonly scope: string }) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(bench.provider.get(request))
    yield* TestClock.adjust(waits)
    assert.isNotNull(fiber.unsafePoll(), `no token within ${waits} ms`)
    return yield* Fiber.join(fiber)
  })

describe("TokenProvider, store", () => {
  it.scoped("rule 4: a new process adopts the stored token, with the time that remains by the store's clock", () =>
    Effect.gen(function*() {
      const one = yield* make({ endpoint: { lifetime: "100 seconds" } })
      yield* one.provider.get()
      yield* TestClock.adjust("30 seconds")
      const two = yield* make({ sharedStore: one.store.backing })
      const token = yield* two.provider.get()
      assert.strictEqual(value(token), "token-1")
      assert.strictEqual(Option.getOrThrow(token.expiresAt).epochMillis, 100_000)
      assert.strictEqual(token.obtainedAt.epochMillis, 0)
      deepStrictEqual(yield* two.tokens.requests, [])
      // Its windows are those of its whole lifetime
      yield* TestClock.adjust("49 seconds")
      assert.isDefined(two.provider.peek())
      yield* TestClock.adjust("1 seconds")
      assert.isUndefined(two.provider.peek())
    }))

  it.scoped("fleet rule 1: a store whose clock is wrong returns the remaining time: no clock decides for another", () =>
    Effect.gen(function*() {
      const skewed = (store: Store): Store => ({
        ...store,
        // One second remains, whatever this machine's clock says
        get: (key) =>
          Effect.map(store.get(key), Option.map((entry) => ({ ...entry, timeToLive: Duration.seconds(60) })))
      })
      const one = yield* make({ endpoint: { lifetime: "100 seconds" } })
      yield* one.provider.get()
      yield* TestClock.adjust("5 seconds")
      const two = yield* make({ sharedStore: one.store.backing, wrapStore: skewed })
      const token = yield* two.provider.get()
      assert.strictEqual(Option.getOrThrow(token.expiresAt).epochMillis, 65_000)
    }))

  it.scoped("fleet rule 1: the remaining time counts from the start of the read", () =>
    Effect.gen(function*() {
      const one = yield* make({ endpoint: { lifetime: "100 seconds" } })
      yield* one.provider.get()
      const slow = (store: Store): Store => ({ ...store, get: (key) => Effect.delay(store.get(key), "400 millis") })
      const two = yield* make({ sharedStore: one.store.backing, wrapStore: slow })
      yield* settle
      const token = yield* during("400 millis")(two.provider.get())
      // The store says that 99.6 seconds remain
      assert.strictEqual(Option.getOrThrow(token.expiresAt).epochMillis, 99_600)
    }))

  it.scoped("rule 4: a stored token that expires soon is not adopted", () =>
    Effect.gen(function*() {
      const one = yield* make({ endpoint: { lifetime: "100 seconds" } })
      yield* one.provider.get()
      yield* TestClock.adjust("91 seconds")
      const two = yield* make({ sharedStore: one.store.backing, endpoint: { tokenPrefix: "two-" } })
      assert.strictEqual(value(yield* two.provider.get()), "two-1")
    }))

  it.scoped("rule 4: in its window a process adopts another's new token, without a request", () =>
    Effect.gen(function*() {
      const one = yield* make({ endpoint: { lifetime: "100 seconds" } })
      yield* one.provider.get()
      yield* settle
      const two = yield* make({ sharedStore: one.store.backing })
      yield* two.provider.get()
      yield* TestClock.adjust("80 seconds")
      yield* one.provider.get()
      yield* settle
      assert.strictEqual(value(yield* two.provider.get()), "token-2")
      deepStrictEqual(yield* two.tokens.requests, [])
    }))

  it.scoped("rule 8: a new token is written with its lifetime, and replaces the version that was read", () =>
    Effect.gen(function*() {
      const bench = yield* make({ endpoint: { lifetime: "100 seconds", delay: "2 seconds" } })
      const { provider, store } = bench
      const token = yield* during("2 seconds")(provider.get())
      yield* settle
      const [first] = yield* store.callsOf("set")
      deepStrictEqual(first.replaces, Option.none())
      // Counted from the start of the request, two seconds ago
      assert.strictEqual(Duration.toMillis(first.entry.timeToLive), 98_000)
      assert.strictEqual(first.key, storeKey((yield* bench.tokens.requests)[0].request))
      yield* during("2 seconds")(provider.renew(token))
      yield* settle
      const [, second] = yield* store.callsOf("set")
      deepStrictEqual(second.replaces, Option.some(first.entry.version))
      assert.notStrictEqual(second.entry.version, first.entry.version)
      assert.strictEqual((yield* onlyEntry(bench)).entry.version, second.entry.version)
    }))

  it.scoped("rule 8: callers do not wait for the write", () =>
    Effect.gen(function*() {
      const { provider, store } = yield* make()
      yield* store.hang(true, "set")
      assert.strictEqual(value(yield* provider.get()), "token-1")
      yield* TestClock.adjust("500 millis")
    }))

  it.scoped("fleet rule 8: a token of unknown lifetime is written for defaultLifetime, and read back as unknown", () =>
    Effect.gen(function*() {
      const bench = yield* make({ defaultLifetime: "10 minutes", endpoint: { lifetime: "none" } })
      yield* bench.provider.get()
      yield* settle
      deepStrictEqual((yield* onlyEntry(bench)).entry.timeToLive, Duration.minutes(10))
      const two = yield* make({ sharedStore: bench.store.backing, defaultLifetime: "10 minutes" })
      const token = yield* two.provider.get()
      assert.strictEqual(value(token), "token-1")
      deepStrictEqual(token.expiresAt, Option.none())
    }))

  it.scoped("fleet rule 2: if a write is refused, the winner's token is adopted", () =>
    Effect.gen(function*() {
      const one = yield* make()
      const two = yield* make({
        sharedStore: one.store.backing,
        // Leases do not exclude: in a failover two processes may have one, without notices
        wrapStore: (store) => ({ ...store, acquireLease: () => Effect.succeed(true), changes: Stream.never }),
        endpoint: { tokenPrefix: "two-", delay: "1 second" }
      })
      const slower = yield* Effect.fork(two.provider.get())
      yield* settle
      yield* one.provider.get()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* Fiber.join(slower)), "two-1")
      assert.strictEqual(value(yield* two.provider.get()), "token-1")
      assert.strictEqual(value(two.provider.peek()!), "token-1")
    }))

  it.scoped("fleet rule 2: an unusable winner is not adopted", () =>
    Effect.gen(function*() {
      const bench = yield* make()
      let reads = 0
      yield* bench.store.afterGet((key) => ++reads <= 3 ? bench.store.corrupt(key, "garbage") : Effect.void)
      yield* bench.provider.get()
      yield* settle
      assert.strictEqual(value(bench.provider.peek()!), "token-1")
    }))

  it.scoped("fleet rule 2: a winner that was rejected here is replaced", () =>
    Effect.gen(function*() {
      const bench = yield* make()
      const { provider, store } = bench
      const first = yield* provider.get()
      yield* settle
      const { entry, key } = yield* onlyEntry(bench)
      // While this process renews, another writes the rejected token again
      yield* store.afterGet(() =>
        Effect.zipRight(
          store.afterGet(undefined),
          Effect.orDie(store.backing.set(key, { ...entry, version: "again" }, Option.some(entry.version)))
        )
      )
      assert.strictEqual(value(yield* provider.renew(first)), "token-2")
      yield* settle
      const two = yield* make({ sharedStore: store.backing })
      assert.strictEqual(value(yield* two.provider.get()), "token-2")
      deepStrictEqual(yield* two.tokens.requests, [])
    }))

  it.scoped("fleet rule 2: an unusable winner is replaced", () =>
    Effect.gen(function*() {
      const one = yield* make()
      let reads = 0
      yield* one.store.afterGet((key) => ++reads === 2 ? one.store.corrupt(key, "garbage") : Effect.void)
      yield* one.provider.get()
      yield* settle
      const two = yield* make({ sharedStore: one.store.backing, endpoint: { tokenPrefix: "two-" } })
      assert.strictEqual(value(yield* two.provider.get()), "token-1")
    }))

  it.scoped("rule 8: with shareTokens false the store is never called", () =>
    Effect.gen(function*() {
      const { provider, store, tokens } = yield* make({
        shareTokens: false,
        endpoint: { lifetime: "100 seconds" }
      })
      const token = yield* provider.get()
      yield* provider.renew(token)
      yield* TestClock.adjust("85 seconds")
      yield* provider.get()
      yield* TestClock.adjust("100 seconds")
      yield* tokens.failNext(1)
      yield* Effect.flip(provider.get())
      yield* settle
      deepStrictEqual(yield* store.calls, [])
    }))

  it.effect("rule 8: closing completes a write in progress, within its time limit", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const bench = yield* Scope.extend(make(), scope)
      yield* bench.store.setDelay("300 millis", "set")
      yield* bench.provider.get()
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("299 millis")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isNotNull(closing.unsafePoll())
      assert.strictEqual((yield* bench.store.entries).size, 1)
    }))

  for (const region of [Effect.interruptible, Effect.uninterruptible]) {
    it.effect(`rule 8: a write that hangs delays closing by storeTimeout at most, ${region.name}`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const bench = yield* region(Scope.extend(make({ storeTimeout: "300 millis" }), scope))
        yield* bench.store.hang(true, "set")
        yield* bench.provider.get()
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("300 millis")
        assert.isNotNull(closing.unsafePoll())
      }))
  }
})

// -----------------------------------------------------------------------------
// failing stores
// -----------------------------------------------------------------------------

const secret = new Error("connection refused")

const broken: Record<string, { readonly get: Store["get"]; readonly set: Store["set"]; readonly says: string }> = {
  "fails": {
    get: () =>
      Effect.fail(new OAuthError.TokenStoreError({ method: "get", reason: "Unavailable", description: "no route" })),
    set: () =>
      Effect.fail(new OAuthError.TokenStoreError({ method: "set", reason: "Unavailable", description: "no route" })),
    says: "no route"
  },
  "dies": { get: () => Effect.die(secret), set: () => Effect.die(secret), says: "connection refused" },
  "throws": {
    get: () => {
      throw secret
    },
    set: () => {
      throw secret
    },
    says: "connection refused"
  },
  "interrupts itself": { get: () => Effect.interrupt, set: () => Effect.interrupt, says: "Interrupted" },
  "answers what is not an effect": { get: () => undefined as never, set: () => 1 as never, says: "" },
  "answers what is not an Option": {
    get: () => Effect.succeed(undefined as never),
    set: () => Effect.succeed(undefined as never),
    says: ""
  },
  "never answers": { get: () => Effect.never, set: () => Effect.never, says: "no answer within 500ms" },
  "never answers and cannot be interrupted": {
    get: () => Effect.uninterruptible(Effect.never),
    set: () => Effect.uninterruptible(Effect.never),
    says: "no answer within 500ms"
  }
}

describe.concurrent("TokenProvider, a failing store", () => {
  for (const [name, { get, says, set }] of Object.entries(broken)) {
    it.scoped(`rule 8: a store that ${name} costs one bounded wait and one warning, never a request`, () =>
      Effect.gen(function*() {
        let calls = 0
        let works = false
        const bench = yield* make({
          wrapStore: (store) => ({
            ...store,
            get: (key) => {
              calls++
              return works ? store.get(key) : get(key)
            },
            set: (key, entry, replaces) => {
              calls++
              return works ? store.set(key, entry, replaces) : set(key, entry, replaces)
            }
          })
        })
        assert.strictEqual(value(yield* getsToken(bench, 500)), "token-1")
        // During the store's cool-down nobody waits for it again, for any key
        for (const scope of ["a", "b", "c"]) yield* getsToken(bench, 0, { scope })
        assert.strictEqual(value(yield* getsToken(bench, 0)), "token-1")
        assert.strictEqual(calls, 1)
        assert.lengthOf(warnings(bench), 1)
        assert.include(warnings(bench)[0], "Token store, get")
        assert.include(warnings(bench)[0], says)
        assert.notInclude(JSON.stringify(bench.logs), "token-")

        // Later it is asked again, without another warning
        for (let i = 0; i < 3; i++) {
          yield* TestClock.adjust("5 seconds")
          yield* getsToken(bench, 500, { scope: `later ${i}` })
        }
        assert.lengthOf(warnings(bench), 1)
        deepStrictEqual(infos(bench), [])

        works = true
        yield* TestClock.adjust("5 seconds")
        yield* getsToken(bench, 0, { scope: "back" })
        yield* settle
        yield* getsToken(bench, 0, { scope: "back again" })
        yield* settle
        assert.strictEqual((yield* bench.store.entries).size, 2)
        assert.lengthOf(infos(bench), 1)
        assert.lengthOf(warnings(bench), 1)
      }))

    it.scoped(`rule 8: a store that ${name} stops neither a renewal after a 401 nor a background one`, () =>
      Effect.gen(function*() {
        const bench = yield* make({
          endpoint: { lifetime: "100 seconds" },
          wrapStore: (store) => ({ ...store, get, set })
        })
        const token = yield* getsToken(bench, 500)
        yield* TestClock.adjust("10 seconds")
        const renewed = yield* during("500 millis")(bench.provider.renew(token))
        assert.strictEqual(value(renewed), "token-2")
        yield* TestClock.adjust("85 seconds")
        yield* getsToken(bench, 0)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(value(bench.provider.peek()!), "token-3")
      }))
  }

  it.scoped("rule 8: 10 keys at once wait together for a store that hangs, with one warning", () =>
    Effect.gen(function*() {
      const bench = yield* make()
      yield* bench.store.hang(true)
      yield* Effect.forEach(Array.from({ length: 10 }), (_, index) => bench.provider.get({ scope: `${index}` }), {
        concurrency: "unbounded"
      }).pipe(during("500 millis"))
      assert.lengthOf(warnings(bench), 1)
    }))

  it.scoped("rule 8: a slow store is used as long as all its calls for one token end in time", () =>
    Effect.gen(function*() {
      const bench = yield* make({ storeTimeout: "200 millis" })
      yield* bench.store.setDelay("66 millis")
      // A read, the lease, a read with the lease; then the write, and the lease is released
      yield* getsToken(bench, 3 * 66)
      yield* TestClock.adjust(2 * 66)
      assert.strictEqual((yield* bench.store.entries).size, 1)
      deepStrictEqual(warnings(bench), [])
    }))

  it.scoped("rule 8: a slow store costs one whole wait, and a third of it when it is tried again", () =>
    Effect.gen(function*() {
      const bench = yield* make({ storeTimeout: "200 millis" })
      yield* bench.store.setDelay("130 millis")
      yield* getsToken(bench, 200, { scope: "a" })
      assert.lengthOf(warnings(bench), 1)
      assert.include(warnings(bench)[0], "the calls for one token took more than 200ms")
      for (const scope of ["b", "c", "d"]) {
        yield* TestClock.adjust("5 seconds")
        yield* getsToken(bench, 67, { scope })
      }
      yield* getsToken(bench, 0, { scope: "e" })
      assert.lengthOf(warnings(bench), 1)
      deepStrictEqual(infos(bench), [])
      yield* bench.store.setDelay("66 millis")
      yield* TestClock.adjust("5 seconds")
      yield* getsToken(bench, 3 * 66, { scope: "f" })
      yield* TestClock.adjust(2 * 66)
      assert.strictEqual((yield* bench.store.entries).size, 1)
      assert.lengthOf(warnings(bench), 1)
      assert.lengthOf(infos(bench), 1)
    }))

  it.scoped("rule 8: a read-only store is logged once, not with each renewal", () =>
    Effect.gen(function*() {
      const bench = yield* make({ endpoint: { lifetime: "100 seconds" } })
      yield* bench.store.fail("READONLY You can't write against a read only replica", "set")
      for (let i = 0; i < 5; i++) {
        yield* getsToken(bench, 0)
        yield* TestClock.adjust("100 seconds")
      }
      assert.lengthOf(yield* bench.tokens.requests, 5)
      assert.lengthOf(warnings(bench), 1)
      assert.include(warnings(bench)[0], "READONLY")
      deepStrictEqual(infos(bench), [])
      yield* bench.store.fail(undefined, "set")
      yield* getsToken(bench, 0)
      yield* settle
      assert.lengthOf(infos(bench), 1)
      assert.strictEqual((yield* bench.store.entries).size, 1)
      yield* TestClock.adjust("100 seconds")
      yield* bench.store.fail("READONLY again", "set")
      yield* getsToken(bench, 0)
      yield* settle
      assert.lengthOf(warnings(bench), 2)
    }))

  it.scoped("rule 9: a store error that repeats the entry does not put the token into the log", () =>
    Effect.gen(function*() {
      const long = "a-very-long-token-".padEnd(2000, "0123456789")
      for (const prefix of ["cannot write ", "x".repeat(200), "x".repeat(295)]) {
        const bench = yield* make({
          wrapStore: () =>
            TokenStore.make({
              get: () => undefined,
              set: (_, payload) => Promise.reject(new Error(`${prefix}${payload}`))
            })
        })
        yield* bench.tokens.respondNext({ value: long })
        yield* bench.provider.get()
        yield* settle
        assert.lengthOf(warnings(bench), 1)
        assert.include(warnings(bench)[0], prefix.slice(0, 100))
        for (let length = 4; length <= long.length; length *= 2) {
          assert.notInclude(warnings(bench)[0], long.slice(0, length))
        }
      }
    }))

  /** The store's key of the default request. */
  const aKey = Effect.gen(function*() {
    const bench = yield* make()
    yield* bench.provider.get()
    yield* settle
    return yield* onlyEntry(bench)
  })

  const unreadable = {
    "garbage": "garbage",
    "an empty text": "",
    "another version's entry": JSON.stringify({ v: 2, token: "token-x", type: "Bearer", scope: null, lifetime: 1000 }),
    "an entry without a token": JSON.stringify({ v: 1, type: "Bearer", scope: null, lifetime: 1000 }),
    "a token with control characters": JSON.stringify({
      v: 1,
      token: "token\r\nx: y",
      type: "Bearer",
      scope: null,
      lifetime: 1000
    }),
    "null": "null"
  }
  for (const [name, payload] of Object.entries(unreadable)) {
    it.scoped(`rule 8: ${name} in the store counts as absent, is logged once and is overwritten`, () =>
      Effect.gen(function*() {
        const bench = yield* make()
        const { key } = yield* aKey
        yield* bench.store.corrupt(key, payload)
        const token = yield* getsToken(bench, 0)
        yield* settle
        assert.lengthOf(warnings(bench), 1)
        assert.include(warnings(bench)[0], key)
        assert.notInclude(warnings(bench)[0], "token-x")
        yield* Effect.scoped(Effect.gen(function*() {
          const two = yield* make({ sharedStore: bench.store.backing })
          assert.strictEqual(value(yield* two.provider.get()), "token-1")
          deepStrictEqual(yield* two.tokens.requests, [])
        }))
        yield* bench.store.corrupt(key, payload)
        yield* bench.provider.renew(token)
        yield* settle
        assert.lengthOf(warnings(bench), 1)
        deepStrictEqual(infos(bench), [])
      }))
  }

  for (
    const entry of [
      { version: "v", payload: "x" },
      { version: "v", payload: {}, timeToLive: Duration.minutes(1) },
      { payload: undefined },
      null,
      { version: "v", timeToLive: Duration.millis(1e18) },
      { version: "v", timeToLive: "soon" },
      { version: "v", timeToLive: Duration.zero }
    ]
  ) {
    it.scoped(`rule 8: requests succeed if the store holds ${JSON.stringify(entry)}`, () =>
      Effect.gen(function*() {
        const payload = JSON.stringify({ v: 1, token: "token-x", type: "Bearer", scope: null, lifetime: 1e15 })
        const whole = entry === null || "payload" in entry ? entry : { ...entry, payload }
        const bench = yield* make({
          wrapStore: (store) => ({ ...store, get: () => Effect.succeedSome(whole as never) })
        })
        assert.include(["token-1", "token-x"], value(yield* getsToken(bench, 500)))
        assert.isAtMost(warnings(bench).length, 1)
      }))
  }

  it.scoped("rule 8: a token that cannot be encoded is used, and not stored", () =>
    Effect.gen(function*() {
      const bench = yield* make()
      yield* bench.tokens.respondNext({ value: "tök\nen" })
      assert.strictEqual(value(yield* getsToken(bench, 0)), "tök\nen")
      yield* settle
      assert.strictEqual((yield* bench.store.entries).size, 0)
      deepStrictEqual(bench.logs, [])
      assert.strictEqual(value(yield* getsToken(bench, 0, { scope: "a" })), "token-2")
      yield* settle
      assert.strictEqual((yield* bench.store.entries).size, 1)
    }))

  it.scoped("rule 8: an entry that the store cannot read is not an outage", () =>
    Effect.gen(function*() {
      const values = new Map<string, string>()
      const bench = yield* make({ wrapStore: () => TokenStore.make(values) })
      const [key] = yield* Effect.gen(function*() {
        yield* bench.provider.get()
        yield* settle
        return Array.from(values.keys())
      })
      values.set(key, "written by somebody else")
      const two = yield* make({ wrapStore: () => TokenStore.make(values) })
      yield* getsToken(two, 0)
      yield* settle
      assert.lengthOf(warnings(two), 1)
      assert.include(warnings(two)[0], "not written by this library")
      // It has been replaced, so a third process adopts
      const three = yield* make({ wrapStore: () => TokenStore.make(values) })
      yield* getsToken(three, 0)
      deepStrictEqual(yield* three.tokens.requests, [])
    }))

  it.scoped("rule 8: with store and endpoint both down, the error is the endpoint's", () =>
    Effect.gen(function*() {
      const bench = yield* make()
      yield* bench.store.hang(true)
      yield* bench.tokens.failNext(1)
      const error = yield* during("500 millis")(Effect.flip(bench.provider.get()))
      assert.strictEqual(error.message, TestTokenEndpoint.unavailable.message)
    }))
})
