/** Waiting for conditions, however long they take. */
import { Effect, type Fiber, FiberStatus, Option } from "effect"

/** Waits for a condition. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeat(Effect.sleep("2 millis"), { until: condition }))

/** Gives up as soon as a condition is met. */
export const giveUpWhen =
  (condition: () => boolean) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.raceFirst(Effect.asSome(effect), Effect.as(until(condition), Option.none<A>()))

/** Waits until a fiber does. */
export const suspended = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<unknown> =>
  fiber.status.pipe(Effect.zipLeft(Effect.yieldNow()), Effect.repeat({ until: FiberStatus.isSuspended }))

/** Until a number no longer changes though the event loop, in which both sides live, goes round and round. */
export const settled = (count: () => number): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    const before = count()
    return Effect.map(Effect.repeatN(Effect.sleep("1 millis"), 9), () => count() === before)
  }).pipe(Effect.repeat({ until: (isSettled) => isSettled }))
