import type { AccessToken } from "@effect-alf/core"
import { OAuthError, RefreshTokenGrant, RetryPolicy, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Array as Arr,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Option,
  Redacted,
  Schedule,
  Scope,
  TestClock
} from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value, warnings } from "./support/ProviderBench.js"
import { storeKey } from "./support/StoreKey.js"

/** Another process, which only has the lease. */
const ghost = "ghost"

const schedule = RetryPolicy.exponential({ base: "1 second", jitter: false, times: 5 })

/** The processes of a fleet over one store, each with an endpoint that records its requests. */
const makeFleet = Effect.fnUntraced(function*(size: number, options: Omit<ProviderBench.Options, "sharedStore"> = {}) {
  const sharedStore = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
  const processes = yield* Effect.forEach(Arr.range(1, size), (index) =>
    ProviderBench.make({
      ...options,
      sharedStore,
      endpoint: { tokenPrefix: `${index}-`, delay: "200 millis", ...options.endpoint }
    }))
  const key = yield* Effect.map(
    TestTokenEndpoint.make(options.endpoint),
    ({ endpoint }) => storeKey(endpoint.resolve())
  )
  return {
    processes,
    sharedStore,
    key,
    /** The times of all token requests, in seconds. */
    requestTimes: Effect.map(
      Effect.forEach(processes, ({ requestTimes }) => requestTimes),
      (times) => times.flat().sort((a, b) => a - b)
    ),
    lease: sharedStore.acquireLease(key, ghost, Duration.seconds(3)),
    /** Another process requests a token for this long, so that no other process does. */
    keepBusy: (duration: Duration.Duration) =>
      Effect.zipRight(
        sharedStore.acquireLease(key, ghost, duration),
        sharedStore.set(`${key}#claim`, {
          version: ghost,
          payload: JSON.stringify({ v: 1, count: 1, memory: 1_000 }),
          timeToLive: Duration.sum(duration, Duration.seconds(1))
        }, Option.none())
      ),
    isLeased: Effect.map(sharedStore.acquireLease(key, "probe", Duration.seconds(3)), (granted) => !granted).pipe(
      Effect.zipLeft(sharedStore.releaseLease(key, "probe"))
    )
  }
})

const getAll = (processes: ReadonlyArray<ProviderBench.Bench>) =>
  Effect.forEach(processes, ({ provider }) => provider.get(), { concurrency: "unbounded" })

const values = (tokens: ReadonlyArray<AccessToken.AccessToken>) => Array.from(new Set(tokens.map(value)))

describe.concurrent("TokenProvider, renewal: turns", () => {
  it.scoped("rule 1: a fleet that starts at once asks the endpoint once", () =>
    Effect.gen(function*() {
      const { isLeased, processes, requestTimes } = yield* makeFleet(10)
      const tokens = yield* during("1 second")(getAll(processes))
      assert.lengthOf(values(tokens), 1)
      deepStrictEqual(yield* requestTimes, [0])
      assert.isFalse(yield* isLeased)
    }))

  it.scoped("rule 1: two providers of one process over its memory ask once", () =>
    Effect.gen(function*() {
      const one = yield* ProviderBench.make({ endpoint: { delay: "4 seconds" } })
      const two = yield* ProviderBench.make({ sharedStore: one.store.backing })
      const tokens = yield* during("5 seconds")(getAll([one, two]))
      deepStrictEqual(values(tokens), ["token-1"])
      deepStrictEqual(yield* two.tokens.requests, [])
    }))

  it.scoped("fleet rule 2: after acquiring the lease a process reads the store again", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2)
      // The other's turn ends between the first look and the lease
      yield* two.store.afterGet(() =>
        Effect.zipRight(two.store.afterGet(undefined), Effect.ignore(during("300 millis")(one.provider.get())))
      )
      assert.strictEqual(value(yield* two.provider.get()), "1-1")
      assert.lengthOf(yield* requestTimes, 1)
    }))

  it.scoped("fleet rule 3: the lease lasts as long as the attempt", () =>
    Effect.gen(function*() {
      const { isLeased, processes: [one, two], requestTimes } = yield* makeFleet(2, {
        maxWait: "30 seconds",
        endpoint: { delay: "5 seconds" }
      })
      const first = yield* Effect.fork(one.provider.get())
      yield* settle
      const second = yield* Effect.fork(two.provider.get())
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* isLeased)
      }
      yield* TestClock.adjust("1300 millis")
      deepStrictEqual(values([yield* Fiber.join(first), yield* Fiber.join(second)]), ["1-1"])
      deepStrictEqual(yield* requestTimes, [0])
      assert.isFalse(yield* isLeased)
    }))

  it.scoped("fleet rule 3: a holder that dies costs one lease time", () =>
    Effect.gen(function*() {
      const { lease, processes: [one] } = yield* makeFleet(1)
      yield* lease
      const token = yield* Effect.fork(one.provider.get())
      yield* TestClock.adjust("2900 millis")
      deepStrictEqual(yield* one.requestTimes, [])
      yield* TestClock.adjust("400 millis")
      const [askedAt] = yield* one.requestTimes
      assert.isTrue(askedAt >= 3 && askedAt < 3.3, `asked at ${askedAt} s`)
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(value(yield* Fiber.join(token)), "1-1")
    }))

  it.scoped("fleet rule 3: a lease that the store lost is acquired again", () =>
    Effect.gen(function*() {
      const { isLeased, processes: [one], sharedStore, key } = yield* makeFleet(1, { endpoint: { delay: "5 seconds" } })
      const token = yield* Effect.fork(one.provider.get())
      yield* settle
      const [{ owner }] = yield* one.store.callsOf("acquireLease")
      yield* sharedStore.releaseLease(key, owner)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isLeased)
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(token)
      assert.isFalse(yield* isLeased)
    }))

  it.scoped("fleet rule 3: each turn has a new owner", () =>
    Effect.gen(function*() {
      const { processes: [one] } = yield* makeFleet(1)
      const token = yield* during("200 millis")(one.provider.get())
      yield* during("200 millis")(one.provider.renew(token))
      const owners = (yield* one.store.callsOf("acquireLease")).map(({ owner }) => owner)
      assert.lengthOf(owners, 2)
      assert.strictEqual(new Set(owners).size, 2)
      deepStrictEqual((yield* one.store.callsOf("releaseLease")).map(({ owner }) => owner), owners)
    }))

  it.scoped("fleet rule 3: the lease is released if the provider closes during an attempt", () =>
    Effect.gen(function*() {
      const { isLeased, processes: [one], sharedStore } = yield* makeFleet(1)
      const scope = yield* Scope.make()
      const two = yield* Scope.extend(ProviderBench.make({ sharedStore, endpoint: { delay: "1 hour" } }), scope)
      const waiting = yield* Effect.fork(two.provider.get())
      yield* settle
      assert.isTrue(yield* isLeased)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting)))._tag, "TokenProviderError")
      assert.isFalse(yield* isLeased)
      assert.strictEqual(value(yield* during("200 millis")(one.provider.get())), "1-1")
    }))

  it.scoped("fleet rule 3: a lease whose acquisition timed out is released: it may be granted", () =>
    Effect.gen(function*() {
      const { isLeased, processes: [one] } = yield* makeFleet(1, {
        storeTimeout: undefined,
        wrapStore: (store) => ({
          ...store,
          // The lease is granted, but there is no response
          acquireLease: (...args) => Effect.zipRight(store.acquireLease(...args), Effect.never)
        })
      })
      const token = yield* Effect.fork(one.provider.get())
      yield* settle
      assert.isTrue(yield* isLeased)
      yield* TestClock.adjust("700 millis")
      assert.isFalse(yield* isLeased)
      assert.strictEqual(value(yield* Fiber.join(token)), "1-1")
    }))
})

describe.concurrent("TokenProvider, renewal: a failing endpoint", () => {
  it.scoped("rule 7: the endpoint gets the number of the attempt, also with a refresh token", () =>
    Effect.gen(function*() {
      for (const request of [undefined, { grant: RefreshTokenGrant.make(Redacted.make("refresh")) }]) {
        const numbers: Array<number | undefined> = []
        const { provider, tokens } = yield* ProviderBench.make({
          endpoint: { retry: schedule },
          wrapEndpoint: (endpoint) => ({
            ...endpoint,
            attempt: (request, attempt) => {
              numbers.push(attempt)
              return endpoint.attempt(request, attempt)
            }
          })
        })
        yield* tokens.failNext(2)
        assert.strictEqual(value(yield* during("10 seconds")(provider.get(request))), "token-1")
        deepStrictEqual(numbers, [1, 2, 3])
      }
    }))

  it.scoped("fleet rule 3: a failed attempt paces the fleet, and the others go first", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2, { endpoint: { delay: 0, retry: schedule } })
      yield* one.tokens.failNext(1)
      const first = yield* Effect.fork(one.provider.get())
      yield* settle
      const second = yield* Effect.fork(two.provider.get())
      yield* TestClock.adjust("999 millis")
      deepStrictEqual(yield* requestTimes, [0])
      yield* TestClock.adjust("1 millis")
      deepStrictEqual(yield* requestTimes, [0, 1])
      // By the notice, not at the end of its own wait
      deepStrictEqual(values([yield* Fiber.join(first), yield* Fiber.join(second)]), ["2-1"])
    }))

  it.scoped("fleet rule 3: a process alone tries again after 1.5 times the delay", () =>
    Effect.gen(function*() {
      const { processes: [one], requestTimes } = yield* makeFleet(1, { endpoint: { delay: 0, retry: schedule } })
      yield* one.tokens.failNext(3)
      yield* during("20 seconds")(Effect.ignore(one.provider.get()))
      // 1, 2 and 4 seconds; the last would end after maxWait
      deepStrictEqual(yield* requestTimes, [0, 1.5, 4.5])
    }))

  it.scoped("fleet rule 3: a clock that is set back does not lengthen the pace", () =>
    Effect.gen(function*() {
      const { key, processes: [one], sharedStore } = yield* makeFleet(1, { endpoint: { delay: 0, retry: schedule } })
      yield* TestClock.setTime(Duration.toMillis("1 hour"))
      yield* one.tokens.failNext(1)
      const token = yield* Effect.fork(one.provider.get())
      yield* settle
      yield* TestClock.setTime(0)
      const garbage = { version: "other", payload: "", timeToLive: Duration.hours(1) }
      yield* sharedStore.set(key, garbage, Option.none())
      yield* settle
      assert.strictEqual(value(yield* Fiber.join(token)), "1-1")
    }))

  it.scoped("fleet rule 3: the delays count the fleet's attempts, and are at most 5 seconds", () =>
    Effect.gen(function*() {
      const { processes, requestTimes } = yield* makeFleet(3, { endpoint: { delay: 0, retry: schedule } })
      for (const { tokens } of processes) yield* tokens.failNext(100)
      yield* Effect.forkScoped(Effect.forEach(
        processes,
        ({ provider }) => Effect.retry(provider.get(), Schedule.spaced("500 millis")),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("14 seconds")
      // 1, 2, 4 and 5 seconds; each ends when the first of the others looks again
      deepStrictEqual((yield* requestTimes).map(Math.floor), [0, 1, 3, 7, 12])
    }))

  it.scoped("fleet rule 3: Retry-After paces the fleet too", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2, { endpoint: { delay: 0, retry: schedule } })
      yield* one.tokens.failNext(
        1,
        new OAuthError.TokenEndpointError({
          ...TestTokenEndpoint.unavailable,
          retryAfter: Duration.seconds(4)
        })
      )
      const all = yield* Effect.fork(getAll([one, two]))
      yield* TestClock.adjust("6 seconds")
      assert.lengthOf(values(yield* Fiber.join(all)), 1)
      deepStrictEqual(yield* requestTimes, [0, 4])
    }))

  it.scoped("fleet rule 3: a definite error stays in its process", () =>
    Effect.gen(function*() {
      const { isLeased, processes: [one, two] } = yield* makeFleet(2, { endpoint: { delay: 0, retry: schedule } })
      yield* one.tokens.failNext(1, TestTokenEndpoint.invalidClient)
      assert.include(yield* Effect.flip(one.provider.get()), { error: "invalid_client" })
      yield* settle
      assert.isFalse(yield* isLeased)
      assert.strictEqual(value(yield* two.provider.get()), "2-1")
    }))

  it.scoped("fleet rule 3: if the Schedule ends, callers fail at once, and the fleet is paced", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2, {
        endpoint: { delay: 0, retry: RetryPolicy.none }
      })
      yield* one.tokens.failNext(1)
      assert.include(yield* Effect.flip(one.provider.get()), { status: 503 })
      yield* settle
      assert.strictEqual(value(yield* during("2 seconds")(two.provider.get())), "2-1")
      deepStrictEqual(yield* requestTimes, [0, 1])
    }))

  it.scoped("fleet rule 3: a success ends the count", () =>
    Effect.gen(function*() {
      const { processes: [one], requestTimes } = yield* makeFleet(1, {
        endpoint: { delay: 0, lifetime: "100 seconds", retry: schedule }
      })
      for (let i = 0; i < 2; i++) {
        yield* one.tokens.failNext(2)
        yield* during("100 seconds")(one.provider.get())
      }
      deepStrictEqual(yield* requestTimes, [0, 1.5, 4.5, 100, 101.5, 104.5])
    }))

  it.scoped("fleet rule 3: a process that starts during an outage follows the pace", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2, { endpoint: { delay: 0, retry: schedule } })
      yield* one.tokens.failNext(3)
      yield* Effect.fork(one.provider.get())
      // Asked at 0, 1.5 and 4.5 seconds: then the pace is 4 seconds
      yield* TestClock.adjust("5 seconds")
      const token = yield* Effect.fork(two.provider.get())
      yield* TestClock.adjust("3499 millis")
      deepStrictEqual(yield* requestTimes, [0, 1.5, 4.5])
      yield* TestClock.adjust("1 millis")
      deepStrictEqual(yield* requestTimes, [0, 1.5, 4.5, 8.5])
      assert.strictEqual(value(yield* Fiber.join(token)), "2-1")
    }))
})

describe.concurrent("TokenProvider, renewal: waiting for another process", () => {
  it.scoped("fleet rule 4: if the pace outlasts the wait, the caller fails at once, with the time of the next attempt", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2, {
        maxWait: "2 seconds",
        endpoint: { retry: Schedule.spaced("4 seconds") }
      })
      yield* one.tokens.failNext(1)
      yield* during("200 millis")(Effect.flip(one.provider.get()))
      yield* TestClock.adjust("1 second")
      const failure = yield* during(0)(Effect.flip(two.provider.get()))
      assert.include(failure, { _tag: "TokenProviderError", reason: "MaxWait" })
      deepStrictEqual(failure.retryAfter, Duration.seconds(3))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(value(yield* during("200 millis")(two.provider.get())), "2-1")
      deepStrictEqual(yield* requestTimes, [0, 4.2])
    }))

  it.scoped("fleet rule 4: a notice ends the wait before the next look", () =>
    Effect.gen(function*() {
      const { processes: [one, two] } = yield* makeFleet(2)
      yield* Effect.fork(one.provider.get())
      yield* settle
      const waiting = yield* Effect.fork(two.provider.get())
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(value(yield* Fiber.join(waiting)), "1-1")
    }))

  it.scoped("fleet rule 4: without notices a process looks every 100 to 300 milliseconds", () =>
    Effect.gen(function*() {
      const { lease, processes: [one] } = yield* makeFleet(1, { maxWait: "3 seconds" })
      yield* one.store.hang(true, "changes")
      yield* lease
      yield* during("3 seconds")(Effect.ignore(one.provider.get()))
      const times = (yield* one.store.callsOf("acquireLease")).map(({ time }) => time)
      const pauses = times.slice(1).map((time, index) => time - times[index])
      assert.isAbove(pauses.length, 8)
      for (const pause of pauses) assert.isTrue(pause >= 100 && pause <= 300, `${pause} ms`)
    }))

  it.scoped("fleet rule 4: after maxWait callers get a typed error with the time of the next attempt", () =>
    Effect.gen(function*() {
      const { keepBusy, processes: [one] } = yield* makeFleet(1, { maxWait: "2 seconds" })
      yield* keepBusy(Duration.seconds(30))
      const failure = yield* during("2 seconds")(Effect.flip(one.provider.get()))
      assert.strictEqual(failure._tag, "TokenProviderError")
      assert.include(failure, { reason: "MaxWait" })
      assert.strictEqual(
        failure.message,
        "No token within 2s: another process is requesting a token from https://auth.test/token, and has not stored one after 2s"
      )
      deepStrictEqual(failure.retryAfter, Duration.seconds(1))
      deepStrictEqual(yield* one.tokens.requests, [])
    }))

  it.scoped("fleet rule 4: a process that made an attempt fails with the endpoint's error", () =>
    Effect.gen(function*() {
      const { processes: [one] } = yield* makeFleet(1, { endpoint: { delay: 0, retry: schedule } })
      yield* one.tokens.failNext(10)
      assert.include(yield* during("10 seconds")(Effect.flip(one.provider.get())), { status: 503 })
    }))

  it.scoped("fleet rule 4: if the lease is never released, the fleet asks without it, one process at a time", () =>
    Effect.gen(function*() {
      const { processes, requestTimes, sharedStore, key } = yield* makeFleet(3)
      const held = Effect.forever(Effect.delay(sharedStore.acquireLease(key, ghost, Duration.seconds(3)), "1 second"))
      yield* sharedStore.acquireLease(key, ghost, Duration.seconds(3))
      yield* Effect.forkScoped(held)
      const tokens = yield* during("10 seconds")(getAll(processes))
      assert.lengthOf(values(tokens), 1)
      const times = yield* requestTimes
      assert.lengthOf(times, 1)
      assert.isTrue(times[0] >= 5 && times[0] < 5.3, `asked at ${times[0]} s`)
    }))

  const isSlow = (delay: Duration.DurationInput) => (store: TokenStore.TokenStore["Type"]) => ({
    ...store,
    get: (key: string) => Effect.delay(store.get(key), delay),
    set: (...args: Parameters<typeof store.set>) => Effect.delay(store.set(...args), delay),
    acquireLease: (...args: Parameters<typeof store.acquireLease>) => Effect.delay(store.acquireLease(...args), delay)
  })

  for (const changes of ["with notices", "without notices"]) {
    it.scoped(`fleet rule 4: a process that asks without the lease adopts what the holder stores meanwhile, ${changes}`, () =>
      Effect.gen(function*() {
        const { processes, requestTimes } = yield* makeFleet(2, { endpoint: { delay: "8 seconds" } })
        for (const { store } of processes) if (changes === "without notices") yield* store.hang(true, "changes")
        const tokens = yield* during("10 seconds")(getAll(processes))
        assert.lengthOf(values(tokens), 1)
        const [first, second] = yield* requestTimes
        deepStrictEqual([first, Math.floor(second)], [0, 5])
      }))
  }

  it.scoped("fleet rule 4: a holder whose attempt takes longer adopts what another process stores", () =>
    Effect.gen(function*() {
      const sharedStore = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      const one = yield* ProviderBench.make({ sharedStore, endpoint: { delay: "20 seconds" } })
      const two = yield* ProviderBench.make({ sharedStore, endpoint: { tokenPrefix: "2-" } })
      deepStrictEqual(values(yield* during("10 seconds")(getAll([one, two]))), ["2-1"])
    }))

  it.scoped("fleet rule 4: a process does not miss a token that is stored while it looks", () =>
    Effect.gen(function*() {
      const other = yield* ProviderBench.make({ endpoint: { tokenPrefix: "2-" } })
      yield* during(0)(other.provider.get())
      const [entry] = (yield* other.store.entries).values()
      const { key, processes: [one], sharedStore } = yield* makeFleet(1, { endpoint: { delay: "20 seconds" } })
      const asking = yield* Effect.fork(one.provider.get())
      yield* settle
      yield* one.store.afterGet(() =>
        Effect.all([
          one.store.afterGet(undefined),
          Effect.orDie(sharedStore.set(key, entry, Option.some("unreadable"))),
          Effect.sleep("10 millis")
        ])
      )
      yield* sharedStore.set(key, { ...entry, version: "unreadable", payload: "" }, Option.none())
      yield* TestClock.adjust("20 millis")
      assert.strictEqual(value(yield* Effect.flatten(Effect.flatten(Fiber.poll(asking)))), "2-1")
    }))

  it.scoped("fleet rule 8: store calls that take a third of storeTimeout do not fail, however many a wait takes", () =>
    Effect.gen(function*() {
      const { processes, requestTimes } = yield* makeFleet(2, {
        storeTimeout: "500 millis",
        endpoint: { delay: "5500 millis" },
        wrapStore: isSlow("160 millis")
      })
      const tokens = yield* during("10 seconds")(getAll(processes))
      assert.lengthOf(values(tokens), 1)
      assert.isAtMost((yield* requestTimes).length, 2)
      for (const process of processes) deepStrictEqual(warnings(process), [])
    }))

  it.scoped("fleet rule 3: a token that others wait for is stored even if its process stopped using the store", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requestTimes } = yield* makeFleet(2)
      const first = yield* Effect.fork(one.provider.get())
      yield* settle
      const waiting = yield* Effect.fork(two.provider.get())
      yield* settle
      // Because of another key the store counts as failing during the attempt
      yield* one.store.fail("connection lost")
      yield* Effect.forkScoped(one.provider.get({ scope: "other" }))
      yield* settle
      assert.lengthOf(warnings(one), 1)
      yield* one.store.fail(undefined)
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(value(yield* Fiber.join(first)), value(yield* Fiber.join(waiting)))
      deepStrictEqual(yield* requestTimes, [0, 0])
    }))

  it.scoped("rule 8: a failing store is not written to, even if another process stored a token as the endpoint answered", () =>
    Effect.gen(function*() {
      const other = yield* ProviderBench.make({ endpoint: { tokenPrefix: "2-" } })
      yield* during(0)(other.provider.get())
      const [entry] = (yield* other.store.entries).values()
      // Its token is found a little later or earlier than the endpoint's
      for (let steps = 0; steps < 6; steps++) {
        const answered = yield* Deferred.make<void>()
        const { key, processes: [one], sharedStore } = yield* makeFleet(1, {
          endpoint: { delay: 0 },
          wrapEndpoint: (endpoint) => ({
            ...endpoint,
            attempt: (...args) =>
              Effect.zipRight(
                Effect.zipRight(Deferred.await(answered), Effect.repeatN(Effect.yieldNow(), steps)),
                endpoint.attempt(...args)
              )
          })
        })
        const asking = yield* Effect.fork(one.provider.get())
        yield* settle
        yield* one.store.afterGet(() =>
          Effect.zipRight(Deferred.succeed(answered, undefined), Effect.repeatN(Effect.yieldNow(), 2))
        )
        yield* sharedStore.set(key, entry, Option.none())
        yield* settle
        const token = yield* Fiber.join(asking)
        yield* one.store.fail("connection lost")
        yield* during(0)(one.provider.get({ scope: "other" }))
        yield* one.store.fail(undefined)
        yield* one.store.resetRecords
        yield* during(0)(one.provider.renew(token))
        yield* settle
        deepStrictEqual(yield* one.store.calls, [])
      }
    }))

  it.scoped("fleet rule 4: a process whose claim came too late does not ask before that claim has ended", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      const sharedStore: TokenStore.TokenStore["Type"] = {
        ...memory,
        acquireLease: () => Effect.succeed(false),
        // All of them read the same before any of them writes
        set: (...entry) => Effect.delay(memory.set(...entry), "10 millis")
      }
      const processes = yield* Effect.forEach(
        Arr.range(1, 3),
        () => ProviderBench.make({ sharedStore, endpoint: { delay: "20 seconds" } })
      )
      yield* during("11 seconds")(Effect.exit(getAll(processes)))
      const times = yield* Effect.forEach(processes, ({ requestTimes }) => requestTimes)
      deepStrictEqual(times.flat().sort().map(Math.floor), [5, 8])
    }))

  it.scoped("fleet rule 4: if the endpoint has just failed, processes follow the pace", () =>
    Effect.gen(function*() {
      const { processes: [one], sharedStore, key } = yield* makeFleet(1)
      yield* sharedStore.acquireLease(key, ghost, Duration.seconds(12))
      yield* TestClock.adjust("3 seconds")
      yield* sharedStore.set(`${key}#pace`, {
        version: ghost,
        payload: JSON.stringify({ v: 1, count: 1, memory: 60_000 }),
        timeToLive: Duration.seconds(61)
      }, Option.none())
      const token = yield* Effect.fork(one.provider.get())
      // In force for 1 second, and remembered for 5 more
      yield* TestClock.adjust("5900 millis")
      deepStrictEqual(yield* one.requestTimes, [])
      yield* TestClock.adjust("600 millis")
      assert.strictEqual(value(yield* Fiber.join(token)), "1-1")
    }))

  const lies: Record<string, (store: TokenStore.TokenStore["Type"]) => Partial<TokenStore.TokenStore["Type"]>> = {
    "that it is busy": () => ({ acquireLease: () => Effect.succeed(false) }),
    "no to everything": () => ({
      get: () => Effect.succeedNone,
      set: () => Effect.succeed(false),
      remove: () => Effect.succeed(false),
      acquireLease: () => Effect.succeed(false),
      extendLease: () => Effect.succeed(false)
    }),
    "that the endpoint has just failed": (store) => ({
      get: (key) =>
        key.endsWith("#pace")
          ? Effect.succeedSome({
            version: ghost,
            payload: JSON.stringify({ v: 1, count: 1, memory: 0 }),
            timeToLive: Duration.seconds(3)
          })
          : store.get(key)
    })
  }
  for (const [name, lie] of Object.entries(lies)) {
    it.scoped(`rule 8: a store that always says ${name} costs a wait and no request`, () =>
      Effect.gen(function*() {
        const { processes: [one] } = yield* makeFleet(1, { wrapStore: (store) => ({ ...store, ...lie(store) }) })
        assert.strictEqual(value(yield* during("10 seconds")(one.provider.get())), "1-1")
      }))
  }

  it.scoped("fleet rule 9: a wait without a result is not repeated at once", () =>
    Effect.gen(function*() {
      const { keepBusy, processes: [one] } = yield* makeFleet(1, { maxWait: "2 seconds" })
      yield* keepBusy(Duration.seconds(2.5))
      yield* during("2 seconds")(Effect.flip(one.provider.get()))
      assert.strictEqual((yield* Effect.flip(one.provider.get()))._tag, "TokenProviderError")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* during("1 second")(one.provider.get())), "1-1")
    }))

  it.scoped("fleet rule 4: if the store fails during the wait, the process asks alone", () =>
    Effect.gen(function*() {
      const { lease, processes: [one] } = yield* makeFleet(1, { endpoint: { delay: 0 } })
      yield* lease
      const token = yield* Effect.fork(one.provider.get())
      yield* TestClock.adjust("1 second")
      yield* one.store.fail("connection lost")
      yield* TestClock.adjust("300 millis")
      assert.strictEqual(value(yield* Fiber.join(token)), "1-1")
      assert.lengthOf(warnings(one), 1)
    }))
})

describe.concurrent("TokenProvider, renewal: in the background", () => {
  const inWindow = Effect.gen(function*() {
    const fleet = yield* makeFleet(1, { endpoint: { delay: 0, lifetime: "100 seconds", retry: schedule } })
    yield* fleet.processes[0].provider.get()
    yield* TestClock.adjust("85 seconds")
    return { ...fleet, one: fleet.processes[0] }
  })

  it.scoped("fleet rule 7: if another process has the lease, it stops and looks again soon", () =>
    Effect.gen(function*() {
      const { lease, one } = yield* inWindow
      yield* lease
      yield* one.store.resetRecords
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(value(yield* one.provider.get()), "1-1")
        yield* TestClock.adjust("100 millis")
      }
      const looks = (yield* one.store.callsOf("acquireLease")).length
      assert.isTrue(looks >= 4 && looks <= 8, `${looks} looks in two seconds`)
      deepStrictEqual(yield* one.requestTimes, [0])
    }))

  it.scoped("fleet rule 7: it adopts what another process stored, without a request", () =>
    Effect.gen(function*() {
      const { one, sharedStore } = yield* inWindow
      const two = yield* ProviderBench.make({ sharedStore, endpoint: { tokenPrefix: "2-" } })
      yield* one.store.hang(true, "changes")
      // The first adopts, the second renews
      assert.strictEqual(value(yield* two.provider.get()), "1-1")
      yield* two.provider.get()
      yield* settle
      yield* one.provider.get()
      yield* settle
      assert.strictEqual(value(yield* one.provider.get()), "2-1")
      deepStrictEqual(yield* one.requestTimes, [0])
    }))

  it.scoped("fleet rule 7: a failed attempt paces the fleet: callers without a token wait for its end", () =>
    Effect.gen(function*() {
      const { key, one, sharedStore } = yield* inWindow
      yield* one.tokens.failNext(1)
      assert.strictEqual(value(yield* one.provider.get()), "1-1")
      yield* settle
      deepStrictEqual(yield* one.requestTimes, [0, 85])
      const two = yield* ProviderBench.make({ sharedStore, endpoint: { tokenPrefix: "2-" } })
      yield* two.store.corrupt(key, "garbage")
      const token = yield* Effect.fork(two.provider.get())
      yield* TestClock.adjust("999 millis")
      deepStrictEqual(yield* two.requestTimes, [])
      yield* TestClock.adjust("1 millis")
      deepStrictEqual(yield* two.requestTimes, [86])
      assert.strictEqual(value(yield* Fiber.join(token)), "2-1")
    }))
})
