import { OAuthMetrics } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, FiberId, FiberSet, TestClock } from "effect"
import * as WaitingCallers from "../../src/provider/WaitingCallers.js"

/** The end of a wait, and when it came. */
type Told = readonly [who: string, exit: Exit.Exit<string, string>, at: number]

const make = Effect.gen(function*() {
  const clock = yield* Effect.clock
  const offset = { millis: 0 }
  const timers: Array<Fiber.RuntimeFiber<void>> = []
  const changes: Array<number> = []
  const waits: Array<number> = []
  const told: Array<Told> = []
  const run = yield* FiberSet.makeRuntime<never, void>()
  const callers = WaitingCallers.make<string, string>(() => "time is over", {
    fork: (effect) => {
      const timer = run(effect)
      timers.push(timer)
      return timer
    },
    now: () => clock.unsafeCurrentTimeMillis() + offset.millis,
    update: (metric, input) => {
      const told = Object.is(metric, OAuthMetrics.tokenWaiters) ? changes : waits
      told.push(Number(input))
    }
  })
  const wait = (who: string, deadline: number) =>
    Effect.withFiberRuntime<void>((caller) =>
      Effect.map(Effect.exit(callers.wait(caller, deadline)), (exit) => {
        told.push([who, exit, clock.unsafeCurrentTimeMillis()])
      })
    )
  const join = (who: string, deadline: number) => Effect.tap(Effect.fork(wait(who, deadline)), Effect.yieldNow())
  return {
    ...callers,
    wait,
    join,
    told,
    changes,
    waits,
    waiting: () => changes.reduce((sum, change) => sum + change, 0),
    running: () => timers.filter((timer) => timer.unsafePoll() === null).length,
    timers,
    offset
  }
})

const over = Exit.fail("time is over")

describe.concurrent("WaitingCallers", () => {
  it.scoped("all callers get the result, and later ones too; only the first result counts", () =>
    Effect.gen(function*() {
      const { join, running, tell, told, wait, waiting } = yield* make
      yield* join("a", 1000)
      yield* join("b", 1000)
      yield* join("c", 2000)
      deepStrictEqual(waiting(), 3)
      tell(Exit.succeed("token"))
      tell(Exit.fail("too late"))
      yield* TestClock.adjust(0)
      yield* wait("d", 1000)
      deepStrictEqual(
        told.map(([who, exit]) => [who, exit]),
        ["a", "b", "c", "d"].map((who) => [who, Exit.succeed("token")])
      )
      deepStrictEqual([waiting(), running()], [0, 0])
    }))

  it.scoped("each waits until its own deadline, with one timer for all", () =>
    Effect.gen(function*() {
      const { join, running, told, waiting, waits } = yield* make
      for (const deadline of [300, 100, 200, 100, 300]) yield* join(`until ${deadline}`, deadline)
      deepStrictEqual(running(), 1)
      yield* TestClock.adjust(99)
      deepStrictEqual(told, [])
      yield* TestClock.adjust(1)
      deepStrictEqual([waiting(), running()], [3, 1])
      yield* TestClock.adjust(100)
      yield* TestClock.adjust(100)
      deepStrictEqual(told, [100, 100, 200, 300, 300].map((at) => [`until ${at}`, over, at]))
      deepStrictEqual(waits, [0.1, 0.1, 0.2, 0.3, 0.3])
      deepStrictEqual([waiting(), running()], [0, 0])
    }))

  it.scoped("a hundred callers with one deadline have one timer, and so have a hundred with later ones", () =>
    Effect.gen(function*() {
      const { join, timers, told } = yield* make
      yield* Effect.forEach(Array.from({ length: 100 }), () => join("one", 500), { discard: true })
      yield* Effect.forEach(Array.from({ length: 100 }), (_, i) => join("many", 501 + i % 20), { discard: true })
      deepStrictEqual(timers.length, 1)
      yield* TestClock.adjust(600)
      deepStrictEqual(told.length, 200)
    }))

  it.effect("a caller whose deadline has passed does not wait", () =>
    Effect.gen(function*() {
      const { changes, timers, told, wait } = yield* make
      yield* TestClock.adjust(500)
      yield* wait("late", 500)
      deepStrictEqual(told, [["late", over, 500]])
      deepStrictEqual([changes, timers.length], [[], 0])
    }).pipe(Effect.scoped))

  it.scoped("a caller whose wait ends before any result fails at once, and the others wait", () =>
    Effect.gen(function*() {
      const { join, nothingBefore, tell, told, wait, waiting } = yield* make
      for (const deadline of [100, 300, 200]) yield* join(`until ${deadline}`, deadline)
      nothingBefore(200)
      yield* Effect.yieldNow()
      yield* wait("later", 200)
      deepStrictEqual(told, ["until 100", "until 200", "later"].map((who) => [who, over, 0]))
      yield* TestClock.adjust(299)
      deepStrictEqual(waiting(), 1)
      nothingBefore(0)
      yield* join("last", 400)
      yield* TestClock.adjust(1)
      tell(Exit.succeed("token"))
      yield* Effect.yieldNow()
      deepStrictEqual(told.slice(3), [["until 300", over, 300], ["last", Exit.succeed("token"), 300]])
    }))

  it.scoped("an interrupted caller stops counting at once, and disturbs no other", () =>
    Effect.gen(function*() {
      const { changes, join, tell, told, waits } = yield* make
      const first = yield* join("a", 1000)
      yield* join("b", 1000)
      yield* TestClock.adjust(10)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(first)))
      deepStrictEqual(changes, [1, 1, -1])
      yield* TestClock.adjust(10)
      tell(Exit.succeed("token"))
      yield* Effect.yieldNow()
      deepStrictEqual(told.map(([who]) => who), ["b"])
      deepStrictEqual(changes, [1, 1, -1, -1])
      deepStrictEqual(waits, [0.01, 0.02])
    }))

  it.scoped("a caller that is interrupted as it gets the result is counted once", () =>
    Effect.gen(function*() {
      const { changes, join, tell } = yield* make
      const told = yield* join("told first", 1000)
      tell(Exit.succeed("token"))
      told.unsafeInterruptAsFork(FiberId.none)
      yield* Fiber.await(told)
      deepStrictEqual(changes, [1, -1])
    }))

  it.scoped("a caller that cannot be interrupted has a deadline too", () =>
    Effect.gen(function*() {
      const { told, wait } = yield* make
      const caller = yield* Effect.fork(Effect.uninterruptible(wait("a", 100)))
      yield* Effect.yieldNow()
      yield* Fiber.interruptFork(caller)
      yield* TestClock.adjust(100)
      deepStrictEqual(told, [["a", over, 100]])
    }))

  it.scoped("a fiber that continues after its wait is not counted again when it ends", () =>
    Effect.gen(function*() {
      const { changes, tell, wait } = yield* make
      const caller = yield* Effect.fork(Effect.zipRight(wait("a", 1000), Effect.sleep(10)))
      yield* Effect.yieldNow()
      tell(Exit.succeed("token"))
      yield* TestClock.adjust(10)
      yield* Fiber.join(caller)
      deepStrictEqual(changes, [1, -1])
    }))

  it.scoped("a clock set back makes nobody wait longer", () =>
    Effect.gen(function*() {
      const { join, offset, told } = yield* make
      yield* join("a", 100)
      yield* join("b", 300)
      offset.millis = -3_600_000
      yield* TestClock.adjust(300)
      deepStrictEqual(told, [["a", over, 100], ["b", over, 300]])
    }))

  it.scoped("a late timer makes later callers wait no longer", () =>
    Effect.gen(function*() {
      const { join, offset, told } = yield* make
      yield* join("a", 100)
      yield* join("b", 300)
      // As if the first timer took 50 ms more than it was set to
      offset.millis = 50
      yield* TestClock.adjust(100)
      yield* TestClock.adjust(150)
      deepStrictEqual(told, [["a", over, 100], ["b", over, 250]])
    }))
})
