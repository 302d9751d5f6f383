import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, TestClock } from "effect"
import * as Spinner from "../src/Spinner.js"

describe("Spinner", () => {
  it.effect("spins while an effect runs, and then clears its line", () =>
    Effect.gen(function*() {
      const written: Array<string> = []
      const { during } = Spinner.make((text) => written.push(text))
      const fiber = yield* Effect.fork(during("waiting")(Effect.as(Effect.sleep("1 second"), "done")))
      yield* TestClock.adjust("200 millis")
      assert.isEmpty(written.slice(1))
      yield* TestClock.adjust("800 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      assert.isAbove(written.length, 5)
      for (const text of written.slice(0, -1)) assert.match(text, /^\r. waiting$/)
      assert.strictEqual(written.at(-1), "\r\u001b[K")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(written.at(-1), "\r\u001b[K")
    }))

  it.effect("shows nothing for an immediate effect, and clears its line when interrupted", () =>
    Effect.gen(function*() {
      const written: Array<string> = []
      const { during } = Spinner.make((text) => written.push(text))
      yield* during("waiting")(Effect.void)
      deepStrictEqual(written, [])
      const fiber = yield* Effect.fork(during("waiting")(Effect.never))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(written.at(-1), "\r\u001b[K")
      yield* Spinner.none.during("waiting")(Effect.void)
    }))
})
