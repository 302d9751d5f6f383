import { OAuthError, RetryPolicy } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Clock, Duration, Effect, Fiber, Option, Schedule, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value } from "./support/ProviderBench.js"

const { invalidClient, unavailable } = TestTokenEndpoint

const withRetryAfter = (retryAfter: Duration.DurationInput) =>
  new OAuthError.TokenEndpointError({
    reason: "Status",
    endpoint: "https://auth.test/token",
    status: 429,
    description: "slow down",
    retryAfter: Duration.decode(retryAfter)
  })

/** Asks every quarter of a second: a call while no request is in progress shows what a cool-down costs. */
const ask = (bench: ProviderBench.Bench, seconds: number) =>
  Effect.gen(function*() {
    const messages: Array<string> = []
    for (let i = 0; i < seconds * 2; i++) {
      const exit = yield* Effect.either(bench.provider.get())
      messages.push(exit._tag === "Left" ? exit.left.message : value(exit.right))
      yield* TestClock.adjust("500 millis")
    }
    return messages
  })

describe.concurrent("TokenProvider, cool-down", () => {
  it.scoped("rule 7: if the token expires while the endpoint is down, every caller fails with its error, after the Schedule", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({
        endpoint: {
          lifetime: "100 seconds",
          retry: RetryPolicy.exponential({ base: "1 second", jitter: false, times: 2 })
        }
      })
      yield* provider.get()
      yield* TestClock.adjust("100 seconds")
      yield* tokens.failNext(3)
      const waiting = yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.fork(Effect.flip(provider.get())))
      yield* TestClock.adjust("2999 millis")
      for (const fiber of waiting) assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      for (const error of yield* Effect.forEach(waiting, Fiber.join)) {
        assert.strictEqual(error.message, unavailable.message)
      }
      deepStrictEqual(yield* requestTimes, [0, 100, 101, 103])
      // Nobody asks again until the cool-down ends; then the request succeeds
      assert.strictEqual((yield* Effect.flip(provider.get())).message, unavailable.message)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* provider.get()), "token-2")
    }))

  it.scoped("rule 7: during a cool-down callers get the endpoint's whole error", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      yield* tokens.failNext(1, withRetryAfter("20 seconds"))
      for (let i = 0; i < 3; i++) {
        const error = yield* Effect.flip(provider.get())
        assert(error._tag === "TokenEndpointError")
        assert.strictEqual(error.status, 429)
        deepStrictEqual(error.retryAfter, Duration.seconds(20))
      }
    }))

  it.scoped("rule 7: Retry-After counts from the response that contains it, not from the first failure", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({
        endpoint: { retry: Schedule.intersect(Schedule.spaced("5 seconds"), Schedule.recurs(1)) }
      })
      yield* tokens.failNext(1)
      const waiting = yield* Effect.fork(Effect.flip(provider.get()))
      yield* settle
      yield* tokens.failNext(1, withRetryAfter("20 seconds"))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(waiting)).message, withRetryAfter("20 seconds").message)
      yield* TestClock.adjust("19999 millis")
      yield* Effect.flip(provider.get())
      yield* TestClock.adjust("1 millis")
      yield* provider.get()
      deepStrictEqual(yield* requestTimes, [0, 5, 25])
    }))

  it.scoped("rule 7: a caller whose wait ends before the next attempt fails at once, with Retry-After", () =>
    Effect.gen(function*() {
      for (const retry of [RetryPolicy.standard, Schedule.spaced("10 seconds")]) {
        const { provider, requestTimes, tokens } = yield* ProviderBench.make({ endpoint: { retry } })
        yield* tokens.failNext(1, withRetryAfter("30 seconds"))
        const start = yield* Clock.currentTimeMillis
        const error = yield* during(0)(Effect.flip(provider.get()))
        deepStrictEqual(error.retryAfter, Duration.seconds(30))
        assert.lengthOf(yield* requestTimes, 1)
        yield* TestClock.adjust("29999 millis")
        yield* Effect.flip(provider.get())
        assert.lengthOf(yield* requestTimes, 1)
        yield* TestClock.adjust(1)
        assert.strictEqual(value(yield* provider.get()), "token-1")
        assert.strictEqual(yield* Clock.currentTimeMillis, start + 30_000)
      }
    }))

  it.scoped("rule 7: a caller waits for an attempt that comes within its wait", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { retry: RetryPolicy.standard } })
      yield* tokens.failNext(1, withRetryAfter("9 seconds"))
      assert.strictEqual(value(yield* during("9 seconds")(provider.get())), "token-1")
    }))

  it.scoped("fleet rule 8: in the leeway a caller whose wait ends before the next attempt gets the old token at once", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({
        endpoint: { lifetime: "100 seconds", retry: RetryPolicy.standard }
      })
      yield* provider.get()
      yield* TestClock.adjust("92 seconds")
      // Callers without a token can wait for it, those with one for 4 seconds
      yield* tokens.failNext(1, withRetryAfter("5 seconds"))
      assert.strictEqual(value(yield* during(0)(provider.get())), "token-1")
      const late = yield* Effect.forEach([1, 2, 3], () => provider.get())
      deepStrictEqual(late.map(value), ["token-1", "token-1", "token-1"])
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(value(yield* provider.get()), "token-2")
      deepStrictEqual(yield* requestTimes, [0, 92, 97])
    }))

  it.scoped("rule 7: after a transient failure the endpoint is asked once per second", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      yield* bench.tokens.failNext(1000)
      const messages = yield* ask(bench, 5)
      deepStrictEqual(new Set(messages), new Set([unavailable.message]))
      deepStrictEqual(yield* bench.requestTimes, [0, 1, 2, 3, 4])
    }))

  it.scoped("rule 7: failureCooldown sets the pace for both kinds of failure", () =>
    Effect.gen(function*() {
      const transient = yield* ProviderBench.make({ failureCooldown: "3 seconds" })
      yield* transient.tokens.failNext(1000)
      yield* ask(transient, 7)
      deepStrictEqual(yield* transient.requestTimes, [0, 3, 6])
      const definite = yield* ProviderBench.make({ failureCooldown: "200 millis" })
      yield* definite.tokens.failNext(1000, invalidClient)
      const start = 7
      yield* ask(definite, 4)
      deepStrictEqual((yield* definite.requestTimes).map((time) => time - start), [0, 1, 3])
    }))

  it.scoped("rule 7: with failureCooldown 0 every caller asks the endpoint", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({ failureCooldown: 0 })
      yield* tokens.failNext(3, invalidClient)
      for (let i = 0; i < 3; i++) yield* Effect.flip(provider.get())
      yield* provider.get()
      assert.lengthOf(yield* requestTimes, 4)
    }))

  it.scoped("rule 7: after a definite failure the endpoint is asked after 5, 10, 20, 40 and 60 seconds", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make()
      yield* tokens.failNext(1000, invalidClient)
      yield* Effect.flip(provider.get())
      let at = 0
      for (const seconds of [5, 10, 20, 40, 60, 60]) {
        yield* TestClock.adjust(seconds * 1000 - 1)
        assert.strictEqual((yield* Effect.flip(provider.get())).message, invalidClient.message)
        assert.strictEqual((yield* requestTimes).at(-1), at)
        yield* TestClock.adjust(1)
        yield* Effect.flip(provider.get())
        at += seconds
        assert.strictEqual((yield* requestTimes).at(-1), at)
      }
    }))

  it.scoped("rule 7: each definite failure counts once, however many callers it answers", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      yield* bench.tokens.failNext(1000, invalidClient)
      yield* ask(bench, 17)
      deepStrictEqual(yield* bench.requestTimes, [0, 5, 15])
    }))

  it.scoped("rule 7: a success ends the doubling", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "30 seconds" } })
      yield* tokens.failNext(2, invalidClient)
      yield* Effect.flip(provider.get())
      yield* TestClock.adjust("5 seconds")
      yield* Effect.flip(provider.get())
      yield* TestClock.adjust("10 seconds")
      yield* provider.get()
      yield* TestClock.adjust("30 seconds")
      yield* tokens.failNext(1, invalidClient)
      yield* Effect.flip(provider.get())
      yield* TestClock.adjust("5 seconds")
      yield* provider.get()
      deepStrictEqual(yield* requestTimes, [0, 5, 15, 45, 50])
    }))

  it.scoped("rule 7: Retry-After lengthens a cool-down, up to a minute, and never shortens it", () =>
    Effect.gen(function*() {
      for (const [asked, waits] of [["20 seconds", 20], ["1 hour", 60], ["10 millis", 1]] as const) {
        const { provider, tokens } = yield* ProviderBench.make()
        yield* tokens.failNext(1, withRetryAfter(asked))
        yield* Effect.flip(provider.get())
        yield* TestClock.adjust(waits * 1000 - 1)
        yield* Effect.flip(provider.get())
        assert.lengthOf(yield* tokens.requests, 1)
        yield* TestClock.adjust(1)
        assert.strictEqual(value(yield* provider.get()), "token-1")
      }
    }))

  it.scoped("rule 7: an endpoint that always fails with the same error object has cool-downs too", () =>
    Effect.gen(function*() {
      let requests = 0
      const failure = Cause.fail(unavailable)
      const constant = Effect.suspend(() => {
        requests++
        return Effect.failCause(failure)
      })
      const bench = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({ ...endpoint, attempt: () => constant })
      })
      yield* ask(bench, 3)
      assert.strictEqual(requests, 3)
    }))

  it.scoped("fleet rule 9: changed credentials end the cool-down of a definite failure", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      const { provider, requestTimes, tokens } = bench
      yield* tokens.setCredentials("old")
      yield* tokens.failNext(1, invalidClient)
      yield* Effect.flip(provider.get())
      yield* settle
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Effect.flip(provider.get())).message, invalidClient.message)
      yield* tokens.setCredentials("new")
      yield* TestClock.adjust("1 second")
      const all = yield* Effect.all([provider.get(), provider.get(), provider.get()], { concurrency: "unbounded" })
      deepStrictEqual(all.map(value), ["token-1", "token-1", "token-1"])
      deepStrictEqual(yield* requestTimes, [0, 3])
    }))

  it.scoped("fleet rule 9: if changed credentials fail too, the cool-down restarts at 5 seconds", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      const { provider, requestTimes, tokens } = bench
      yield* tokens.setCredentials("v1")
      yield* tokens.failNext(3, invalidClient)
      yield* Effect.flip(provider.get())
      yield* settle
      yield* TestClock.adjust("5 seconds")
      yield* Effect.flip(provider.get())
      yield* settle
      yield* tokens.setCredentials("v2")
      yield* TestClock.adjust("1 second")
      yield* Effect.flip(provider.get())
      yield* settle
      deepStrictEqual(yield* requestTimes, [0, 5, 6])
      yield* ask(bench, 5)
      deepStrictEqual(yield* requestTimes, [0, 5, 6])
      yield* provider.get()
      deepStrictEqual(yield* requestTimes, [0, 5, 6, 11])
    }))

  it.scoped("fleet rule 9: unchanged credentials neither end nor lengthen a cool-down", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      yield* bench.tokens.setCredentials("same")
      yield* bench.tokens.failNext(2, invalidClient)
      yield* ask(bench, 16)
      deepStrictEqual(yield* bench.requestTimes, [0, 5, 15])
      assert.isDefined(bench.provider.peek())
    }))

  it.scoped("fleet rule 9: the credentials are read at most once per second, and never while there is a token", () =>
    Effect.gen(function*() {
      let looks = 0
      const bench = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          credentials: Effect.sync(() => Option.some(`v${looks++ === -1 ? 1 : 0}`))
        })
      })
      yield* bench.provider.get({ scope: "a" })
      assert.strictEqual(looks, 0)
      yield* bench.tokens.failNext(1, invalidClient)
      yield* ask(bench, 5)
      // One after the failure, one in each of the seconds 1 to 4
      assert.strictEqual(looks, 5)
    }))

  it.scoped("fleet rule 9: changed credentials do not end a transient failure", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({ failureCooldown: "10 seconds" })
      yield* tokens.setCredentials("old")
      yield* tokens.failNext(1)
      yield* Effect.flip(provider.get())
      yield* tokens.setCredentials("new")
      yield* TestClock.adjust("9 seconds")
      yield* Effect.flip(provider.get())
      deepStrictEqual(yield* requestTimes, [0])
    }))

  it.scoped("fleet rule 9: credentials that hang delay the answer of a cool-down by maxWait at most", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({
        maxWait: "2 seconds",
        wrapEndpoint: (endpoint) => {
          let looks = 0
          return {
            ...endpoint,
            credentials: Effect.suspend(() => looks++ === 0 ? Effect.succeedSome("v") : Effect.never)
          }
        }
      })
      yield* tokens.failNext(1, invalidClient)
      const failed = yield* Effect.flip(provider.get())
      assert.strictEqual(failed.message, invalidClient.message)
      yield* TestClock.adjust("1 second")
      const error = yield* during("2 seconds")(Effect.flip(provider.get()))
      assert.strictEqual(error.message, invalidClient.message)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(value(yield* during("2 seconds")(provider.get())), "token-1")
    }))

  it.scoped("rule 7: a failing endpoint is asked at most once per cool-down, also by background renewals", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      const token = yield* provider.get(undefined, "https://a.test")
      yield* TestClock.adjust("82 seconds")
      yield* tokens.failNext(1000, invalidClient)
      yield* Effect.flip(provider.renew(token, undefined, "https://a.test"))
      deepStrictEqual(yield* requestTimes, [0, 82])
      for (let i = 0; i < 4; i++) {
        assert.strictEqual(value(yield* provider.get(undefined, "https://b.test")), "token-1")
        yield* TestClock.adjust("1 second")
      }
      deepStrictEqual(yield* requestTimes, [0, 82])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* provider.get(undefined, "https://b.test")), "token-1")
      yield* settle
      deepStrictEqual(yield* requestTimes, [0, 82, 87])
    }))
})
