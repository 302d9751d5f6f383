/** Time for tests whose limits pass by TestClock while real servers do their work. */
import { Duration, Effect, TestClock } from "effect"
import { setTimeout } from "node:timers/promises"

/**
 * Time passes by the test's clock, from step to step more slowly, at last no faster than on the wall: what a server does
 * in the time of a limit then fits in, however slow the machine is.
 */
export const timePasses = (step: Duration.DurationInput): Effect.Effect<never> => {
  const most = Duration.toMillis(step)
  const pass = (pause: number): Effect.Effect<never> =>
    Effect.promise(() => setTimeout(pause)).pipe(
      Effect.zipRight(TestClock.adjust(step)),
      Effect.zipRight(Effect.suspend(() => pass(Math.min(pause * 1.02, most))))
    )
  return pass(most / 50)
}
