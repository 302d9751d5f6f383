/** A Schedule of retries, stepped by hand: how long to wait after a failure. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import type { TokenRequestError } from "../OAuthError.js"

/** Returns after each failure how many milliseconds to wait; `None` when the Schedule is done. */
export type DelayAfter = (error: TokenRequestError) => Effect.Effect<Option.Option<number>>

/** No Schedule is followed beyond this many failures in a row. */
const maxSteps = 30

/** Starts a Schedule. */
export const make = (schedule: Schedule.Schedule<unknown, TokenRequestError>): DelayAfter => {
  let state: unknown = schedule.initial
  return Effect.fnUntraced(function*(error) {
    const now = yield* Clock.currentTimeMillis
    const [next, , decision] = yield* schedule.step(now, error, state)
    if (ScheduleDecision.isDone(decision)) return Option.none<number>()
    state = next
    return Option.some(Math.max(0, ScheduleIntervals.start(decision.intervals) - now))
  })
}

/** The delay of a Schedule after the `n`th failure; if the Schedule ends before, its last delay. */
export const nth = Effect.fnUntraced(function*(
  schedule: Schedule.Schedule<unknown, TokenRequestError>,
  error: TokenRequestError,
  n: number
) {
  const delayAfter = make(schedule)
  let last = Option.none<number>()
  for (let step = 0; step < Math.min(n, maxSteps); step++) {
    const delay = yield* delayAfter(error)
    if (Option.isNone(delay)) break
    last = delay
  }
  return last
})
