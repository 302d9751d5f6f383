import { OAuthMetrics, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Effect, Fiber, Metric, Option, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value, warnings } from "./support/ProviderBench.js"
import { storeKey } from "./support/StoreKey.js"

const good = "https://good.test"
const bad = "https://bad.test"

/** The processes of a fleet; the tokens of each have its number. */
const makeFleet = Effect.fnUntraced(function*(size: number, options: Omit<ProviderBench.Options, "sharedStore"> = {}) {
  const sharedStore = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
  const processes = yield* Effect.forEach(
    Arr.range(1, size),
    (index) =>
      ProviderBench.make({ ...options, sharedStore, endpoint: { tokenPrefix: `${index}-`, ...options.endpoint } })
  )
  return {
    processes,
    sharedStore,
    /** The number of token requests of all processes. */
    requests: Effect.map(
      Effect.forEach(processes, ({ tokens }) => tokens.requests),
      (requests) => requests.flat().length
    )
  }
})

/** What AuthedHttpClient does with a resource that answers 401 to some tokens. */
const call = Effect.fnUntraced(function*(
  { provider }: ProviderBench.Bench,
  origin: string,
  accepts: (token: string) => boolean
) {
  const token = yield* provider.get(undefined, origin)
  if (accepts(value(token))) {
    yield* provider.report(token, "accepted", undefined, origin)
    return 200
  }
  const renewed = yield* provider.renew(token, undefined, origin)
  if (renewed === token) return 401
  const status = accepts(value(renewed)) ? 200 : 401
  yield* provider.report(renewed, status === 200 ? "accepted" : "rejected", undefined, origin)
  return status
})

const everything = () => true
const nothing = () => false

describe.concurrent("TokenProvider, a fleet", () => {
  it.scoped("rule 4: a token that is rejected in all processes is replaced once", () =>
    Effect.gen(function*() {
      const { processes, requests } = yield* makeFleet(8, { endpoint: { delay: "200 millis" } })
      const all = <A, E>(f: (bench: ProviderBench.Bench) => Effect.Effect<A, E>) =>
        during("1 second")(Effect.forEach(processes, f, { concurrency: "unbounded" }))
      const old = yield* all(({ provider }) => provider.get())
      yield* TestClock.adjust("1 minute")
      const statuses = yield* all((bench) => call(bench, good, (token) => token !== value(old[0])))
      deepStrictEqual(new Set(statuses), new Set([200]))
      assert.strictEqual(yield* requests, 2)
    }))

  it.scoped("fleet rule 10: a token that another process stored is adopted before the next request, without a 401", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requests } = yield* makeFleet(2)
      const first = yield* one.provider.get()
      yield* settle
      assert.strictEqual(value(yield* two.provider.get()), "1-1")
      yield* one.provider.renew(first)
      yield* settle
      assert.strictEqual(value(two.provider.peek()!), "1-2")
      assert.strictEqual(yield* requests, 2)
    }))

  it.scoped("fleet rule 10: a notice does not make a process adopt a token that it knows to be rejected", () =>
    Effect.gen(function*() {
      const { processes: [one, two], sharedStore } = yield* makeFleet(2)
      const first = yield* one.provider.get()
      yield* settle
      const [{ entry, key }] = yield* one.store.callsOf("set")
      yield* two.provider.get()
      yield* two.provider.renew(first)
      yield* settle
      assert.strictEqual(value(two.provider.peek()!), "2-1")
      const current = Option.getOrThrow(yield* sharedStore.get(key))
      assert.isTrue(yield* sharedStore.set(key, { ...entry, version: "again" }, Option.some(current.version)))
      yield* settle
      assert.strictEqual(value(two.provider.peek()!), "2-1")
    }))

  it.scoped("fleet rule 10: in steady state nothing is read, and a notice costs one read", () =>
    Effect.gen(function*() {
      const { processes: [one, two] } = yield* makeFleet(2)
      const first = yield* one.provider.get()
      yield* settle
      yield* two.provider.get()
      yield* settle
      yield* two.store.resetRecords
      for (let i = 0; i < 100; i++) yield* two.provider.get()
      deepStrictEqual(yield* two.store.calls, [])
      yield* one.provider.renew(first)
      yield* settle
      for (let i = 0; i < 100; i++) yield* two.provider.get()
      deepStrictEqual((yield* two.store.calls).map(({ method }) => method), ["get"])
    }))

  it.scoped("fleet rule 10: notices of unused keys cost nothing", () =>
    Effect.gen(function*() {
      const { processes: [one, two] } = yield* makeFleet(2)
      yield* two.provider.get()
      yield* settle
      yield* two.store.resetRecords
      yield* one.provider.get({ scope: "other" })
      yield* settle
      deepStrictEqual(yield* two.store.calls, [])
    }))

  it.scoped("fleet rule 10: without notices a process finds a new token when it needs one", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requests } = yield* makeFleet(2)
      yield* two.store.hang(true, "changes")
      const first = yield* one.provider.get()
      yield* settle
      yield* two.provider.get()
      yield* one.provider.renew(first)
      yield* settle
      assert.strictEqual(yield* call(two, good, (token) => token !== "1-1"), 200)
      assert.strictEqual(yield* requests, 2)
    }))

  it.scoped("the wait for the lease of another process is measured in seconds", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const { processes, requests } = yield* Effect.tagMetrics(
        makeFleet(2, { endpoint: { delay: "400 millis" } }),
        "test",
        "lease"
      )
      yield* during("1 second")(Effect.forEach(processes, ({ provider }) => provider.get(), { concurrency: 2 }))
      assert.strictEqual(yield* requests, 1)
      const { count, sum } = yield* Metric.value(Metric.tagged(OAuthMetrics.leaseWaitDuration, "test", "lease"))
      deepStrictEqual([count, sum], [1, 0.4])
    }))

  it.effect("a clock that is set back reduces no measured wait for a lease", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      yield* Effect.scoped(Effect.gen(function*() {
        const { processes } = yield* makeFleet(2, { endpoint: { delay: "1 minute" } })
        for (const { provider } of processes) yield* Effect.fork(provider.get())
        yield* settle
        yield* TestClock.setTime(0)
      }))
      const { count, sum } = yield* Metric.value(Metric.tagged(OAuthMetrics.leaseWaitDuration, "test", "clock"))
      deepStrictEqual([count, sum], [1, 0])
    }).pipe(Effect.tagMetrics("test", "clock")))

  it.scoped("a background renewal that may not start yet is no failure, however short maxWait is", () =>
    Effect.gen(function*() {
      const { processes: [one, two] } = yield* makeFleet(2, { maxWait: "1 second" })
      yield* one.provider.get()
      yield* settle
      yield* two.provider.get()
      for (const { tokens } of [one, two]) yield* tokens.fail(TestTokenEndpoint.unavailable)
      yield* TestClock.adjust("56 minutes")
      for (const { provider } of [one, two]) {
        yield* provider.get()
        yield* settle
      }
      assert.lengthOf(warnings(one), 1)
      deepStrictEqual(yield* Effect.map(two.tokens.requests, (requests) => requests.length), 0)
      assert.lengthOf(warnings(two), 0)
    }))

  it.scoped("rule 2: two scopes have separate leases and tokens", () =>
    Effect.gen(function*() {
      const { processes, requests } = yield* makeFleet(4, { endpoint: { delay: "200 millis" } })
      const get = (scope: string) =>
        Effect.forEach(processes, ({ provider }) => provider.get({ scope }), { concurrency: "unbounded" })
      const [read, write] = yield* during("1 second")(
        Effect.all([get("read"), get("write")], { concurrency: "unbounded" })
      )
      assert.strictEqual(new Set(read.map(value)).size, 1)
      assert.strictEqual(new Set(write.map(value)).size, 1)
      assert.notStrictEqual(value(read[0]), value(write[0]))
      assert.strictEqual(yield* requests, 2)
    }))
})

describe.concurrent("TokenProvider, a fleet and a resource that rejects everything", () => {
  it.scoped("fleet rule 6: a fruitless renewal pauses renewals for that origin in all processes, and no others", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requests } = yield* makeFleet(2)
      assert.strictEqual(yield* call(one, bad, nothing), 401)
      yield* settle
      assert.strictEqual(yield* requests, 2)
      assert.strictEqual(yield* call(two, bad, nothing), 401)
      assert.strictEqual(yield* call(two, good, everything), 200)
      yield* settle
      assert.strictEqual(yield* requests, 2)
      // The pause is known here now: the next call does not read the store
      yield* two.store.resetRecords
      assert.strictEqual(yield* call(two, bad, nothing), 401)
      deepStrictEqual(yield* two.store.calls, [])
    }))

  it.scoped("fleet rule 6: all processes double one pause", () =>
    Effect.gen(function*() {
      const { processes, requests } = yield* makeFleet(3)
      const counts: Array<number> = []
      for (let second = 0; second < 16; second++) {
        for (const bench of processes) {
          assert.strictEqual(yield* call(bench, bad, nothing), 401)
          yield* settle
        }
        counts.push(yield* requests)
        yield* TestClock.adjust("1 second")
      }
      // A first token, then one request at 0, 1, 3 and 7 seconds
      deepStrictEqual(counts, [2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 6])
    }))

  it.scoped("fleet rule 6: a successful replay ends the pause for all", () =>
    Effect.gen(function*() {
      const { processes: [one, two, three], sharedStore } = yield* makeFleet(3)
      assert.strictEqual(yield* call(one, bad, nothing), 401)
      yield* settle
      const key = storeKey((yield* one.tokens.requests)[0].request)
      const keysRead = Effect.map(three.store.callsOf("get"), (calls) => calls.map((call) => call.key))
      assert.strictEqual(yield* call(three, bad, nothing), 401)
      const pauseKey = (yield* keysRead).find((read) => read.startsWith(`${key}#pause:`))!
      assert.isTrue(Option.isSome(yield* sharedStore.get(pauseKey)))
      // The resource works again
      assert.strictEqual(yield* call(two, bad, everything), 200)
      yield* settle
      assert.isTrue(Option.isSome(yield* sharedStore.get(pauseKey)))
      assert.strictEqual(yield* call(one, bad, everything), 200)
      yield* settle
      assert.isTrue(Option.isNone(yield* sharedStore.get(pauseKey)))
    }))

  it.scoped("fleet rule 6: no pause delays a renewal due to expiry", () =>
    Effect.gen(function*() {
      const { processes: [one, two] } = yield* makeFleet(2, { endpoint: { lifetime: "100 seconds" } })
      yield* TestClock.adjust("1 second")
      for (let i = 0; i < 8; i++) {
        yield* call(one, bad, nothing)
        yield* settle
        yield* TestClock.adjust("12 seconds")
      }
      yield* TestClock.adjust("3 minutes")
      yield* call(one, bad, nothing)
      yield* settle
      yield* TestClock.adjust("100 seconds")
      assert.strictEqual(yield* call(two, good, everything), 200)
    }))
})

describe.concurrent("TokenProvider, habits of a server", () => {
  /** The resource accepts only a process's own tokens. */
  const callBound = (bench: ProviderBench.Bench, index: number) =>
    call(bench, good, (token) => token.startsWith(`${index}-`))

  it.scoped("fleet rule 11: a process for which only its own tokens work stops sharing, and logs that once", () =>
    Effect.gen(function*() {
      const { processes: [one, two], requests } = yield* makeFleet(2)
      for (let i = 0; i < 10; i++) {
        for (const [index, bench] of [one, two].entries()) {
          assert.strictEqual(yield* callBound(bench, index + 1), 200)
          yield* settle
          yield* TestClock.adjust("1 second")
        }
      }
      const settled = yield* requests
      assert.isAtMost(settled, 8)
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(yield* callBound(one, 1), 200)
        assert.strictEqual(yield* callBound(two, 2), 200)
        yield* settle
      }
      assert.strictEqual(yield* requests, settled)
      const said = [...warnings(one), ...warnings(two)]
      assert.isAtLeast(said.length, 1)
      for (const text of said) assert.include(text, "bound to the process")
      assert.isAtMost(warnings(one).length, 1)
      assert.isAtMost(warnings(two).length, 1)
    }))

  /** Two processes for which only their own tokens work, until one detects it. */
  const divided = Effect.gen(function*() {
    const { processes: [one, two] } = yield* makeFleet(2)
    for (let i = 0; i < 10; i++) {
      yield* callBound(one, 1)
      yield* callBound(two, 2)
      yield* settle
      yield* TestClock.adjust("1 second")
    }
    const [alone, other] = warnings(one).length > 0 ? [one, two] : [two, one]
    return { alone, other }
  })

  it.scoped("fleet rule 11: a key that is not shared is neither read nor written until an own token is rejected", () =>
    Effect.gen(function*() {
      const { alone } = yield* divided
      yield* alone.store.resetRecords
      const own = yield* alone.provider.get()
      yield* TestClock.adjust("1 hour")
      yield* alone.provider.get()
      yield* settle
      deepStrictEqual(yield* alone.store.calls, [])
      const next = yield* alone.provider.get()
      assert.notStrictEqual(value(next), value(own))
      yield* alone.provider.renew(next, undefined, good)
      yield* settle
      assert.isAbove((yield* alone.store.calls).length, 0)
    }))

  it.scoped("fleet rule 11: a key that is not shared is not read to end a cool-down", () =>
    Effect.gen(function*() {
      const { alone, other } = yield* divided
      yield* TestClock.adjust("1 hour")
      yield* alone.tokens.failNext(1, TestTokenEndpoint.invalidClient)
      const error = yield* Effect.flip(alone.provider.get())
      yield* other.provider.get()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Effect.flip(alone.provider.get()), error)
    }))

  it.scoped("fleet rule 12: tokens that repeatedly become invalid early are logged once", () =>
    Effect.gen(function*() {
      const [bench] = (yield* makeFleet(1)).processes
      for (let i = 0; i < 6; i++) {
        const dead = new Set<string>()
        assert.strictEqual(yield* call(bench, good, everything), 200)
        dead.add(value(yield* bench.provider.get()))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* call(bench, good, (token) => !dead.has(token)), 200)
        yield* TestClock.adjust("10 seconds")
      }
      assert.lengthOf(warnings(bench), 1)
      assert.include(warnings(bench)[0], "one active token per client")
    }))

  it.scoped("fleet rule 12: a token older than the replaced one does not count", () =>
    Effect.gen(function*() {
      const [bench] = (yield* makeFleet(1)).processes
      const { provider } = bench
      const oldest = yield* provider.get()
      const old = yield* provider.renew(oldest)
      yield* settle
      const tokens = [oldest, old, yield* provider.renew(old)]
      yield* settle
      yield* Effect.forEach(tokens, (token) => provider.report(token, "accepted", undefined, good))
      yield* TestClock.adjust("1 second")
      // Three that became invalid early would be a habit
      yield* Effect.forEach(tokens, (token) => provider.renew(token, undefined, good))
      yield* settle
      deepStrictEqual(warnings(bench), [])
    }))
})

describe.concurrent("TokenProvider, a fleet that loses its store", () => {
  it.scoped("rule 8: if a fleet loses its store, each process renews for itself until the store is back", () =>
    Effect.gen(function*() {
      const { processes, requests } = yield* makeFleet(3, { endpoint: { lifetime: "100 seconds" } })
      const all = (f: (bench: ProviderBench.Bench) => Effect.Effect<unknown>) => Effect.forEach(processes, f)
      yield* all(({ store }) => store.fail("connection refused"))
      const fibers = yield* Effect.forEach(processes, ({ provider }) => Effect.fork(provider.get()))
      yield* settle
      yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(yield* requests, 3)
      yield* all(({ store }) => store.fail(undefined))
      yield* TestClock.adjust("85 seconds")
      for (const { provider } of processes) {
        yield* provider.get()
        yield* settle
      }
      const tokens = yield* Effect.forEach(processes, ({ provider }) => provider.get())
      assert.strictEqual(new Set(tokens.map(value)).size, 1)
      assert.strictEqual(yield* requests, 4)
      for (const bench of processes) assert.lengthOf(warnings(bench), 1)
    }))
})
