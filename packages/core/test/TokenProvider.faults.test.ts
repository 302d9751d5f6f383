import { OAuthError, RetryPolicy, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, Schedule, Scope, TestClock, Tracer } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { settle, value, warnings } from "./support/ProviderBench.js"

type Store = TokenStore.TokenStore["Type"]

const makeShared = TokenStore.makeMemory({ sharing: TokenStore.byTurns })

/** The store of a fleet, and its control. */
const makeControlled = Effect.map(makeShared, TestTokenStore.make)

const onlyKey = (store: TestTokenStore.TestTokenStore["Type"]) =>
  Effect.map(store.callsOf("get"), ([first]) => first.key)

const tooMany = (retryAfter: Duration.DurationInput) =>
  new OAuthError.TokenEndpointError({
    ...TestTokenEndpoint.unavailable,
    status: 429,
    retryAfter: Duration.decode(retryAfter)
  })

const polled = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, text: string): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    assert.isNotNull(fiber.unsafePoll(), text)
    return Fiber.join(fiber)
  })

describe.concurrent("TokenProvider, waiting", () => {
  for (const isShared of [false, true]) {
    it.scoped(`a token that is rejected at once is renewed without delay (isShared ${isShared})`, () =>
      Effect.gen(function*() {
        const sharedStore = yield* TokenStore.makeMemory({
          sharing: isShared ? TokenStore.byTurns : TokenStore.lastWriteWins
        })
        const { provider } = yield* ProviderBench.make({ sharedStore })
        const fiber = yield* Effect.fork(Effect.gen(function*() {
          const token = yield* provider.get()
          const renewed = yield* provider.renew(token)
          return yield* provider.renew(renewed)
        }))
        yield* settle
        assert.strictEqual(value(yield* polled(fiber, "still waiting")), "token-3")
      }))
  }

  it.scoped("if the endpoint fails slowly, only the first caller waits for a token of unknown lifetime", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "none" },
        defaultLifetime: "10 minutes"
      })
      yield* provider.get()
      yield* TestClock.adjust("11 minutes")
      yield* tokens.setDelay("5 seconds")
      yield* tokens.failNext(10)
      const first = yield* Effect.fork(provider.get())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(value(yield* polled(first, "first")), "token-1")
      yield* TestClock.adjust("10 seconds")
      const second = yield* Effect.fork(provider.get())
      yield* settle
      assert.strictEqual(value(yield* polled(second, "second waits too")), "token-1")
    }))

  it.scoped("a lease release that hangs does not delay callers", () =>
    Effect.gen(function*() {
      const { control, store } = yield* makeControlled
      const { provider, tokens } = yield* ProviderBench.make({ storeTimeout: undefined, sharedStore: store })
      yield* control.hang(true, "releaseLease")
      yield* tokens.failNext(1, TestTokenEndpoint.invalidClient)
      const fiber = yield* Effect.fork(Effect.flip(provider.get()))
      yield* settle
      const waits = fiber.unsafePoll() === null
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.isFalse(waits, "waits for the release")
    }))
})

describe.concurrent("TokenProvider, stores", () => {
  it.scoped("a request gets its token if acquireLease returns no boolean", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({
        wrapStore: (store) => ({
          ...store,
          sharing: TokenStore.byTurns,
          acquireLease: () => Effect.succeed(undefined as never)
        })
      })
      const fiber = yield* Effect.fork(bench.provider.get())
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(value(yield* polled(fiber, "no token")), "token-1")
      assert.lengthOf(warnings(bench), 1)
    }))

  it.scoped("a token stays the process's own if its write happened but returned false (a driver that sent it twice)", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({
        wrapStore: (store) => ({
          ...store,
          sharing: TokenStore.byTurns,
          set: (key, entry, replaces) =>
            Effect.zipRight(store.set(key, entry, replaces), store.set(key, entry, replaces))
        })
      })
      const { provider } = bench
      // A resource that rejects everything: the second renewal is paused
      const one = yield* provider.get()
      yield* settle
      const two = yield* provider.renew(one)
      yield* settle
      yield* provider.report(two, "rejected")
      yield* settle
      const three = yield* provider.renew(two)
      assert.strictEqual(value(three), value(two), "a fruitless renewal did not begin a pause")
    }))

  it.scoped("a new token is stored if a lease extension failed once", () =>
    Effect.gen(function*() {
      const { control, store } = yield* makeControlled
      const { provider } = yield* ProviderBench.make({ sharedStore: store, endpoint: { delay: "2 seconds" } })
      yield* control.fail("hiccup", "extendLease")
      const fiber = yield* Effect.fork(provider.get())
      yield* TestClock.adjust("2 seconds")
      yield* polled(fiber, "no token")
      yield* settle
      assert.strictEqual((yield* control.entries).size, 1)
    }))

  for (const [name, note] of [["pace", "#pace"], ["pause", "#pause:"]] as const) {
    it.scoped(`a ${name} whose entry never expires (PERSIST, another version) does not stop renewals for ever`, () =>
      Effect.gen(function*() {
        const { control, store } = yield* makeControlled
        const eternal: Store = {
          ...store,
          set: (key, entry, replaces) =>
            store.set(key, key.includes(note) ? { ...entry, timeToLive: Duration.infinity } : entry, replaces)
        }
        const one = yield* ProviderBench.make({ sharedStore: eternal, endpoint: { tokenPrefix: "one-" } })
        const two = yield* ProviderBench.make({ sharedStore: eternal, endpoint: { tokenPrefix: "two-" } })
        if (name === "pace") {
          yield* one.tokens.failNext(1)
          yield* Effect.flip(one.provider.get())
        } else {
          const first = yield* one.provider.get()
          yield* settle
          const second = yield* one.provider.renew(first)
          yield* settle
          yield* one.provider.report(second, "rejected")
          yield* settle
        }
        yield* TestClock.adjust("2 minutes")
        const fiber = yield* Effect.fork(
          name === "pace"
            ? Effect.map(two.provider.get(), value)
            : Effect.flatMap(
              two.provider.get(),
              (token) =>
                Effect.map(two.provider.renew(token), (renewed) => value(renewed) === value(token) ? "paused" : "two-1")
            )
        )
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual(yield* polled(fiber, "waits"), "two-1")
        assert.isAbove((yield* control.calls).length, 0)
      }))
  }

  it.scoped("a pace written while a process acquires the lease is kept", () =>
    Effect.gen(function*() {
      const memory = yield* makeShared
      const one = yield* ProviderBench.make({
        sharedStore: memory,
        endpoint: { delay: "100 millis", retry: Schedule.spaced("4 seconds") }
      })
      const two = yield* ProviderBench.make({
        sharedStore: memory,
        // The request for the lease takes a moment to arrive
        wrapStore: (store) => ({
          ...store,
          acquireLease: (key, owner, duration) =>
            Effect.zipRight(Effect.delay(Effect.void, "200 millis"), store.acquireLease(key, owner, duration))
        }),
        endpoint: { tokenPrefix: "two-" }
      })
      yield* one.tokens.failNext(1)
      yield* Effect.fork(Effect.exit(one.provider.get()))
      yield* settle
      yield* Effect.fork(Effect.exit(two.provider.get()))
      yield* TestClock.adjust("1 second")
      deepStrictEqual(yield* two.requestTimes, [])
    }))

  it.effect("a lease requested when the scope closed is released", () =>
    Effect.gen(function*() {
      const memory = yield* makeShared
      const scope = yield* Scope.make()
      let key = ""
      const one = yield* Scope.extend(
        ProviderBench.make({
          sharedStore: memory,
          wrapStore: (store) => ({
            ...store,
            // Once sent it cannot be cancelled
            acquireLease: (name, owner, duration) => {
              key = name
              return Effect.uninterruptible(
                Effect.delay(store.acquireLease(name, owner, duration), "50 millis")
              )
            },
            releaseLease: (name, owner) =>
              Effect.uninterruptible(Effect.delay(store.releaseLease(name, owner), "60 millis"))
          })
        }),
        scope
      )
      yield* Effect.fork(Effect.exit(one.provider.get()))
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(closing)
      assert.isTrue(yield* memory.acquireLease(key, "another", Duration.seconds(3)))
    }))
})

describe.concurrent("TokenProvider, schedules in a fleet", () => {
  it.scoped("an exhausted Schedule without delays slows the fleet down", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const endpoint = { retry: Schedule.recurs(2) }
      const fleet = yield* Effect.all([1, 2, 3, 4].map(() => ProviderBench.make({ sharedStore, endpoint })))
      for (const { tokens } of fleet) yield* tokens.failNext(100)
      for (const { provider } of fleet) yield* Effect.fork(Effect.exit(provider.get()))
      yield* TestClock.adjust("900 millis")
      const times = yield* Effect.all(fleet.map(({ requestTimes }) => requestTimes))
      // Three attempts, and then none within the failure cool-down
      assert.lengthOf(times.flat(), 3)
    }))

  it.scoped("a Schedule limited by elapsed time ends in a fleet as in one process", () =>
    Effect.gen(function*() {
      const retry = Schedule.spaced("500 millis").pipe(Schedule.upTo("2 seconds"))
      const counts: Array<number> = []
      for (const isShared of [false, true]) {
        const sharedStore = yield* TokenStore.makeMemory({
          sharing: isShared ? TokenStore.byTurns : TokenStore.lastWriteWins
        })
        const { provider, tokens } = yield* ProviderBench.make({ sharedStore, endpoint: { retry } })
        yield* tokens.failNext(100)
        const fiber = yield* Effect.fork(Effect.flip(provider.get()))
        yield* TestClock.adjust("4 seconds")
        yield* polled(fiber, `isShared ${isShared}: still at it`)
        counts.push((yield* tokens.requests).length)
      }
    }))

  it.scoped("a Schedule is stepped once per failed attempt: its side effects are not repeated", () =>
    Effect.gen(function*() {
      let taps = 0
      const retry = Schedule.recurs(3).pipe(
        Schedule.addDelay(() => "100 millis"),
        Schedule.tapInput((_: OAuthError.TokenRequestError) =>
          Effect.sync(() => {
            taps++
          })
        )
      )
      const { provider, tokens } = yield* ProviderBench.make({ sharedStore: yield* makeShared, endpoint: { retry } })
      yield* tokens.failNext(3)
      const fiber = yield* Effect.fork(provider.get())
      yield* TestClock.adjust("2 seconds")
      yield* polled(fiber, "no token")
      assert.strictEqual(taps, 3)
    }))

  it.scoped("with Retry-After: 0 and no Schedule the fleet does not ask repeatedly", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const endpoint = { retry: RetryPolicy.none }
      const fleet = yield* Effect.all([1, 2, 3, 4].map(() => ProviderBench.make({ sharedStore, endpoint })))
      for (const { tokens } of fleet) yield* tokens.failNext(100, tooMany(0))
      for (const { provider } of fleet) yield* Effect.fork(Effect.exit(provider.get()))
      yield* TestClock.adjust("900 millis")
      const times = yield* Effect.all(fleet.map(({ requestTimes }) => requestTimes))
      assert.lengthOf(times.flat(), 1)
    }))
})

describe.concurrent("TokenProvider, cool-downs", () => {
  it.scoped("a cool-down ends when another process has stored a token", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const one = yield* ProviderBench.make({ sharedStore, endpoint: { retry: RetryPolicy.none } })
      const two = yield* ProviderBench.make({ sharedStore, endpoint: { tokenPrefix: "two-" } })
      yield* one.tokens.failNext(1, tooMany("60 seconds"))
      yield* Effect.flip(one.provider.get())
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(value(yield* two.provider.get()), "two-1")
      yield* settle
      const exit = yield* Effect.exit(one.provider.get())
      assert.isTrue(Exit.isSuccess(exit), "fails although a good token is in the store")
    }))

  it.scoped("rule 7: Retry-After beyond maxWait fails callers of a fleet at once, and counts from the response", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({
        sharedStore,
        endpoint: { retry: RetryPolicy.standard }
      })
      yield* tokens.failNext(1, tooMany("20 seconds"))
      const fiber = yield* Effect.fork(Effect.flip(provider.get()))
      yield* settle
      deepStrictEqual((yield* polled(fiber, "still waits")).retryAfter, Duration.seconds(20))
      yield* TestClock.adjust("20 seconds")
      const second = yield* Effect.fork(Effect.exit(provider.get()))
      yield* settle
      assert.isTrue(Exit.isSuccess(yield* polled(second, "waits")), `${yield* requestTimes}`)
    }))
})

describe.concurrent("TokenProvider, a pause that ended", () => {
  it.scoped("an origin that accepted a token again is not paused by an earlier write", () =>
    Effect.gen(function*() {
      const { control, store } = yield* makeControlled
      const { provider } = yield* ProviderBench.make({ sharedStore: store })
      const one = yield* provider.get()
      yield* settle
      const two = yield* provider.renew(one)
      yield* settle
      yield* control.setDelay("100 millis", "get")
      yield* provider.report(two, "rejected")
      yield* TestClock.adjust("50 millis")
      yield* provider.report(two, "accepted")
      yield* TestClock.adjust("500 millis")
      yield* control.setDelay(0, "get")
      const fiber = yield* Effect.fork(provider.renew(two))
      yield* settle
      assert.strictEqual(value(yield* polled(fiber, "waits")), "token-3")
    }))

  it.scoped("fleet rule 6: a pause that ends before the fleet knows of it is over, also with an empty bucket", () =>
    Effect.gen(function*() {
      const { control, store } = yield* makeControlled
      const { provider } = yield* ProviderBench.make({ sharedStore: store })
      let token = yield* provider.get()
      yield* settle
      for (let i = 0; i < 6; i++) {
        token = yield* provider.renew(token)
        yield* settle
        if (i < 5) yield* provider.report(token, "accepted")
      }
      assert.strictEqual(value(token), "token-7")
      yield* control.setDelay("100 millis", "get")
      yield* provider.report(token, "rejected")
      yield* provider.report(token, "accepted")
      yield* TestClock.adjust("1 second")
      yield* control.setDelay(0, "get")
      // With the bucket full again, the next failure counts as the first: a pause of a second
      yield* TestClock.adjust("30 seconds")
      const fruitless = yield* provider.renew(token)
      assert.strictEqual(value(fruitless), "token-8")
      yield* settle
      yield* provider.report(fruitless, "rejected")
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* provider.renew(fruitless)), "token-9")
    }))
})

describe.concurrent("TokenProvider, faults of leases and pauses", () => {
  it.scoped("one lost lease extension does not end the lease", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const options = { sharedStore, maxWait: "20 seconds", endpoint: { delay: "5 seconds" } } as const
      const one = yield* ProviderBench.make(options)
      const two = yield* ProviderBench.make(options)
      yield* one.store.fail("hiccup", "extendLease")
      yield* Effect.fork(one.provider.get())
      yield* settle
      yield* Effect.fork(Effect.exit(two.provider.get()))
      yield* TestClock.adjust("1500 millis")
      yield* one.store.fail(undefined, "extendLease")
      yield* TestClock.adjust("4 seconds")
      deepStrictEqual(yield* two.requestTimes, [])
    }))

  for (const method of ["extendLease", "get"] as const) {
    it.scoped(`an outage of the store is logged also after one failure of ${method}`, () =>
      Effect.gen(function*() {
        const sharedStore = yield* makeShared
        const bench = yield* ProviderBench.make({
          sharedStore,
          endpoint: { lifetime: "100 seconds", delay: method === "get" ? 0 : "1500 millis" }
        })
        yield* bench.store.fail("hiccup", method)
        yield* Effect.fork(bench.provider.get())
        yield* TestClock.adjust("2 seconds")
        yield* bench.store.fail(undefined)
        yield* bench.tokens.setDelay(0)
        const known = method === "get" ? 1 : 0
        assert.lengthOf(warnings(bench), known)
        // Nine renewals succeed, and the store works
        for (let i = 0; i < 9; i++) {
          yield* TestClock.adjust("100 seconds")
          yield* bench.provider.get()
          yield* settle
        }
        yield* bench.store.fail("connection refused")
        yield* TestClock.adjust("100 seconds")
        yield* bench.provider.get()
        yield* settle
        assert.lengthOf(warnings(bench), known + 1)
      }))
  }

  it.scoped("a paused origin's caller gets its 401 at once, also during a renewal for others", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      const bad = "https://bad.test"
      const one = yield* provider.get(undefined, bad)
      yield* TestClock.adjust("79 seconds")
      const two = yield* provider.renew(one, undefined, bad)
      yield* provider.report(two, "rejected", undefined, bad)
      // Paused for a second; the others start a renewal, whose response takes long
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(value(yield* provider.renew(two, undefined, bad)), value(two))
      yield* tokens.setDelay("8 seconds")
      const third = yield* Effect.fork(provider.renew(two, undefined, "https://other.test"))
      yield* settle
      const held = yield* Effect.fork(provider.renew(two, undefined, bad))
      yield* settle
      const waits = held.unsafePoll() === null
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(third)
      assert.isFalse(waits)
    }))

  it.scoped("a flight whose Schedule never ends ends within maxWait, with or without a store", () =>
    Effect.gen(function*() {
      for (const isShared of [true, false]) {
        const sharedStore = yield* TokenStore.makeMemory({
          sharing: isShared ? TokenStore.byTurns : TokenStore.lastWriteWins
        })
        const { provider, requestTimes, tokens } = yield* ProviderBench.make({
          sharedStore,
          endpoint: { retry: Schedule.spaced("1 minute") }
        })
        yield* tokens.failNext(1)
        const first = yield* Effect.fork(Effect.exit(provider.get()))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(first)
        yield* TestClock.adjust("10 seconds")
        // The endpoint works again
        const second = yield* Effect.fork(Effect.exit(provider.get()))
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(
          Exit.isSuccess(yield* Fiber.join(second)),
          `isShared ${isShared}: ${yield* requestTimes}`
        )
      }
    }))
})

describe.concurrent("TokenProvider, errors after maxWait", () => {
  it.scoped("if the endpoint hangs, the caller gets an error within maxWait by default, and a second attempt is made", () =>
    Effect.gen(function*() {
      let requests = 0
      const silent = HttpClient.make(() => Effect.zipRight(Effect.sync(() => requests++), Effect.never))
      const endpoint = TokenEndpoint.layer({
        tokenEndpoint: "https://auth.test/token",
        clientId: "app",
        clientSecret: Redacted.make("secret")
      })
      const provider = yield* TokenProvider.make().pipe(
        Effect.provide(Layer.merge(endpoint, TokenStore.layerMemory())),
        Effect.provideService(HttpClient.HttpClient, silent)
      )
      const fiber = yield* Effect.fork(Effect.flip(provider.get()))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(
        (yield* Fiber.join(fiber)).message,
        "Token endpoint https://auth.test/token: no answer within 8s"
      )
      assert.strictEqual(requests, 2)
    }))

  for (const isShared of [true, false]) {
    it.scoped(`after maxWait the caller gets the endpoint's error (isShared ${isShared})`, () =>
      Effect.gen(function*() {
        const sharedStore = yield* TokenStore.makeMemory({
          sharing: isShared ? TokenStore.byTurns : TokenStore.lastWriteWins
        })
        const { provider, tokens } = yield* ProviderBench.make({
          sharedStore,
          maxWait: "2 seconds",
          endpoint: { retry: RetryPolicy.exponential({ base: "500 millis", times: 10, jitter: false }) }
        })
        yield* tokens.failNext(100)
        const fiber = yield* Effect.fork(Effect.flip(provider.get()))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* Fiber.join(fiber)).message, TestTokenEndpoint.unavailable.message)
      }))
  }
})

describe.concurrent("TokenProvider, faults of tokens and spans", () => {
  it.scoped("a 401 does not restore a token that this process replaced", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const { provider, store, tokens } = yield* ProviderBench.make({
        sharedStore,
        endpoint: { lifetime: "100 seconds" }
      })
      yield* provider.get()
      yield* settle
      yield* TestClock.adjust("81 seconds")
      // The background renewal succeeds, but its write fails
      yield* store.fail("hiccup", "set")
      yield* provider.get()
      yield* settle
      yield* store.fail(undefined)
      const good = yield* provider.get()
      assert.strictEqual(value(good), "token-2")
      yield* TestClock.adjust("6 seconds")
      yield* provider.renew(good, undefined, "https://bad.test")
      yield* settle
      assert.notStrictEqual(value(yield* provider.get(undefined, "https://good.test")), "token-1")
      assert.isAbove((yield* tokens.requests).length, 2)
    }))

  it.scoped("the span of a failed renewal shows the failure", () =>
    Effect.gen(function*() {
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => ({
          _tag: "Span",
          name,
          spanId: name,
          traceId: name,
          parent,
          context,
          status: { _tag: "Started", startTime },
          attributes: new Map(),
          links,
          sampled: true,
          kind,
          end: (_, exit) => {
            exits.push(exit)
          },
          attribute: () => {},
          event: () => {},
          addLinks: () => {}
        }),
        context: (f) => f()
      })
      const { provider, tokens } = yield* Effect.withTracer(
        ProviderBench.make({ sharedStore: yield* makeShared }),
        tracer
      )
      yield* tokens.failNext(1)
      yield* Effect.flip(provider.get())
      yield* settle
      assert.lengthOf(exits, 1)
      assert.isTrue(Exit.isFailure(exits[0]))
    }))

  it.scoped("a notice during an attempt does not shorten the wait after it", () =>
    Effect.gen(function*() {
      const sharedStore = yield* makeShared
      const { provider, requestTimes, store, tokens } = yield* ProviderBench.make({
        sharedStore,
        endpoint: { delay: "100 millis", retry: Schedule.spaced("8 seconds") }
      })
      yield* tokens.failNext(1)
      yield* Effect.fork(Effect.exit(provider.get()))
      yield* settle
      const key = yield* onlyKey(store)
      yield* TestClock.adjust("50 millis")
      yield* store.corrupt(key, "garbage")
      yield* TestClock.adjust("7 seconds")
      deepStrictEqual(yield* requestTimes, [0])
    }))
})
