import { OAuthMetrics, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Cause,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  FiberRef,
  Metric,
  Option,
  Scope,
  TestClock,
  Tracer
} from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value } from "./support/ProviderBench.js"
import { rowsEffect } from "./support/Rows.js"

const closed = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Option.exists(
    Cause.failureOption(exit.cause),
    (error) => error instanceof Object && "reason" in error && error.reason === "Closed"
  )

/** A span as the test tracer recorded it. */
interface Recorded {
  readonly name: string
  readonly parent: Option.Option<Tracer.AnySpan>
  readonly span: Tracer.Span
  readonly links: Array<Tracer.SpanLink>
}

const recordingTracer = (spans: Array<Recorded>) =>
  Tracer.make({
    context: (f) => f(),
    span: (name, parent, context, initialLinks, startTime, kind, options) => {
      const links = [...initialLinks]
      const attributes = new Map(Object.entries(options?.attributes ?? {}))
      const span: Tracer.Span = {
        _tag: "Span",
        name,
        spanId: `span-${spans.length}`,
        traceId: Option.match(parent, { onNone: () => `trace-${spans.length}`, onSome: ({ traceId }) => traceId }),
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: () => {},
        attribute: (key, value) => attributes.set(key, value),
        event: () => {},
        addLinks: (added) => void links.push(...added)
      }
      spans.push({ name, parent, span, links })
      return span
    }
  })

describe.concurrent("TokenProvider, one flight", () => {
  it.scoped("rule 1: 1,000 fibers without a token cost one token request, and two reads of the store, without the lease and with it", () =>
    Effect.gen(function*() {
      const { provider, store, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const all = yield* Effect.all(Array.from({ length: 1000 }, () => provider.get()), {
        concurrency: "unbounded"
      }).pipe(during("1 second"))
      assert.lengthOf(all, 1000)
      deepStrictEqual(new Set(all.map(value)), new Set(["token-1"]))
      assert.lengthOf(yield* tokens.requests, 1)
      assert.lengthOf(yield* store.callsOf("get"), 2)
      assert.lengthOf(yield* store.callsOf("acquireLease"), 1)
    }))

  it.scoped("rule 1: callers that arrive during the request join it", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const early = yield* Effect.fork(provider.get())
      yield* TestClock.adjust("900 millis")
      const late = yield* Effect.fork(provider.get({ scope: "" }))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(value(yield* Fiber.join(early)), "token-1")
      assert.strictEqual(value(yield* Fiber.join(late)), "token-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: interrupting the first of 100 waiting callers disturbs no other", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const [first, ...others] = yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => Effect.tap(Effect.fork(provider.get()), () => Effect.yieldNow())
      )
      yield* settle
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(first)))
      yield* TestClock.adjust("1 second")
      const all = yield* Effect.forEach(others, Fiber.join)
      deepStrictEqual(new Set(all.map(value)), new Set(["token-1"]))
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: if every caller is interrupted, the request continues and its token is used", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const fibers = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.fork(provider.get()))
      yield* settle
      yield* Fiber.interruptAll(fibers)
      assert.lengthOf(yield* tokens.issued, 0)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(yield* tokens.issued, 1)
      assert.strictEqual(value(yield* provider.get()), "token-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: a caller's own timeout disturbs no other", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const hasty = yield* Effect.fork(Effect.timeoutOption(provider.get(), "100 millis"))
      const patient = yield* Effect.fork(provider.get())
      yield* TestClock.adjust("1 second")
      deepStrictEqual(yield* Fiber.join(hasty), Option.none())
      assert.strictEqual(value(yield* Fiber.join(patient)), "token-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: a request inherits nothing from the caller that started it", () =>
    Effect.gen(function*() {
      const ref = yield* FiberRef.make("initial")
      const seen: Array<unknown> = []
      const { provider } = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          attempt: (request) =>
            Effect.gen(function*() {
              seen.push(yield* FiberRef.get(ref))
              seen.push(yield* Effect.checkInterruptible((interruptible) => Effect.succeed(interruptible)))
              // Nor do callers inherit what the request sets
              yield* FiberRef.set(ref, "request")
              return yield* endpoint.attempt(request)
            })
        })
      })
      const after = yield* Effect.zipRight(provider.get(), FiberRef.get(ref)).pipe(
        Effect.locally(ref, "caller"),
        Effect.uninterruptible
      )
      deepStrictEqual(seen, ["initial", true])
      assert.strictEqual(after, "caller")
    }))

  it.scoped("rule 1: a request has a root span with links to the first 32 callers", () =>
    Effect.gen(function*() {
      const spans: Array<Recorded> = []
      yield* Effect.gen(function*() {
        const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
        yield* Effect.forEach(
          Array.from({ length: 40 }),
          (_, index) => Effect.withSpan(provider.get(), `caller ${index}`),
          { concurrency: "unbounded", discard: true }
        ).pipe(during("1 second"))
        assert.lengthOf(yield* tokens.requests, 1)
      }).pipe(Effect.withSpan("app"), Effect.withTracer(recordingTracer(spans)))

      const renewals = spans.filter(({ name }) => name === "TokenProvider.renew")
      assert.lengthOf(renewals, 1)
      const [renewal] = renewals
      deepStrictEqual(renewal.parent, Option.none())
      deepStrictEqual(
        renewal.links.map(({ span }) => span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined),
        Array.from({ length: 32 }, (_, index) => spans.find(({ name }) => name === `caller ${index}`)?.span)
      )
      assert.strictEqual(renewal.span.attributes.get("oauth.renewal.reason"), "expiry")
      const shown = JSON.stringify(spans.map(({ name, span }) => [name, Array.from(span.attributes)]))
      assert.notInclude(shown, "token-1")
    }))

  it.scoped("rule 1: the span in which a provider was built is not its parent", () =>
    Effect.gen(function*() {
      const spans: Array<Recorded> = []
      const { endpoint } = yield* TestTokenEndpoint.make()
      const store = yield* TokenStore.makeMemory()
      yield* Effect.flatMap(TokenProvider.make(), (provider) => provider.get()).pipe(
        Effect.provideService(TokenEndpoint.TokenEndpoint, endpoint),
        Effect.provideService(TokenStore.TokenStore, store),
        Effect.withSpan("app"),
        Effect.withTracer(recordingTracer(spans))
      )
      deepStrictEqual(spans.map(({ name, parent }) => [name, parent._tag]), [
        ["app", "None"],
        ["TokenProvider.renew", "None"],
        ["TokenProvider.wait", "Some"]
      ])
    }))

  it.scoped("rule 1: callers may have no span, or one of another process", () =>
    Effect.gen(function*() {
      const spans: Array<Recorded> = []
      yield* Effect.gen(function*() {
        const { provider } = yield* ProviderBench.make()
        yield* provider.get()
        yield* provider.get({ scope: "a" }).pipe(
          Effect.withParentSpan(Tracer.externalSpan({ spanId: "remote", traceId: "trace" }))
        )
      }).pipe(Effect.withTracer(recordingTracer(spans)))
      const renewals = spans.filter(({ name }) => name === "TokenProvider.renew")
      const waits = spans.filter(({ name }) => name === "TokenProvider.wait")
      deepStrictEqual(renewals.map(({ parent }) => parent), [Option.none(), Option.none()])
      deepStrictEqual(waits.map(({ parent }) => Option.getOrUndefined(parent)?.spanId), [undefined, "remote"])
      deepStrictEqual(
        renewals.map(({ links }) => links.map(({ span }) => span.spanId)),
        waits.map(({ span }) => [span.spanId])
      )
    }))

  it.effect("rule 1: closing the scope fails waiting and later callers with Closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { provider, tokens } = yield* Scope.extend(ProviderBench.make(), scope)
      const kept = yield* provider.get({ scope: "kept" })
      yield* tokens.hang(true)
      const waiting = yield* Effect.forEach(
        [provider.get(), provider.get(), provider.get({ scope: "a" }), provider.renew(kept, { scope: "kept" })],
        (call) => Effect.fork(Effect.exit(call))
      )
      yield* settle
      yield* Scope.close(scope, Exit.void)
      for (const exit of yield* Effect.forEach(waiting, Fiber.join)) assert.isTrue(closed(exit))

      const requests = (yield* tokens.requests).length
      const late = [
        provider.get(),
        provider.get({ scope: "kept" }),
        provider.get({ scope: "b" }),
        provider.renew(kept, { scope: "kept" })
      ]
      for (const call of late) assert.isTrue(closed(yield* Effect.exit(call)))
      assert.isUndefined(provider.peek())
      assert.isUndefined(provider.peek({ scope: "kept" }))
      yield* provider.report(kept, "rejected", { scope: "kept" })
      assert.lengthOf(yield* tokens.requests, requests)
    }))

  it.effect("rule 1: closing the scope in the leeway fails callers with Closed, without the token", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { provider, tokens } = yield* Scope.extend(
        ProviderBench.make({ endpoint: { lifetime: "100 seconds" } }),
        scope
      )
      const requests = [undefined, { scope: "a" }]
      yield* Effect.forEach(requests, (request) => provider.get(request))
      yield* TestClock.adjust("95 seconds")
      yield* tokens.hang(true)
      const waiting = yield* Effect.forEach(requests, (request) => Effect.fork(Effect.exit(provider.get(request))))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      for (const exit of yield* Effect.forEach(waiting, Fiber.join)) assert.isTrue(closed(exit))
    }))

  it.effect("rule 1: a provider built in an uninterruptible region can be closed while a request hangs", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { provider, tokens } = yield* Effect.uninterruptible(Scope.extend(ProviderBench.make(), scope))
      yield* tokens.hang(true)
      const waiting = yield* Effect.fork(Effect.exit(provider.get()))
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.isNotNull(closing.unsafePoll())
      assert.isTrue(closed(yield* Fiber.join(waiting)))
    }))

  it.effect("rule 1: closing the scope in a cool-down leaves no fiber behind", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { provider, tokens } = yield* Scope.extend(
        ProviderBench.make({ wrapEndpoint: (endpoint) => ({ ...endpoint, credentials: Effect.never }) }),
        scope
      )
      yield* tokens.failNext(1, TestTokenEndpoint.invalidClient)
      yield* Effect.flip(provider.get())
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.isNotNull(closing.unsafePoll())
    }))

  it.effect("rule 1: closing the scope during a background renewal is not logged as its failure", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const bench = yield* Scope.extend(ProviderBench.make({ endpoint: { lifetime: "100 seconds" } }), scope)
      yield* bench.provider.get()
      yield* TestClock.adjust("85 seconds")
      yield* bench.tokens.hang(true)
      yield* bench.provider.get()
      yield* settle
      assert.lengthOf(yield* bench.tokens.requests, 2)
      yield* Scope.close(scope, Exit.void)
      deepStrictEqual(ProviderBench.warnings(bench), [])
    }))

  it.scoped("rule 1: a caller in an uninterruptible region waits no longer than maxWait", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ maxWait: "10 seconds" })
      yield* tokens.hang(true)
      const waiting = yield* Effect.fork(Effect.uninterruptible(Effect.exit(provider.get())))
      yield* TestClock.adjust("10 seconds")
      assert.isNotNull(waiting.unsafePoll())
    }))

  it.scoped("rule 1: a caller in an uninterruptible region gets its token even if interrupted", () =>
    Effect.gen(function*() {
      const { provider } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      let given: string | undefined
      const waiting = yield* Effect.fork(Effect.uninterruptible(Effect.map(provider.get(), (token) => {
        given = value(token)
      })))
      yield* settle
      yield* Fiber.interruptFork(waiting)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(given, "token-1")
    }))

  it.scoped("rule 1: a request that hangs fails each caller after maxWait, with a retryAfter", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ maxWait: "10 seconds" })
      yield* tokens.hang(true)
      const early = yield* Effect.fork(Effect.flip(provider.get()))
      yield* TestClock.adjust("4 seconds")
      const late = yield* Effect.fork(Effect.flip(provider.get()))
      yield* TestClock.adjust("5999 millis")
      assert.isNull(early.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(early)
      assert(error._tag === "TokenProviderError")
      assert.strictEqual(error.reason, "MaxWait")
      assert.isDefined(error.retryAfter)
      assert.strictEqual(
        error.message,
        "No token within 10s: attempt 1 at https://auth.test/token is still running after 10s"
      )
      assert.isNull(late.unsafePoll())
      yield* TestClock.adjust("4 seconds")
      assert.isNotNull(late.unsafePoll())
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: a token that arrives after maxWait is used by the next caller", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ maxWait: "1 second", endpoint: { delay: "2 seconds" } })
      const early = yield* Effect.fork(Effect.flip(provider.get()))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(early)).reason, "MaxWait")
      assert.strictEqual(value(yield* provider.get()), "token-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: a defect of the endpoint reaches its callers, and the key continues to work", () =>
    Effect.gen(function*() {
      let broken = true
      const { provider, tokens } = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          attempt: (request) => {
            if (broken) throw new Error("not an effect")
            return endpoint.attempt(request)
          }
        })
      })
      const exits = yield* Effect.all([Effect.exit(provider.get()), Effect.exit(provider.get())], { concurrency: 2 })
      for (const exit of exits) {
        assert(Exit.isFailure(exit))
        assert.strictEqual(String(Option.getOrThrow(Cause.dieOption(exit.cause))), "Error: not an effect")
      }
      broken = false
      assert.strictEqual(value(yield* provider.get()), "token-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 1: a key whose endpoint returns no token continues to work", () =>
    Effect.gen(function*() {
      const good = yield* TestTokenEndpoint.make()
      const token = yield* good.endpoint.request(good.endpoint.resolve())
      for (const garbage of [undefined, {}, { ...token, value: "plain" }, { ...token, expiresAt: 3600 }]) {
        let broken = true
        const { provider } = yield* ProviderBench.make({
          maxWait: "1 second",
          wrapEndpoint: (endpoint) => ({
            ...endpoint,
            attempt: (request) => broken ? Effect.succeed(garbage as never) : endpoint.attempt(request)
          })
        })
        const exit = yield* during("1 second")(Effect.exit(provider.get()))
        assert(Exit.isFailure(exit))
        assert.isTrue(Cause.isDie(exit.cause))
        broken = false
        assert.strictEqual(value(yield* during("1 second")(provider.get())), "token-1")
      }
    }))

  it.effect("rule 1: a key whose tracer dies continues to work", () =>
    Effect.gen(function*() {
      let broken = true
      const tracer = Tracer.make({
        context: (f) => f(),
        span: (name, parent, ...rest) => {
          if (broken) throw new Error("tracer")
          return recordingTracer([]).span(name, parent, ...rest)
        }
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const { provider } = yield* Effect.withTracer(ProviderBench.make({ maxWait: "1 second" }), tracer)
        const exit = yield* during("1 second")(Effect.exit(provider.get()))
        assert(Exit.isFailure(exit))
        assert.isTrue(Cause.isDie(exit.cause))
        broken = false
        assert.strictEqual(value(yield* during("1 second")(provider.get())), "token-1")
      }))
    }))

  it.scoped("rule 1: an endpoint that interrupts itself does not interrupt its callers", () =>
    Effect.gen(function*() {
      let broken = true
      const { provider } = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          attempt: (request) => broken ? Effect.interrupt : endpoint.attempt(request)
        })
      })
      const exit = yield* Effect.exit(provider.get())
      assert(Exit.isFailure(exit))
      assert.isFalse(Cause.isInterrupted(exit.cause))
      assert.isFalse(closed(exit))
      broken = false
      assert.strictEqual(value(yield* provider.get()), "token-1")
    }))

  it.scoped("rule 1: 100 callers share one failure of the endpoint", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      yield* tokens.failNext(1)
      const errors = yield* Effect.all(Array.from({ length: 100 }, () => Effect.flip(provider.get())), {
        concurrency: "unbounded"
      }).pipe(during("1 second"))
      assert.isTrue(errors.every(({ message }) => message === TestTokenEndpoint.unavailable.message))
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("each waiting caller is counted, however its wait ends", () =>
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

  it.scoped("rule 1: two layers with the same options share no memory", () =>
    Effect.gen(function*() {
      assert.notStrictEqual(TokenProvider.layer(), TokenProvider.layer())
      const one = yield* ProviderBench.make()
      const two = yield* ProviderBench.make()
      yield* one.provider.get()
      assert.isUndefined(two.provider.peek())
    }))
})

describe.concurrent("TokenProvider, the key", () => {
  it.scoped("rule 2: two scopes at once are two requests and two separate tokens", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const requests = Array.from({ length: 50 }, (_, index) => ({ scope: index % 2 === 0 ? "read" : "write" }))
      const all = yield* Effect.forEach(requests, (request) => provider.get(request), { concurrency: "unbounded" })
        .pipe(
          during("1 second")
        )
      const [read, write] = [value(all[0]), value(all[1])]
      assert.notStrictEqual(read, write)
      deepStrictEqual(all.map(value), requests.map(({ scope }) => scope === "read" ? read : write))
      assert.lengthOf(yield* tokens.requests, 2)
      assert.strictEqual(value(yield* provider.get({ scope: "write" })), write)
      assert.strictEqual(value(yield* provider.get({ scope: "read" })), read)
      assert.isUndefined(provider.peek())
    }))

  it.scoped("rule 2: neither the order nor the notation of scopes matters", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { request: { scope: "a b" } } })
      const requests = [undefined, {}, { scope: "b a" }, { scope: ["a", "b"] }, { scope: ["b", "a", "b"] }]
      for (const request of requests) assert.strictEqual(value(yield* provider.get(request)), "token-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 2: requests that differ in anything have different tokens", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      const requests = [
        {},
        { scope: "a" },
        { scope: "a b" },
        { scope: "A" },
        { resource: "https://a.test" },
        { resource: ["https://a.test", "https://b.test"] },
        { audience: "a" },
        { params: { a: "b" } }
      ]
      const all = yield* Effect.forEach(requests, (request) => provider.get(request))
      assert.strictEqual(new Set(all.map(value)).size, requests.length)
      assert.lengthOf(yield* tokens.requests, requests.length)
    }))

  it.scoped("rule 2: a failure of one key does not cool down another", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      yield* tokens.failNext(1, TestTokenEndpoint.invalidClient)
      yield* Effect.flip(provider.get({ scope: "a" }))
      assert.strictEqual(value(yield* provider.get({ scope: "b" })), "token-1")
    }))

  it.scoped("rule 2: two keys have two entries, which do not show their requests", () =>
    Effect.gen(function*() {
      const { provider, store } = yield* ProviderBench.make()
      yield* provider.get({ scope: "secret-scope" })
      yield* provider.get({ scope: "other" })
      yield* settle
      const keys = Array.from((yield* store.entries).keys())
      assert.lengthOf(keys, 2)
      assert.notInclude(keys.join(), "secret-scope")
    }))

  it.scoped("capacity: the least recently used key is dropped, unless its request is in progress", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ capacity: 2, shareTokens: false })
      yield* provider.get()
      yield* provider.get({ scope: "a" })
      yield* provider.get({ scope: "b" })
      assert.strictEqual(value(yield* provider.get({ scope: "a" })), "token-2")
      yield* provider.get({ scope: "c" })
      // "b" had been used before "a"; the default request is not counted
      assert.isDefined(provider.peek())
      assert.isDefined(provider.peek({ scope: "c" }))
      assert.isDefined(provider.peek({ scope: "a" }))
      assert.strictEqual(value(yield* provider.get({ scope: "b" })), "token-5")

      yield* tokens.hang(true)
      const waiting = yield* Effect.fork(provider.get({ scope: "hanging" }))
      yield* settle
      yield* tokens.hang(false)
      for (const scope of ["d", "e", "f"]) yield* provider.get({ scope })
      const requests = (yield* tokens.requests).length
      const joined = yield* Effect.fork(provider.get({ scope: "hanging" }))
      yield* settle
      assert.lengthOf(yield* tokens.requests, requests)
      yield* Fiber.interruptAll([waiting, joined])
    }))
})

describe("TokenProvider, options", () => {
  const bad: ReadonlyArray<readonly [string, ProviderBench.Options]> = [
    ["refreshAhead", { refreshAhead: -1 }],
    ["refreshAhead", { refreshAhead: Number.NaN }],
    ["expiryLeeway", { expiryLeeway: "-1 seconds" }],
    ["defaultLifetime", { defaultLifetime: 0 }],
    ["failureCooldown", { failureCooldown: -5 }],
    ["maxWait", { maxWait: 0 }],
    ["maxWait", { maxWait: "soon" as never }],
    ["storeTimeout", { storeTimeout: 0 }],
    ["capacity", { capacity: 0 }],
    ["capacity", { capacity: 1.5 }],
    ["capacity", { capacity: Number.NaN }]
  ]
  it.scoped("invalid options are named when the layer is built", () =>
    rowsEffect(bad, ([name]) => name, ([name, options]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ProviderBench.make(options))
        deepStrictEqual(error.problems.map(({ option }) => option), [`TokenProvider.${name}`])
        assert.include(error.message, name)
      })))

  it.scoped("options may be absent, zero or infinite", () =>
    Effect.gen(function*() {
      const { provider } = yield* ProviderBench.make({
        refreshAhead: 0,
        expiryLeeway: 0,
        failureCooldown: 0,
        defaultLifetime: Duration.infinity,
        maxWait: Duration.infinity,
        capacity: 1
      })
      assert.strictEqual(value(yield* provider.get()), "token-1")
      const undefinedOptions = yield* ProviderBench.make({ refreshAhead: undefined, capacity: undefined })
      assert.strictEqual(value(yield* undefinedOptions.provider.get()), "token-1")
    }))
})
