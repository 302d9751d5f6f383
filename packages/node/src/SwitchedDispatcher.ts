/**
 * A dispatcher of undici that can be replaced while requests are under way:
 * they end where they began, and the next ones go to its successor.
 *
 * @since 0.1.0
 */
import * as Undici from "@effect/platform-node/Undici"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * The dispatcher, and how to replace what is behind it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SwitchedDispatcher {
  readonly dispatcher: Undici.Dispatcher
  /** The one before is closed in the background: when its requests have ended, or the grace period has. */
  readonly replace: (next: Undici.Dispatcher) => Effect.Effect<void>
}

/**
 * Owns the dispatchers that it is given; with the scope all of them end at
 * once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  first: Undici.Dispatcher,
  options: { readonly gracePeriod: Duration.DurationInput }
): Effect.Effect<SwitchedDispatcher, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const switched = yield* Effect.acquireRelease(
      Effect.sync(() => new Switched(first)),
      ({ current }) => Effect.promise(() => current.destroy())
    )
    const retire = (former: Undici.Dispatcher) =>
      Effect.promise(() => former.close()).pipe(
        Effect.timeoutOption(options.gracePeriod),
        Effect.ensuring(Effect.promise(() => former.destroy())),
        Effect.forkIn(scope)
      )
    return {
      dispatcher: switched,
      replace: (next) =>
        Effect.suspend(() => {
          const former = switched.current
          switched.current = next
          return retire(former)
        })
    }
  })

class Switched extends Undici.Dispatcher {
  constructor(public current: Undici.Dispatcher) {
    super()
  }

  override dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
    return this.current.dispatch(options, handler)
  }
}
