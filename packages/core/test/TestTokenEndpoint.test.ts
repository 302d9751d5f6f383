import type { TokenEndpoint } from "@effect-alf/core"
import { AccessToken, RetryPolicy, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { storeKey } from "./support/StoreKey.js"

const run = <A, E>(
  options: TestTokenEndpoint.Options,
  body: (services: {
    readonly control: TestTokenEndpoint.TestTokenEndpoint["Type"]
    readonly endpoint: TokenEndpoint.TokenEndpoint["Type"]
  }) => Effect.Effect<A, E>
) => Effect.flatMap(TestTokenEndpoint.make(options), body)

const value = (token: AccessToken.AccessToken) => Redacted.value(token.value)

const lifetimeOf = (token: AccessToken.AccessToken) =>
  Option.map(AccessToken.remaining(token, token.obtainedAt), Duration.toSeconds)

describe("TestTokenEndpoint", () => {
  it.effect("issues numbered tokens and records requests", () =>
    run({ lifetime: "10 minutes" }, ({ control, endpoint }) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        const request = endpoint.resolve({ scope: "read" })
        const first = yield* endpoint.request(request)
        const second = yield* endpoint.attempt(endpoint.resolve(), 3)
        deepStrictEqual([value(first), value(second)], ["token-1", "token-2"])
        deepStrictEqual(lifetimeOf(first), Option.some(600))
        assert.strictEqual(DateTime.toEpochMillis(first.obtainedAt), 1000)
        deepStrictEqual(yield* control.requests, [
          { time: 1000, via: "request", attempt: 1, request },
          { time: 1000, via: "attempt", attempt: 3, request: endpoint.resolve() }
        ])
        deepStrictEqual((yield* control.issued).map(value), ["token-1", "token-2"])
        yield* control.resetRecords
        deepStrictEqual(yield* control.requests, [])
      })))

  it.effect("fails every attempt that has no queued response, until it is reset", () =>
    run({}, ({ control, endpoint }) =>
      Effect.gen(function*() {
        const attempt = endpoint.attempt(endpoint.resolve())
        yield* control.fail(TestTokenEndpoint.invalidClient)
        yield* control.failNext(1)
        assert.strictEqual(yield* Effect.flip(attempt), TestTokenEndpoint.unavailable)
        for (const _ of [1, 2]) assert.strictEqual(yield* Effect.flip(attempt), TestTokenEndpoint.invalidClient)
        yield* control.fail(undefined)
        yield* attempt
      })))

  it.effect("computes keys as the real endpoint does", () =>
    run({ request: { scope: "read" } }, ({ endpoint }) =>
      Effect.sync(() => {
        assert.strictEqual(storeKey(endpoint.resolve()), storeKey(endpoint.resolve({ scope: ["read"] })))
        assert.notStrictEqual(storeKey(endpoint.resolve()), storeKey(endpoint.resolve({ scope: "write" })))
        deepStrictEqual(endpoint.resolve().params, [["grant_type", "client_credentials"], ["scope", "read"]])
      })))

  it.effect("two endpoints with different identities have different keys", () =>
    run(
      {},
      ({ endpoint }) =>
        run({ identity: { clientId: "other" } }, (other) =>
          Effect.sync(() =>
            assert.notStrictEqual(storeKey(endpoint.resolve()), storeKey(other.endpoint.resolve()))
          ))
    ))

  it.effect("fails and responds in the queued order", () =>
    run({}, ({ control, endpoint }) =>
      Effect.gen(function*() {
        yield* control.failNext(1)
        yield* control.failNext(1, TestTokenEndpoint.invalidClient)
        yield* control.respondNext({ value: "special", lifetime: "none", scope: "less" })
        const attempt = endpoint.attempt(endpoint.resolve())
        assert.strictEqual(yield* Effect.flip(attempt), TestTokenEndpoint.unavailable)
        assert.strictEqual(yield* Effect.flip(attempt), TestTokenEndpoint.invalidClient)
        const special = yield* attempt
        assert.strictEqual(value(special), "special")
        deepStrictEqual(special.expiresAt, Option.none())
        deepStrictEqual(special.scope, Option.some("less"))
        assert.strictEqual(value(yield* attempt), "token-2")
      })))

  it.effect("request makes one attempt unless it has a retry policy", () =>
    run({}, ({ control, endpoint }) =>
      Effect.gen(function*() {
        yield* control.failNext(1)
        yield* Effect.flip(endpoint.request(endpoint.resolve()))
        assert.lengthOf(yield* control.requests, 1)
      })))

  it.effect("retries transient failures with the given schedule", () =>
    run(
      { retry: RetryPolicy.exponential({ base: "1 second", jitter: false, times: 2 }) },
      ({ control, endpoint }) =>
        Effect.gen(function*() {
          yield* control.failNext(2)
          const fiber = yield* Effect.fork(endpoint.request(endpoint.resolve()))
          yield* TestClock.adjust("3 seconds")
          assert.strictEqual(value(yield* Fiber.join(fiber)), "token-1")
          deepStrictEqual(
            (yield* control.requests).map(({ attempt, time, via }) => [attempt, time, via]),
            [[1, 0, "request"], [2, 1000, "request"], [3, 3000, "request"]]
          )
          yield* control.failNext(1, TestTokenEndpoint.invalidClient)
          assert.strictEqual(
            yield* Effect.flip(endpoint.request(endpoint.resolve())),
            TestTokenEndpoint.invalidClient
          )
        })
    ))

  it.effect("delays by Clock and counts the lifetime from the start", () =>
    run({ delay: "2 seconds", lifetime: "1 minute" }, ({ control, endpoint }) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(endpoint.attempt(endpoint.resolve()))
        yield* TestClock.adjust("1 second")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 second")
        const token = yield* Fiber.join(fiber)
        assert.strictEqual(DateTime.toEpochMillis(token.obtainedAt), 0)
        yield* control.setDelay(0)
        yield* control.setLifetime("5 seconds")
        deepStrictEqual(lifetimeOf(yield* endpoint.attempt(endpoint.resolve())), Option.some(5))
      })))

  it.effect("hangs until interrupted, and records the request", () =>
    run({}, ({ control, endpoint }) =>
      Effect.gen(function*() {
        yield* control.hang(true)
        const fiber = yield* Effect.fork(endpoint.request(endpoint.resolve()))
        yield* TestClock.adjust("1 day")
        assert.isNull(fiber.unsafePoll())
        yield* Fiber.interrupt(fiber)
        yield* control.hang(false)
        yield* endpoint.request(endpoint.resolve())
        assert.lengthOf(yield* control.requests, 2)
      })))

  it.effect("returns the same token with its remaining lifetime, by key", () =>
    run({ lifetime: "1 minute" }, ({ control, endpoint }) =>
      Effect.gen(function*() {
        yield* control.returnSameToken(true)
        const attempt = endpoint.attempt(endpoint.resolve())
        yield* attempt
        yield* TestClock.adjust("20 seconds")
        const again = yield* attempt
        assert.strictEqual(value(again), "token-1")
        deepStrictEqual(lifetimeOf(again), Option.some(40))
        assert.strictEqual(value(yield* endpoint.attempt(endpoint.resolve({ scope: "other" }))), "token-2")
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual(value(yield* attempt), "token-3")
      })))

  it.effect("describes the credentials it uses", () =>
    run({}, ({ control, endpoint }) =>
      Effect.gen(function*() {
        deepStrictEqual(yield* endpoint.credentials, Option.none())
        yield* control.setCredentials("v1")
        deepStrictEqual(yield* endpoint.credentials, Option.some("v1"))
        yield* control.setCredentials(undefined)
        deepStrictEqual(yield* endpoint.credentials, Option.none())
      })))

  it.effect("serves a provider", () =>
    Effect.gen(function*() {
      const provider = yield* TokenProvider.TokenProvider
      const control = yield* TestTokenEndpoint.TestTokenEndpoint
      assert.strictEqual(value(yield* provider.get()), "token-1")
      assert.strictEqual(value(yield* provider.get()), "token-1")
      assert.lengthOf(yield* control.requests, 1)
    }).pipe(Effect.provide(
      TokenProvider.layer().pipe(
        Layer.provide(TokenStore.layerMemory()),
        Layer.provideMerge(TestTokenEndpoint.layer())
      )
    )))
})
