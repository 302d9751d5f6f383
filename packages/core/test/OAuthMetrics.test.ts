import { OAuthMetrics } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, TestClock } from "effect"
import * as ProviderBench from "./ProviderBench.js"
import { settle } from "./ProviderBench.js"

const failures = (reason: "Timeout" | "Unavailable") =>
  Effect.map(Metric.value(OAuthMetrics.tokenStoreFailures({ method: "get", reason })), ({ count }) => count)

describe("OAuthMetrics", () => {
  it.scoped("rule 8: calls of a store that fail are counted, and those that are not made are not", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      const [failed, timedOut] = [yield* failures("Unavailable"), yield* failures("Timeout")]
      yield* bench.store.fail("refused", "get")
      for (let i = 0; i < 10; i++) yield* bench.provider.get({ scope: `${i}` })
      yield* settle
      assert.strictEqual((yield* failures("Unavailable")) - failed, 1)
      yield* bench.store.fail(undefined)
      yield* bench.store.hang(true, "get")
      yield* TestClock.adjust("5 seconds")
      yield* ProviderBench.during("500 millis")(bench.provider.get({ scope: "last" }))
      assert.strictEqual((yield* failures("Timeout")) - timedOut, 1)
    }))
})
