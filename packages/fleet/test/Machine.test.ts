import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Clock, Effect, Either } from "effect"
import { Dice } from "../src/Dice.js"
import * as Machine from "../src/Machine.js"
import * as VirtualClock from "../src/VirtualClock.js"

const make = (skew = 0) => {
  const time = new VirtualClock.VirtualClock()
  const machine = Machine.make({ id: 0, time, skew, dice: new Dice(1) })
  const run = <A>(effect: Effect.Effect<A>) => VirtualClock.run(Effect.withClock(effect, machine.clock), time)
  return { time, machine, run }
}

describe("Machine", () => {
  it("shows its own time, and sleeps for the same duration as any other", () => {
    const { machine, run, time } = make(-30_000)
    const before = machine.clock.unsafeCurrentTimeMillis()
    assert.strictEqual(before, time.unsafeCurrentTimeMillis() - 30_000)
    const slept = Effect.zipRight(Effect.sleep("1 second"), Clock.currentTimeMillis)
    deepStrictEqual(Either.isRight(run(slept)), true)
    assert.strictEqual(machine.clock.unsafeCurrentTimeMillis(), before + 1_000)
    assert.strictEqual(time.elapsed(), 1_000)
  })

  it("runs no tasks after it was killed", () => {
    const { machine, run, time } = make()
    let went = 0
    machine.after(1_000, () => went++)
    time.schedule(500, machine.kill)
    deepStrictEqual(run(Effect.sleep("1 minute")), Either.left("deadlock" as const))
    assert.isFalse(machine.isAlive())
    assert.strictEqual(went, 0)
  })

  it("runs all tasks after a stall, in the same order", () => {
    const { machine, time } = make()
    const went: Array<string> = []
    for (const delay of [300, 100, 5_000]) machine.after(delay, () => went.push(`${delay} at ${time.elapsed()}`))
    machine.after(200, () => assert.fail("it was called back"))()
    machine.stall(1_000)
    while (time.advance()) { /* to the end */ }
    deepStrictEqual(went, ["100 at 1000", "300 at 1000", "5000 at 5000"])
    assert.strictEqual(machine.stalled(), 1_000)
  })
})
