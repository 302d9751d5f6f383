import { TokenProvider } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Layer, Option, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { settle } from "./support/ProviderBench.js"

const nothing = { token: Option.none(), isRenewing: false, lastError: Option.none(), store: "working" as const }

describe.concurrent("TokenStatus", () => {
  it.scoped("before the first token the status is empty, and reading it requests nothing", () =>
    Effect.gen(function*() {
      const { provider, store, tokens } = yield* ProviderBench.make()
      deepStrictEqual(yield* TokenProvider.status(provider), nothing)
      deepStrictEqual(yield* TokenProvider.status(provider, { scope: "unknown" }), nothing)
      yield* settle
      deepStrictEqual(yield* tokens.requests, [])
      deepStrictEqual(yield* store.callsOf("get"), [])
    }))

  it.scoped("a provider derived from another has its status, a custom one has none", () =>
    Effect.gen(function*() {
      const { provider } = yield* ProviderBench.make()
      yield* provider.get()
      const { get, peek, renew, report } = provider
      assert.isTrue(Option.isSome((yield* TokenProvider.status({ ...provider, get: () => get() })).token))
      deepStrictEqual(yield* TokenProvider.status({ get, peek, renew, report }), { ...nothing, store: "unused" })
    }))

  it.scoped("a token has an age and an expiry, until it expires", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      yield* tokens.respondNext({ lifetime: "100 seconds", scope: "read" })
      yield* provider.get()
      yield* TestClock.adjust("30 seconds")
      deepStrictEqual(yield* TokenProvider.status(provider), {
        ...nothing,
        token: Option.some({
          obtainedAt: DateTime.unsafeMake(0),
          age: Duration.seconds(30),
          expiresAt: Option.some(DateTime.unsafeMake(100_000)),
          expiresIn: Option.some(Duration.seconds(70)),
          scope: Option.some("read"),
          source: "issued" as const,
          isRejected: false
        })
      })
      yield* TestClock.adjust("70 seconds")
      deepStrictEqual((yield* TokenProvider.status(provider)).token, Option.none())
    }))

  it.scoped("each request has its own status", () =>
    Effect.gen(function*() {
      const { provider } = yield* ProviderBench.make()
      yield* provider.get({ scope: "a" })
      assert.isTrue(Option.isSome((yield* TokenProvider.status(provider, { scope: "a" })).token))
      assert.isTrue(Option.isNone((yield* TokenProvider.status(provider, { scope: "b" })).token))
    }))

  it.scoped("shows a renewal in progress, the last error, and its end", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      yield* tokens.failNext(1, TestTokenEndpoint.invalidClient)
      yield* Effect.fork(Effect.ignore(provider.get()))
      yield* settle
      assert.isTrue((yield* TokenProvider.status(provider)).isRenewing)
      yield* TestClock.adjust("1 second")
      const failed = yield* TokenProvider.status(provider)
      deepStrictEqual(failed.token, Option.none())
      assert.isFalse(failed.isRenewing)
      const { error, failedAt } = Option.getOrThrow(failed.lastError)
      assert.strictEqual(error.message, TestTokenEndpoint.invalidClient.message)
      assert.strictEqual(failedAt.epochMillis, 1000)
      yield* TestClock.adjust("1 minute")
      yield* Effect.fork(provider.get())
      yield* TestClock.adjust("1 second")
      const { lastError, token } = yield* TokenProvider.status(provider)
      deepStrictEqual(lastError, Option.none())
      assert.isTrue(Option.isSome(token))
    }))

  it.scoped("shows that a custom endpoint died", () =>
    Effect.gen(function*() {
      const { provider } = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({ ...endpoint, attempt: () => Effect.die("a defect") })
      })
      yield* Effect.exit(provider.get())
      yield* settle
      const { error } = Option.getOrThrow((yield* TokenProvider.status(provider)).lastError)
      assert.include(error, {
        _tag: "TokenProviderError",
        reason: "Defect",
        message: "The token endpoint failed with a defect"
      })
    }))

  it.scoped("shows where a token comes from, and that a resource rejected it", () =>
    Effect.gen(function*() {
      const one = yield* ProviderBench.make()
      const token = yield* one.provider.get()
      const two = yield* ProviderBench.make({ sharedStore: one.store.backing })
      yield* two.provider.get()
      assert.strictEqual(Option.getOrThrow((yield* TokenProvider.status(two.provider)).token).source, "adopted")
      yield* one.tokens.returnSameToken(true)
      yield* one.provider.renew(token)
      assert.isTrue(Option.getOrThrow((yield* TokenProvider.status(one.provider)).token).isRejected)
    }))

  it.scoped("shows whether the store works, or is used at all", () =>
    Effect.gen(function*() {
      const { provider, store } = yield* ProviderBench.make()
      yield* store.fail("out of order")
      yield* provider.get()
      yield* settle
      assert.strictEqual((yield* TokenProvider.status(provider)).store, "failing")
      yield* store.fail(undefined)
      yield* TestClock.adjust("1 hour")
      yield* provider.get()
      yield* settle
      assert.strictEqual((yield* TokenProvider.status(provider)).store, "working")
      const alone = yield* ProviderBench.make({ shareTokens: false })
      assert.strictEqual((yield* TokenProvider.status(alone.provider)).store, "unused")
    }))
})

describe("TokenProvider.warm", () => {
  const warm = (bench: ProviderBench.Bench, options?: TokenProvider.WarmOptions) =>
    Effect.provideService(TokenProvider.warm(options), TokenProvider.TokenProvider, bench.provider)

  it.scoped("gets a token before the first call, one for each request", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      yield* warm(bench)
      assert.isDefined(bench.provider.peek())
      yield* warm(bench, { requests: [{ scope: "a" }, { scope: "b" }] })
      assert.isDefined(bench.provider.peek({ scope: "a" }))
      assert.isDefined(bench.provider.peek({ scope: "b" }))
      assert.lengthOf(yield* bench.tokens.requests, 3)
    }))

  it.scoped("fails with the endpoint's error, or continues with one log line", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      yield* bench.tokens.failNext(1, TestTokenEndpoint.invalidClient)
      assert.strictEqual((yield* Effect.flip(warm(bench))).message, TestTokenEndpoint.invalidClient.message)
      yield* warm(bench, { onFailure: "log" })
      deepStrictEqual(bench.logs, [{
        level: "Error",
        text: `No token is available: requests fail. ${TestTokenEndpoint.invalidClient.message}`
      }])
    }))

  it.scoped("as a layer, gets a token when the app is built", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      const provider = Layer.succeed(TokenProvider.TokenProvider, bench.provider)
      yield* Layer.build(Layer.provide(TokenProvider.layerWarm(), provider))
      assert.isDefined(bench.provider.peek())
    }))
})
