/** How a program ends. */
import { Effect } from "effect"

/** With exit code 1 where not everything was as it should be. */
export const exitCode = <E, R>(isGood: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.map(isGood, (isGood) => {
    if (!isGood) process.exitCode = 1
  })
