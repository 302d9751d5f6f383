/**
 * The machine's clock, which a test can set forward. What waits for a time of day goes on at once, such as a store that
 * is left alone after a failure; timers take as long as they do.
 */
import { Clock, Duration, Effect } from "effect"

const real = Clock.make()

class ClockAhead implements Clock.Clock {
  readonly [Clock.ClockTypeId]: typeof Clock.ClockTypeId = Clock.ClockTypeId
  ahead = 0
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  unsafeCurrentTimeMillis() {
    return real.unsafeCurrentTimeMillis() + this.ahead
  }

  unsafeCurrentTimeNanos() {
    return real.unsafeCurrentTimeNanos() + BigInt(this.ahead) * 1_000_000n
  }

  sleep(duration: Duration.Duration) {
    return real.sleep(duration)
  }
}

/** Runs an effect with such a clock. */
export const provide = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.withClock(effect, new ClockAhead()))

/** Sets the clock of the effect forward. */
export const setForward = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    clock instanceof ClockAhead
      ? Effect.sync(() => {
        clock.ahead += Duration.toMillis(duration)
      })
      : Effect.dieMessage("the clock cannot be set")
  )
