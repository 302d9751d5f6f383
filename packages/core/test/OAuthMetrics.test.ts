import { OAuthError, OAuthMetrics, TokenEndpoint } from "@effect-alf/core"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Metric, Redacted, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { settle } from "./support/ProviderBench.js"

/** What was counted by the services that were made with this tag. */
const count = (metric: Metric.Metric.Counter<number>, test: string) =>
  Effect.map(Metric.value(Metric.tagged(metric, "test", test)), ({ count }) => count)

const storeError = (reason: "Timeout" | "Unavailable") =>
  new OAuthError.TokenStoreError({ method: "get", reason, description: "" })

describe("OAuthMetrics", () => {
  it.scoped("rule 8: store calls are counted by outcome, and calls that are not made count as skipped", () =>
    Effect.gen(function*() {
      const counts = Effect.forEach(
        ["ok", "skipped", storeError("Unavailable"), storeError("Timeout")] as const,
        (outcome) => count(OAuthMetrics.tokenStoreOperations("get", outcome), "store")
      )
      const bench = yield* Effect.tagMetrics(ProviderBench.make({ storeTimeout: undefined }), "test", "store")
      yield* bench.store.fail("refused", "get")
      for (let i = 0; i < 10; i++) yield* bench.provider.get({ scope: `${i}` })
      yield* settle
      deepStrictEqual(yield* counts, [0, 9, 1, 0])
      yield* bench.store.fail(undefined)
      yield* bench.store.hang(true, "get")
      yield* TestClock.adjust("5 seconds")
      yield* ProviderBench.during("500 millis")(bench.provider.get({ scope: "last" }))
      deepStrictEqual(yield* counts, [0, 9, 1, 1])
    }))

  it.effect("the tags are those of the layer, not of the caller", () =>
    Effect.gen(function*() {
      const update = yield* Effect.tagMetrics(OAuthMetrics.makeUpdate, "test", "layer")
      yield* Effect.tagMetrics(Effect.sync(() => update(OAuthMetrics.tokenWaiters, 2)), "test", "caller")
      update(OAuthMetrics.tokenWaiters, -1)
      deepStrictEqual(
        [yield* count(OAuthMetrics.tokenWaiters, "layer"), yield* count(OAuthMetrics.tokenWaiters, "caller")],
        [1, 0]
      )
    }))

  it.effect("durations are in seconds, in the buckets that OpenTelemetry recommends", () =>
    Effect.gen(function*() {
      const update = yield* Effect.tagMetrics(OAuthMetrics.makeUpdate, "test", "duration")
      const duration = OAuthMetrics.tokenRequestDuration("issued")
      update(duration, 0.03)
      update(duration, 20)
      const { buckets, sum } = yield* Metric.value(Metric.tagged(duration, "test", "duration"))
      assert.strictEqual(sum, 20.03)
      deepStrictEqual(buckets.map(([boundary]) => boundary), [
        ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
        Number.POSITIVE_INFINITY
      ])
      deepStrictEqual(buckets.map(([, count]) => count), [...Array(3).fill(0), ...Array(11).fill(1), 2])
    }))

  it.scoped("the duration of a token request is in seconds, whatever the time is", () =>
    Effect.gen(function*() {
      const slow = HttpClient.make((request) =>
        Effect.as(
          Effect.sleep("1250 millis"),
          HttpClientResponse.fromWeb(request, Response.json({ access_token: "token", token_type: "Bearer" }))
        )
      )
      yield* TestClock.adjust("1 hour")
      const endpoint = yield* Effect.tagMetrics(
        TokenEndpoint.make({
          tokenEndpoint: "https://auth.example.com/token",
          clientId: "app",
          clientSecret: Redacted.make("secret")
        }),
        "test",
        "request"
      ).pipe(Effect.provideService(HttpClient.HttpClient, slow))
      yield* ProviderBench.during("1250 millis")(endpoint.request(endpoint.resolve()))
      const duration = Metric.tagged(OAuthMetrics.tokenRequestDuration("issued"), "test", "request")
      const { count, sum } = yield* Metric.value(duration)
      deepStrictEqual([count, sum], [1, 1.25])
    }))

  it.scoped("the waits of callers are in seconds, and callers that found a token are not counted", () =>
    Effect.gen(function*() {
      const bench = yield* Effect.tagMetrics(
        ProviderBench.make({ endpoint: { delay: "7030 millis" } }),
        "test",
        "wait"
      )
      yield* ProviderBench.during("7030 millis")(Effect.all([bench.provider.get(), bench.provider.get()], {
        concurrency: "unbounded"
      }))
      yield* bench.provider.get()
      const { count, sum } = yield* Metric.value(Metric.tagged(OAuthMetrics.tokenWaitDuration, "test", "wait"))
      deepStrictEqual([count, sum], [2, 14.06])
    }))
})
