import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Deferred, Duration, Effect, Either, Exit, FastCheck as fc, Schedule } from "effect"
import * as VirtualClock from "../src/VirtualClock.js"

const value = <A, E>(effect: Effect.Effect<A, E>, clock?: VirtualClock.VirtualClock): A =>
  Exit.getOrElse(
    Either.getOrThrowWith(VirtualClock.run(effect, clock), () => new Error("deadlock")),
    (cause) => assert.fail(String(cause))
  )

describe("VirtualClock", () => {
  it("wakes sleepers in the order of their times, and at the same time in the order of their calls", () => {
    fc.assert(fc.property(fc.array(fc.nat(20), { maxLength: 100 }), (delays) => {
      const clock = new VirtualClock.VirtualClock()
      const woken: Array<readonly [number, number]> = []
      value(
        Effect.forEach(
          delays,
          (delay, index) => Effect.delay(Effect.sync(() => woken.push([clock.elapsed(), index])), delay),
          { concurrency: "unbounded" }
        ),
        clock
      )
      const expected = delays.map((delay, index) => [delay, index] as const)
      deepStrictEqual(woken, expected.sort(([a, i], [b, j]) => a - b || i - j))
    }))
  })

  it("stands still while a fiber can run", () => {
    const clock = new VirtualClock.VirtualClock()
    const busy = Effect.repeatN(Effect.yieldNow(), 100)
    value(Effect.zip(Effect.sleep(1), Effect.zipRight(busy, Effect.sleep(10)), { concurrent: true }), clock)
    assert.strictEqual(clock.elapsed(), 10)
  })

  it("does not advance for a sleep that was interrupted", () => {
    const clock = new VirtualClock.VirtualClock()
    value(Effect.timeoutOption(Effect.sleep("1 hour"), "1 second"), clock)
    value(Effect.sleep("1 second"), clock)
    assert.strictEqual(clock.elapsed(), 2_000)
  })

  it("drives Effect's own timeouts and schedules", () => {
    const clock = new VirtualClock.VirtualClock()
    const attempts = Effect.retry(
      Effect.fail("no"),
      Schedule.intersect(Schedule.recurs(3), Schedule.spaced("1 minute"))
    )
    deepStrictEqual(value(Effect.flip(attempts), clock), "no")
    assert.strictEqual(clock.elapsed(), Duration.toMillis("3 minutes"))
  })

  it("waits for promises of data in memory before time advances", async () => {
    const order: Array<string> = []
    const note = (what: string) => Effect.sync(() => order.push(what))
    const body = Effect.promise(() => Response.json("a body").text())
    const exit = await VirtualClock.runPromise(
      Effect.zip(Effect.zipRight(body, note("body")), Effect.zipRight(Effect.sleep(1), note("time")), {
        concurrent: true
      })
    )
    deepStrictEqual([Exit.isSuccess(exit), order], [true, ["body", "time"]])
  })

  it("detects a deadlock", () => {
    const stuck = Effect.flatMap(Deferred.make<void>(), Deferred.await)
    deepStrictEqual(VirtualClock.run(stuck), Either.left("deadlock" as const))
  })
})
