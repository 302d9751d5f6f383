import { Effect } from "effect"

/** Waits for a condition, however long that takes. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeat(Effect.sleep("2 millis"), { until: condition }))
