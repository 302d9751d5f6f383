/**
 * A dispatcher of undici that can be replaced while requests are in progress:
 * these end on the old one, and later requests use the new one.
 */
import * as Undici from "@effect/platform-node/Undici"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Pool } from "./ConnectionPool.js"
import { ForwardingHandler } from "./ForwardingHandler.js"

/** The dispatcher, and how to replace the pool behind it. */
export interface SwitchedDispatcher extends Pick<Pool, "dispatcher" | "open"> {
  /** Replaces it. The previous one closes in the background, when its requests or the grace period have ended. */
  readonly replace: (next: Pool) => Effect.Effect<void>
}

/** Owns the pools that it is given; all of them close with the scope, at once. */
export const make = (
  first: Pool,
  options: { readonly gracePeriod: Duration.DurationInput }
): Effect.Effect<SwitchedDispatcher, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const switched = yield* Effect.acquireRelease(
      Effect.sync(() => new Switched(new Tracked(first))),
      ({ current }) => current.destroy
    )
    return {
      dispatcher: switched,
      open: (origin) => switched.current.pool.open(origin),
      replace: (next) =>
        Effect.suspend(() => {
          const former = switched.current
          switched.current = new Tracked(next)
          return former.idle.pipe(
            Effect.timeoutOption(options.gracePeriod),
            Effect.ensuring(former.destroy),
            // A fork inherits its parent's uninterruptibility
            Effect.interruptible,
            Effect.forkIn(scope)
          )
        })
    }
  })

class Switched extends Undici.Dispatcher {
  constructor(public current: Tracked) {
    super()
  }

  override dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
    return this.current.dispatch(options, handler)
  }
}

/**
 * Tracks the requests in progress. undici's `close` would wait for them as
 * well, but could not be cut short, and closes a proxy's tunnels too early.
 */
class Tracked {
  readonly #active = new Set<Request>()
  #onIdle: () => void = () => {}

  constructor(readonly pool: Pool) {}

  readonly idle = Effect.async<void>((resume) => {
    this.#onIdle = () => resume(Effect.void)
    if (this.#active.size === 0) this.#onIdle()
  })

  readonly destroy = Effect.promise(() => this.pool.close())

  dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
    const request = new Request(handler, () => {
      if (this.#active.delete(request) && this.#active.size === 0) this.#onIdle()
    })
    this.#active.add(request)
    return this.pool.dispatcher.dispatch(options, request)
  }
}

class Request extends ForwardingHandler {
  constructor(handler: Undici.Dispatcher.DispatchHandler, readonly onEnd: () => void) {
    super(handler)
  }

  override onResponseEnd(...args: Parameters<ForwardingHandler["onResponseEnd"]>): void {
    super.onResponseEnd(...args)
    this.onEnd()
  }

  override onResponseError(...args: Parameters<ForwardingHandler["onResponseError"]>): void {
    super.onResponseError(...args)
    this.onEnd()
  }
}
