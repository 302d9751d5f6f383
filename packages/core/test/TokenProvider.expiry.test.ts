import { RetryPolicy } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { type Clock, Duration, Effect, Fiber, Option, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value, warnings } from "./support/ProviderBench.js"

/** Calls every `step` for some time: the tokens it got, with the time in seconds. */
const traffic = (bench: ProviderBench.Bench, duration: Duration.DurationInput, step: Duration.DurationInput) =>
  Effect.gen(function*() {
    const given: Array<string> = []
    const steps = Math.round(Duration.toMillis(duration) / Duration.toMillis(step))
    for (let i = 0; i < steps; i++) {
      const fiber = yield* Effect.fork(Effect.exit(bench.provider.get()))
      yield* TestClock.adjust(step)
      const exit = yield* Fiber.join(fiber)
      given.push(exit._tag === "Success" ? value(exit.value) : "failed")
    }
    return given
  })

describe.concurrent("TokenProvider, valid tokens", () => {
  it.scoped("rule 12: a valid token is served without asking the endpoint or the store", () =>
    Effect.gen(function*() {
      const { provider, store, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "1 hour" } })
      const token = yield* provider.get()
      yield* settle
      yield* store.resetRecords
      for (let minutes = 0; minutes < 55; minutes += 5) {
        assert.strictEqual(yield* provider.get(), token)
        assert.strictEqual(yield* provider.get(undefined, "https://api.test"), token)
        assert.strictEqual(provider.peek(), token)
        yield* TestClock.adjust("299999 millis")
      }
      assert.lengthOf(yield* tokens.requests, 1)
      deepStrictEqual(yield* store.calls, [])
    }))

  it.scoped("rule 12: peek returns what get would return at once, and nothing else", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      assert.isUndefined(provider.peek())
      assert.isUndefined(provider.peek({ scope: "a" }))
      const token = yield* provider.get()
      assert.strictEqual(provider.peek(), token)
      assert.isUndefined(provider.peek({ scope: "a" }))
      yield* TestClock.adjust("80 seconds")
      // Within the window `get` starts the renewal
      assert.isUndefined(provider.peek())
      assert.lengthOf(yield* tokens.requests, 1)
      assert.strictEqual(yield* provider.get(), token)
      yield* settle
      assert.strictEqual(provider.peek()!.value.toString(), "<redacted>")
      assert.strictEqual(value(provider.peek()!), "token-2")
      const other = yield* provider.get({ scope: "a" })
      assert.strictEqual(provider.peek({ scope: "a" }), other)
    }))

  it.scoped("rule 11: expiry counts from the start of the token request", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds", delay: "20 seconds" },
        maxWait: "20 seconds",
        refreshAhead: 0,
        expiryLeeway: 0
      })
      yield* during("20 seconds")(provider.get())
      yield* TestClock.adjust("79999 millis")
      assert.strictEqual(value(yield* provider.get()), "token-1")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(value(yield* during("20 seconds")(provider.get())), "token-2")
      assert.lengthOf(yield* tokens.requests, 2)
    }))
})

describe.concurrent("TokenProvider, renewal ahead of expiry", () => {
  it.scoped("rule 3: within the window one renewal runs in the background and delays nobody", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds", delay: "5 seconds" }
      })
      yield* during("5 seconds")(provider.get())
      yield* TestClock.adjust("75 seconds")
      assert.lengthOf(yield* tokens.requests, 1)
      // These complete without the clock: nobody waits
      const old = yield* Effect.all(Array.from({ length: 100 }, () => provider.get()), { concurrency: "unbounded" })
      deepStrictEqual(new Set(old.map(value)), new Set(["token-1"]))
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(value(yield* provider.get()), "token-1")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(value(yield* provider.get()), "token-2")
      const requests = yield* tokens.requests
      deepStrictEqual(requests.map(({ time }) => time), [0, 80_000])
    }))

  it.scoped("rule 3: without traffic there is no renewal", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* provider.get()
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(yield* tokens.requests, 1)
      assert.strictEqual(value(yield* provider.get()), "token-2")
    }))

  /** The age at which a token of 50 seconds is renewed, to the tenth of a second. */
  const isRenewedAt = Effect.fnUntraced(function*(age: number, options: ProviderBench.Options) {
    const { provider, tokens } = yield* ProviderBench.make({ ...options, endpoint: { lifetime: "50 seconds" } })
    yield* provider.get()
    yield* TestClock.adjust(age * 1000 - 100)
    assert.isDefined(provider.peek(), `renewed before ${age} s`)
    yield* TestClock.adjust("100 millis")
    assert.isUndefined(provider.peek(), `not renewed at ${age} s`)
    yield* provider.get()
    yield* settle
    assert.lengthOf(yield* tokens.requests, 2)
  })

  it.scoped("rule 3: the window is the configured one, or a fifth of the lifetime if that is shorter", () =>
    Effect.gen(function*() {
      yield* isRenewedAt(41, { refreshAhead: "9 seconds" })
      yield* isRenewedAt(40, {})
    }))

  it.scoped("rule 3: jitter makes the window at most a quarter smaller, differently in each process", () =>
    Effect.gen(function*() {
      yield* isRenewedAt(40, { jitter: 0 })
      yield* isRenewedAt(41, { jitter: 0.4 })
      yield* isRenewedAt(42.5, { jitter: 1 })
    }))

  it.scoped("rule 3: tokens with a lifetime of 5 seconds or 1 second work", () =>
    Effect.gen(function*() {
      for (const seconds of [5, 1]) {
        const bench = yield* ProviderBench.make({ endpoint: { lifetime: Duration.seconds(seconds) } })
        const given = yield* traffic(bench, Duration.seconds(seconds * 5), Duration.millis(seconds * 100))
        assert.notInclude(given, "failed")
        const times = yield* bench.requestTimes
        // Each is used for four fifths of its lifetime: five lifetimes cost a little more than six requests
        assert.isAtLeast(times.length, 5)
        assert.isAtMost(times.length, 7)
        for (const [index, time] of times.slice(1).entries()) assert.isBelow(time - times[index], seconds)
      }
    }))

  it.scoped("rule 3: with refreshAhead 0 the window is the time of a token request, before the leeway", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ refreshAhead: 0, endpoint: { lifetime: "100 seconds" } })
      const given = yield* traffic(bench, "100 seconds", "2 seconds")
      // The leeway is 10 seconds, a request takes 5, and a quarter of that is for jitter
      deepStrictEqual(given, [...Array(43).fill("token-1"), ...Array(7).fill("token-2")])
      deepStrictEqual(yield* bench.requestTimes, [0, 84])
    }))

  it.scoped("rule 3: a slow endpoint is asked earlier until some requests were fast", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* tokens.setDelay("20 seconds")
      yield* Effect.fork(Effect.ignore(provider.get()))
      yield* TestClock.adjust("20 seconds")
      yield* tokens.setDelay(0)
      const ages: Array<number> = []
      for (let renewal = 0; renewal < 8; renewal++) {
        // No window is more than half of the lifetime, nor longer than the one before
        let age = (ages.at(-1) ?? 50) - 1
        yield* TestClock.adjust(Duration.seconds(renewal === 0 ? age - 20 : age))
        assert.isDefined(provider.peek())
        for (; provider.peek() !== undefined; age++) yield* TestClock.adjust("1 second")
        ages.push(age)
        yield* provider.get()
        yield* settle
      }
      // 10 for the leeway, 20 for the request, which counts less each time
      assert.strictEqual(ages[0], Math.ceil(100 - (10 + 20 * 1.5 * 1.25)))
      assert.strictEqual(ages.at(-1), 80)
      assert.lengthOf(yield* requestTimes, 9)
    }))

  it.scoped("rule 3: a caller in the leeway does not wait for a renewal that began earlier", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* provider.get()
      yield* tokens.setDelay("12 seconds")
      yield* TestClock.adjust("89 seconds")
      for (let seconds = 89; seconds < 100; seconds++) {
        assert.strictEqual(value(yield* during(0)(provider.get())), "token-1")
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(value(yield* during("1 second")(provider.get())), "token-2")
      assert.lengthOf(yield* tokens.requests, 2)
    }))

  it.scoped("rule 3: failing background renewals become rarer and are logged once; the old token serves until it expires", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "500 seconds" } })
      const { logs, provider, requestTimes, tokens } = bench
      yield* provider.get()
      yield* TestClock.adjust("400 seconds")
      yield* tokens.failNext(1000)
      const given = [
        ...(yield* traffic(bench, "15 seconds", "1 second")),
        ...(yield* traffic(bench, "84 seconds", "4 seconds"))
      ]
      deepStrictEqual(new Set(given), new Set(["token-1"]))
      // 1, 2, 4, 8 and then 16 seconds apart
      deepStrictEqual(yield* requestTimes, [0, 400, 401, 403, 407, 415, 431, 447, 463, 479, 495])
      assert.lengthOf(warnings(bench), 1)
      assert.include(warnings(bench)[0], TestTokenEndpoint.unavailable.message)
      assert.notInclude(JSON.stringify(logs), "token-1")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(provider.get())).message, TestTokenEndpoint.unavailable.message)
    }))

  it.scoped("rule 3: after Retry-After a background renewal asks no earlier", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "500 seconds" } })
      yield* bench.provider.get()
      yield* TestClock.adjust("400 seconds")
      yield* bench.tokens.failNext(
        1000,
        new (TestTokenEndpoint.unavailable.constructor as any)({
          ...TestTokenEndpoint.unavailable,
          retryAfter: Duration.seconds(30)
        })
      )
      yield* traffic(bench, "90 seconds", "10 seconds")
      deepStrictEqual(yield* bench.requestTimes, [0, 400, 430, 460])
    }))

  it.scoped("rule 3: after a success the next failing renewal starts over and is logged again", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      const { provider, requestTimes, tokens } = bench
      yield* provider.get()
      yield* TestClock.adjust("80 seconds")
      yield* tokens.failNext(3)
      yield* traffic(bench, "10 seconds", "1 second")
      deepStrictEqual(yield* requestTimes, [0, 80, 81, 83, 87])
      yield* TestClock.setTime(167_000)
      yield* tokens.failNext(1)
      yield* traffic(bench, "3 seconds", "1 second")
      deepStrictEqual((yield* requestTimes).slice(5), [167, 168])
      assert.lengthOf(warnings(bench), 2)
    }))

  it.scoped("rule 3: a background renewal that dies is treated and logged as one that fails", () =>
    Effect.gen(function*() {
      let attempts = -1
      const bench = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds" },
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          attempt: (request) =>
            attempts < 0
              ? Effect.zipRight(Effect.sync(() => attempts++), endpoint.attempt(request))
              : Effect.die(new Error(`broken ${++attempts}`))
        })
      })
      yield* bench.provider.get()
      yield* TestClock.adjust("80 seconds")
      const given = yield* traffic(bench, "9 seconds", "200 millis")
      deepStrictEqual(new Set(given), new Set(["token-1"]))
      assert.strictEqual(attempts, 4)
      assert.lengthOf(warnings(bench), 1)
    }))

  it.scoped("fleet rule 7: a background failure does not delay a renewal that callers wait for", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds" },
        expiryLeeway: 0
      })
      yield* provider.get()
      yield* TestClock.adjust("99500 millis")
      yield* tokens.failNext(1)
      assert.strictEqual(value(yield* provider.get()), "token-1")
      // The next background attempt would be at 100.5
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(value(yield* provider.get()), "token-2")
      deepStrictEqual(yield* requestTimes, [0, 99.5, 100])
    }))

  it.scoped("fleet rule 7: a caller that needs the token while a background attempt fails asks again", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds" },
        expiryLeeway: 0
      })
      yield* provider.get()
      yield* tokens.setDelay("2 seconds")
      yield* TestClock.adjust("99 seconds")
      yield* tokens.failNext(1)
      assert.strictEqual(value(yield* provider.get()), "token-1")
      yield* TestClock.adjust("1 seconds")
      const waiting = yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.fork(provider.get()))
      yield* TestClock.adjust("3 seconds")
      deepStrictEqual(new Set((yield* Effect.forEach(waiting, Fiber.join)).map(value)), new Set(["token-2"]))
      deepStrictEqual(yield* requestTimes, [0, 99, 101])
    }))

  it.scoped("fleet rule 4: a caller waits maxWait in all, for a failing background attempt and its own", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds" },
        expiryLeeway: 0,
        maxWait: "10 seconds"
      })
      yield* provider.get()
      yield* TestClock.adjust("99 seconds")
      yield* tokens.setDelay("9 seconds")
      yield* tokens.failNext(1)
      yield* provider.get()
      yield* TestClock.adjust("1 seconds")
      const waiting = yield* Effect.fork(Effect.flip(provider.get()))
      yield* TestClock.adjust("10 seconds")
      const exit = waiting.unsafePoll()
      assert.isNotNull(exit)
      const error = yield* Fiber.join(waiting)
      assert(error._tag === "TokenProviderError")
      deepStrictEqual(error.waited, Duration.seconds(10))
    }))
})

describe.concurrent("TokenProvider, an endpoint that returns the same token", () => {
  it.scoped("rule 11: the same token without an expiry, or with a later one, keeps its known expiry", () =>
    Effect.gen(function*() {
      for (const lifetime of ["none", "4 seconds", "1 hour"] as const) {
        const bench = yield* ProviderBench.make({ endpoint: { retry: RetryPolicy.standard } })
        yield* bench.tokens.respondNext({ value: "same", lifetime: "4 seconds" })
        const { expiresAt } = yield* bench.provider.get()
        yield* TestClock.adjust("3500 millis")
        yield* bench.tokens.respondNext({ value: "same", lifetime })
        yield* bench.provider.get()
        yield* settle
        assert.lengthOf(yield* bench.tokens.requests, 2)
        deepStrictEqual((yield* bench.provider.get()).expiresAt, expiresAt)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(value(yield* bench.provider.get()), "token-3")
      }
    }))

  it.scoped("rule 11: the same token is not sent after its expiry: callers wait for the next one", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { retry: RetryPolicy.standard } })
      for (const lifetime of ["4 seconds", "none", "none"] as const) {
        yield* tokens.respondNext({ value: "same", lifetime })
      }
      yield* provider.get()
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(value(yield* during("1 second")(provider.get())), "token-4")
    }))

  it.scoped("rule 11: the same token is not sent after its expiry even if no other is issued; the error says so, and a later expiry counts then", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      for (const lifetime of ["4 seconds", "none", "4 seconds"] as const) {
        yield* tokens.respondNext({ value: "same", lifetime })
      }
      yield* provider.get()
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(
        (yield* Effect.flip(provider.get())).message,
        "Token endpoint https://auth.test/token answered 200: the token is the same as before, and it has expired"
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* provider.get()), "same")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(value(yield* provider.get()), "same")
    }))

  it.scoped("fleet rule 7: after an unchanged token the next attempt is at half of the remaining time", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "1000 seconds" }, expiryLeeway: 0 })
      yield* bench.tokens.returnSameToken(true)
      yield* bench.provider.get()
      yield* TestClock.adjust("800 seconds")
      const given = yield* traffic(bench, "196 seconds", "4 seconds")
      deepStrictEqual(new Set(given), new Set(["token-1"]))
      // The lifetime in the response is what remains, 200 seconds, whose last fifth begins at 960
      deepStrictEqual(yield* bench.requestTimes, [0, 800, 960, 992])
    }))

  it.scoped("fleet rule 7: calls during window, leeway and expiry cost a few requests, not one each", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* bench.tokens.returnSameToken(true)
      yield* bench.provider.get()
      yield* TestClock.adjust("79 seconds")
      const given = yield* traffic(bench, "21 seconds", "500 millis")
      deepStrictEqual(new Set(given), new Set(["token-1"]))
      assert.isAtMost((yield* bench.requestTimes).length, 6)
      assert.strictEqual(value(yield* bench.provider.get()), "token-2")
    }))

  it.scoped("fleet rule 7: the same token costs a few requests through window and leeway", () =>
    Effect.gen(function*() {
      for (const lifetime of ["1000 seconds", "none"] as const) {
        let requests: Array<number> = []
        const start = yield* TestClock.currentTimeMillis
        const bench = yield* ProviderBench.make({
          defaultLifetime: "1000 seconds",
          endpoint: { lifetime },
          wrapEndpoint: (endpoint) => {
            const ask = Effect.runSync(Effect.cached(endpoint.request(endpoint.resolve())))
            const record = Effect.map(TestClock.currentTimeMillis, (now) => void requests.push((now - start) / 1000))
            return {
              ...endpoint,
              attempt: () => Effect.zipRight(record, ask)
            }
          }
        })
        yield* bench.provider.get()
        yield* TestClock.adjust("800 seconds")
        const given = [
          ...(yield* traffic(bench, "95 seconds", "95 seconds")),
          ...(yield* traffic(bench, "95 seconds", "5 seconds")),
          ...(yield* traffic(bench, "10 seconds", "1 second"))
        ]
        deepStrictEqual(new Set(given), new Set(["token-1"]))
        // The leeway begins at 990
        deepStrictEqual(requests.slice(0, 5), [0, 800, 895, 945, 970])
        assert.isAtMost(requests.length, 14)
        requests = []
        // If the expiry is unknown, it is asked now and then for ever
        if (lifetime === "none") {
          yield* traffic(bench, "3000 seconds", "100 seconds")
          assert.isAtLeast(requests.length, 3)
          assert.isAtMost(requests.length, 8)
        }
      }
    }))

  it.scoped("fleet rule 7: an endpoint that repeats the whole lifetime of the old token is asked before the known expiry", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* bench.provider.get()
      yield* bench.tokens.respondNext({ value: "token-1" })
      yield* TestClock.adjust("80 seconds")
      yield* traffic(bench, "50 seconds", "2 seconds")
      deepStrictEqual(yield* bench.requestTimes, [0, 80, 96])
    }))
})

describe.concurrent("TokenProvider, expiry", () => {
  it.scoped("fleet rule 8: in the leeway a caller waits for the renewal", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* provider.get()
      yield* TestClock.adjust("90 seconds")
      yield* tokens.setDelay("1 second")
      const waiting = yield* Effect.fork(provider.get())
      yield* settle
      assert.isNull(waiting.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* Fiber.join(waiting)), "token-2")
    }))

  it.scoped("fleet rule 8: if the endpoint is down in the leeway, the old token serves until it expires", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      const { provider, requestTimes, tokens } = bench
      yield* provider.get()
      yield* tokens.failNext(1000)
      yield* TestClock.adjust("90 seconds")
      const given = yield* traffic(bench, "10 seconds", "500 millis")
      deepStrictEqual(new Set(given), new Set(["token-1"]))
      // One request per cool-down of a second
      assert.isAtMost((yield* requestTimes).length, 11)
      assert.strictEqual((yield* Effect.flip(provider.get())).message, TestTokenEndpoint.unavailable.message)
    }))

  it.scoped("fleet rule 8: if the endpoint hangs in the leeway, callers wait at most half of the remaining time", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      yield* provider.get()
      yield* tokens.hang(true)
      yield* TestClock.adjust("92 seconds")
      assert.strictEqual(value(yield* during("4 seconds")(provider.get())), "token-1")
      assert.strictEqual(value(yield* during("2 seconds")(provider.get())), "token-1")
      assert.strictEqual(value(yield* during("1 second")(provider.get())), "token-1")
      assert.lengthOf(yield* tokens.requests, 2)
    }))

  it.scoped("fleet rule 8: in the last millisecond of a token callers wait up to maxWait for the next one", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      // Like a real clock: it shows whole milliseconds, and half of one has passed with the next
      const coarse: Clock.Clock = Object.create(clock, {
        unsafeCurrentTimeMillis: { value: () => Math.ceil(clock.unsafeCurrentTimeMillis()) }
      })
      const { provider, tokens } = yield* Effect.withClock(
        ProviderBench.make({ endpoint: { lifetime: "100 seconds" }, refreshAhead: 0 }),
        coarse
      )
      yield* provider.get()
      yield* tokens.setDelay("9 seconds")
      yield* TestClock.adjust("99999 millis")
      assert.strictEqual(value(yield* during("9 seconds")(provider.get())), "token-2")
    }))

  it.scoped("fleet rule 8: a caller whose wait in the leeway outlasts the old token gets the new one that was requested", () =>
    Effect.gen(function*() {
      // The wait of one and a half seconds ends late, as in a process that stands still
      const clock = yield* Effect.clock
      let isLate = false
      const lateClock: Clock.Clock = Object.create(clock, {
        sleep: {
          value: (duration: Duration.Duration) =>
            clock.sleep(isLate ? Duration.sum(duration, Duration.seconds(2)) : duration)
        }
      })
      const bench = yield* Effect.withClock(
        ProviderBench.make({ endpoint: { lifetime: "100 seconds" } }),
        lateClock
      )
      yield* bench.provider.get()
      yield* TestClock.adjust("97 seconds")
      yield* bench.tokens.setDelay("4 seconds")
      isLate = true
      const caller = yield* Effect.fork(bench.provider.get())
      yield* TestClock.adjust("5 seconds")
      assert.isNull(caller.unsafePoll())
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(value(yield* Fiber.join(caller)), "token-2")
      deepStrictEqual(yield* bench.requestTimes, [0, 97])
    }))

  it.scoped("fleet rule 8: in a long leeway a caller does not wait beyond maxWait", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "1 hour" },
        expiryLeeway: "10 minutes",
        refreshAhead: 0,
        maxWait: "3 seconds"
      })
      yield* provider.get()
      yield* tokens.hang(true)
      yield* TestClock.adjust("55 minutes")
      assert.strictEqual(value(yield* during("3 seconds")(provider.get())), "token-1")
    }))

  it.scoped("rule 3: leeway is at most a tenth of the lifetime, and may be zero", () =>
    Effect.gen(function*() {
      const waits = Effect.fnUntraced(function*(at: number, options: ProviderBench.Options) {
        const { provider, tokens } = yield* ProviderBench.make({ ...options, endpoint: { lifetime: "50 seconds" } })
        yield* provider.get()
        yield* tokens.setDelay("1 second")
        yield* TestClock.adjust(at)
        const caller = yield* Effect.fork(provider.get())
        yield* settle
        return caller.unsafePoll() === null
      })
      assert.isFalse(yield* waits(44_999, {}))
      assert.isTrue(yield* waits(45_000, {}))
      assert.isFalse(yield* waits(49_999, { expiryLeeway: 0 }))
      assert.isTrue(yield* waits(50_000, { expiryLeeway: 0 }))
    }))

  it.scoped("fleet rule 8: a token of unknown lifetime is renewed after defaultLifetime, and serves on if that fails", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ defaultLifetime: "100 seconds", endpoint: { lifetime: "none" } })
      const { provider, requestTimes, tokens } = bench
      const token = yield* provider.get()
      deepStrictEqual(token.expiresAt, Option.none())
      yield* TestClock.adjust("79 seconds")
      yield* provider.get()
      deepStrictEqual(yield* requestTimes, [0])
      yield* TestClock.adjust("1 seconds")
      yield* provider.get()
      yield* settle
      deepStrictEqual(yield* requestTimes, [0, 80])
      assert.strictEqual(value(yield* provider.get()), "token-2")
      yield* tokens.failNext(10_000)
      yield* TestClock.adjust("1 day")
      const given = yield* traffic(bench, "5 seconds", "250 millis")
      deepStrictEqual(new Set(given), new Set(["token-2"]))
      assert.isAtMost((yield* requestTimes).length, 2 + 5)
    }))

  it.scoped("fleet rule 8: if the endpoint hangs, a token of unknown lifetime serves after maxWait", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        defaultLifetime: "100 seconds",
        endpoint: { lifetime: "none" },
        maxWait: "2 seconds"
      })
      yield* provider.get()
      yield* tokens.hang(true)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(value(yield* during("2 seconds")(provider.get())), "token-1")
    }))

  it.scoped("rule 11: a token that arrives expired goes to waiting callers only", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "5 seconds", delay: "6 seconds" }
      })
      assert.strictEqual(value(yield* during("6 seconds")(provider.get())), "token-1")
      assert.isUndefined(provider.peek())
      assert.strictEqual(value(yield* during("6 seconds")(provider.get())), "token-2")
      assert.lengthOf(yield* tokens.requests, 2)
    }))
})
