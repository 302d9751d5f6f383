/** Waiting for what a server answers, and no longer than a time. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity, type LazyArg } from "effect/Function"

/** What has arrived is read before the next turn of the event loop comes to this. */
const nextTurn = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Waits for an answer, and fails with `timedOut` when none has come in time. A
 * process that stood still finds its timer before the answer that has been there
 * for long: it reads once more.
 */
export const within =
  (limit: Duration.DurationInput, timedOut: LazyArg<unknown>) =>
  <A>(ask: LazyArg<Promise<A>>): Effect.Effect<A, unknown> =>
    Effect.raceFirst(
      Effect.tryPromise({ try: ask, catch: identity }),
      Effect.sleep(limit).pipe(Effect.zipRight(nextTurn), Effect.zipRight(Effect.failSync(timedOut)))
    )

/** The same when nobody waits for it any more: only so is a silent connection found out. */
export const bounded = (limit: Duration.DurationInput, timedOut: LazyArg<unknown>) => {
  const answer = within(limit, timedOut)
  return <A>(ask: LazyArg<Promise<A>>): Promise<A> =>
    Effect.runPromise(Effect.either(answer(ask))).then(Either.getOrThrowWith(identity))
}
