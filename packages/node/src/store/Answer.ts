/** Waits for the answer of a server, within a time limit. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity, type LazyArg } from "effect/Function"

/** Completes in the next turn of the event loop, after data that has arrived was read. */
const nextTurn = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Waits for an answer, and fails with `timedOut` if none arrives in time. After
 * a pause of the process its timer fires before it reads an answer that arrived
 * long ago, so data is read once more before the failure.
 */
export const within =
  (limit: Duration.DurationInput, timedOut: LazyArg<unknown>) =>
  <A>(ask: LazyArg<Promise<A>>): Effect.Effect<A, unknown> =>
    Effect.raceFirst(
      Effect.tryPromise({ try: ask, catch: identity }),
      Effect.sleep(limit).pipe(Effect.zipRight(nextTurn), Effect.zipRight(Effect.failSync(timedOut)))
    )

/** The same as a promise that ends even if its caller has left: otherwise a silent connection would not be noticed. */
export const bounded = (limit: Duration.DurationInput, timedOut: LazyArg<unknown>) => {
  const answer = within(limit, timedOut)
  return <A>(ask: LazyArg<Promise<A>>): Promise<A> =>
    Effect.runPromise(Effect.either(answer(ask))).then(Either.getOrThrowWith(identity))
}
