import { OAuthError } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Option, TestClock } from "effect"
import type { OutgoingHttpHeaders } from "node:http"
import { main } from "../../src/integrations/retries.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

/** An API that gives these answers, and 200 after them; with the time of each, by the clock of the test. */
const serve = (...answers: ReadonlyArray<readonly [status: number, headers?: OutgoingHttpHeaders]>) =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const times: Array<number> = []
    const url = yield* Environment.serve((_, response) => {
      const [status, headers] = answers[times.length] ?? [200]
      times.push(clock.unsafeCurrentTimeMillis())
      response.writeHead(status, headers).end()
    })
    return { url, times }
  })

/** Runs an effect while time passes. */
const during = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* Effect.repeat(TestClock.adjust("100 millis"), { until: () => Effect.map(Fiber.poll(fiber), Option.isSome) })
    return yield* Fiber.join(fiber)
  })

describe("retries.ts", () => {
  it.scoped("retries after 503 and 429, no earlier than Retry-After", () =>
    Effect.gen(function*() {
      const { times, url } = yield* serve([503], [429, { "retry-after": "1" }])
      assert.strictEqual(yield* during(Environment.run(main, { ALF_BASE_URL: url })), 200)
      assert.strictEqual(times.length, 3)
      assert.isAtLeast(times[2] - times[1], 1000)
      deepStrictEqual((yield* Environment.seen).token, [200])
    }).pipe(Effect.provide(Shop.layer())))

  it.scopedLive("returns a 429 whose Retry-After is too long", () =>
    Effect.gen(function*() {
      const { times, url } = yield* serve([429, { "retry-after": "3600" }])
      assert.strictEqual(yield* Environment.run(main, { ALF_BASE_URL: url }), 429)
      assert.strictEqual(times.length, 1)
    }).pipe(Effect.provide(Shop.layer())))

  it.scopedLive("does not retry a call that failed because of a wrong secret", () =>
    Effect.gen(function*() {
      const { times, url } = yield* serve()
      const error = yield* Effect.flip(Environment.run(main, { ALF_BASE_URL: url, ALF_CLIENT_SECRET: "wrong" }))
      assert.instanceOf(error, OAuthError.TokenEndpointError)
      deepStrictEqual([times.length, (yield* Environment.seen).token], [0, [401]])
    }).pipe(Effect.provide(Shop.layer())))
})
