/** A store whose answers come late, by the test's clock. */
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Random, TestClock } from "effect"
import * as Process from "./Process.js"
import { type Proxy, turnsUntil } from "./StoreBench.js"
import { timePasses } from "./timePasses.js"

/**
 * Processes whose `storeTimeout` is one second wait for no more slow answers than fit into that time. `miss` matches the
 * answer of the server that nothing is stored.
 */
export const fitIntoOneSecond = ({ messages, miss, proxy, request, tokenRequests }: {
  readonly proxy: Proxy
  readonly miss: RegExp
  readonly request: Effect.Effect<number, unknown>
  readonly messages: () => ReadonlyArray<string>
  readonly tokenRequests: ReadonlyArray<unknown>
}) =>
  Effect.gen(function*() {
    yield* Effect.repeat(request, { until: (requests) => requests === 1 })
    deepStrictEqual(messages(), [])
    proxy.hold(miss)
    const asked = tokenRequests.length
    const first = yield* Effect.fork(request)
    yield* turnsUntil(() => proxy.held() > 0)
    yield* TestClock.adjust("600 millis")
    proxy.release()
    proxy.hold()
    yield* turnsUntil(() => proxy.held() > 0)
    assert.strictEqual(tokenRequests.length, asked)
    yield* TestClock.adjust("400 millis")
    yield* turnsUntil(() => tokenRequests.length > asked)
    yield* Effect.zipRight(Fiber.join(first), Effect.replicateEffect(request, 10)).pipe(
      Effect.raceFirst(timePasses("100 millis"))
    )
    assert.isAtMost(messages().filter(Process.isWarning).length, 2)
    assert.match(messages().join("\n"), /took more than 1s|no answer within 1s/)
    proxy.release()
    yield* Effect.zipRight(TestClock.adjust("5 seconds"), request).pipe(
      Effect.repeat({ until: (requests) => requests === 1 }),
      // Without notices, a process that waits for the other looks now and then
      Effect.raceFirst(timePasses("100 millis"))
    )
  }).pipe(
    // A jitter of zero: TestClock fails at a fraction of a millisecond
    Effect.withRandom(Random.fixed([0.5]))
  )
