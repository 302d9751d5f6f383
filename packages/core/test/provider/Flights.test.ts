import { OAuthError, OAuthMetrics, TokenEndpoint } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Effect, Either, Exit, Fiber, Layer, Metric, Option, TestClock } from "effect"
import * as ProviderBench from "../ProviderBench.js"
import { during, settle, value } from "../ProviderBench.js"
import * as SpanRecord from "../SpanRecord.js"

describe.concurrent("Flights", () => {
  it.scoped("rule 1: a flight has a root span of its own, which links those who wait, 32 at most", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* SpanRecord.make
      yield* Effect.gen(function*() {
        const { provider } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
        yield* Effect.forEach(
          Array.from({ length: 40 }, (_, n) => n),
          (n) => Effect.withSpan(provider.get(), `caller ${n}`),
          { concurrency: "unbounded" }
        ).pipe(during("1 second"))
      }).pipe(Effect.withSpan("app"), Effect.provide(Layer.setTracer(tracer)))
      const renewals = spans.filter(({ name }) => name === "TokenProvider.renew")
      assert.lengthOf(renewals, 1)
      const [renewal] = renewals
      deepStrictEqual(renewal.parent, Option.none())
      assert.lengthOf(renewal.links, 32)
      for (const { span } of renewal.links) {
        assert.strictEqual(span._tag === "Span" ? span.name : undefined, "TokenProvider.wait")
      }
    }))

  it.scoped("rule 1: nobody waits for a flight that is gone with its provider", () =>
    Effect.gen(function*() {
      const waiter = yield* Effect.scoped(Effect.gen(function*() {
        const { provider } = yield* ProviderBench.make({ endpoint: { delay: "1 hour" } })
        const waiter = yield* Effect.forkDaemon(Effect.either(provider.get()))
        yield* settle
        return waiter
      }))
      const error = Option.getOrThrow(Either.getLeft(yield* Fiber.join(waiter)))
      assert.instanceOf(error, OAuthError.TokenProviderError)
      assert.strictEqual(error.reason, "Closed")
    }))

  it.scoped("every caller is counted while it waits, however its wait ends", () =>
    Effect.gen(function*() {
      const waiters = Effect.map(
        Metric.value(Metric.tagged(OAuthMetrics.tokenWaiters, "test", "waits")),
        ({ count }) => count
      )
      const { provider } = yield* ProviderBench.make({ endpoint: { delay: "12 seconds" } })
      const callers = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.fork(Effect.either(provider.get())))
      yield* settle
      const late = yield* Effect.delay(provider.get(), "5 seconds").pipe(Effect.fork)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* waiters, 6)
      yield* Fiber.interruptAll(callers.slice(0, 2))
      assert.strictEqual(yield* waiters, 4)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* waiters, 1)
      for (const answer of yield* Fiber.join(Fiber.all(callers.slice(2)))) {
        assert.include(Either.isLeft(answer) ? answer.left : {}, { reason: "MaxWait" })
      }
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(value(yield* Fiber.join(late)), "token-1")
      assert.strictEqual(yield* waiters, 0)
    }).pipe(Effect.tagMetrics("test", "waits")))

  it.scoped("a defect of the endpoint is told to those who wait, and held against nobody", () =>
    Effect.gen(function*() {
      let dies = true
      const { provider } = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) =>
          TokenEndpoint.TokenEndpoint.of({
            ...endpoint,
            attempt: (...args) => dies ? Effect.die(new Error("a bug")) : endpoint.attempt(...args)
          })
      })
      const exit = yield* Effect.exit(provider.get())
      assert.isTrue(Exit.isFailure(exit) && Option.isSome(Cause.dieOption(exit.cause)))
      dies = false
      assert.strictEqual(value(yield* provider.get()), "token-1")
    }))

  it.scoped("rule 3: a token in use serves on while it cannot be renewed, the tries become fewer, and one line says so", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "1000 seconds" }, refreshAhead: "500 seconds" })
      yield* bench.provider.get()
      yield* bench.tokens.failNext(100)
      yield* TestClock.adjust("800 seconds")
      for (let second = 0; second < 40; second++) {
        assert.strictEqual(value(yield* bench.provider.get()), "token-1")
        yield* TestClock.adjust("1 second")
      }
      const [, ...times] = yield* bench.requestTimes
      const gaps = times.slice(1).map((time, n) => time - times[n])
      deepStrictEqual(gaps.map(Math.round), [1, 2, 4, 8, 16])
      assert.lengthOf(ProviderBench.warnings(bench), 1)
    }))
})
