/**
 * What a process runs on: its own clock and its own chance. All that reaches a
 * process goes through its machine, so that one which is dead learns of nothing
 * and does nothing any more, and one that is stalled learns of it later.
 */
import { Clock, Duration, Effect, Random } from "effect"
import type { Dice } from "./Dice.js"
import type { VirtualClock } from "./VirtualClock.js"

export interface Machine {
  readonly id: number
  /** Shows the true time, and so much more or less. */
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly isAlive: () => boolean
  /** Kills it: nothing that waits on it continues. */
  readonly kill: () => void
  /** Nothing continues before so much time has passed. */
  readonly stall: (millis: number) => void
  /** How long it was stalled so far, all in all. */
  readonly stalled: () => number
  /** Runs a task on this machine after a while, if it is still alive then. */
  readonly after: (delay: number, task: () => void) => () => void
}

export const make = (
  options: { readonly id: number; readonly time: VirtualClock; readonly skew: number; readonly dice: Dice }
): Machine => {
  const { dice, id, skew, time } = options
  let isAlive = true
  let stalledUntil = 0
  let stalled = 0

  const after = (delay: number, task: () => void): () => void => {
    const attempt = () => {
      if (!isAlive) return
      const rest = stalledUntil - time.elapsed()
      if (rest > 0) cancel = time.schedule(rest, attempt)
      else task()
    }
    let cancel = time.schedule(delay, attempt)
    return () => cancel()
  }

  const now = () => time.unsafeCurrentTimeMillis() + skew

  return {
    id,
    clock: {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: now,
      unsafeCurrentTimeNanos: () => BigInt(now()) * 1_000_000n,
      currentTimeMillis: Effect.sync(now),
      currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
      sleep: (duration) =>
        Effect.async<void>((resume) => Effect.sync(after(Duration.toMillis(duration), () => resume(Effect.void))))
    },
    random: Random.make(dice.number()),
    isAlive: () => isAlive,
    kill: () => {
      isAlive = false
    },
    stall: (millis) => {
      const from = Math.max(stalledUntil, time.elapsed())
      stalledUntil = Math.max(from, time.elapsed() + millis)
      stalled += stalledUntil - from
    },
    stalled: () => stalled,
    after
  }
}
