/**
 * Run before each test file. `TestClock` looks four times, each time at all
 * fibers of a test, whether they have come to rest before it lets time pass: a
 * third of what these tests cost. Two looks, as far apart, see the same.
 */
import { Effect, Equal, type HashMap } from "effect"
import * as TestClock from "effect/TestClock"

declare module "effect/TestClock" {
  class TestClockImpl {
    /** What each fiber is doing; it fails where one of them is still at work. */
    freeze(): Effect.Effect<HashMap.HashMap<unknown, unknown>, void>
    awaitSuspended(): Effect.Effect<void>
  }
}

const turn = Effect.async<void>((resume) => {
  const timer = setTimeout(() => resume(Effect.void), 0)
  return Effect.sync(() => clearTimeout(timer))
})

TestClock.TestClockImpl.prototype.awaitSuspended = function() {
  return Effect.all([this.freeze(), Effect.repeatN(turn, 2), this.freeze()]).pipe(
    Effect.filterOrFail(([before, , after]) => Equal.equals(before, after)),
    Effect.eventually,
    Effect.asVoid
  )
}
