/** Platform's fetch client follows redirects unless told otherwise. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { FetchRequestInit } from "../endpoint/FetchRequestInit.js"

/** Makes the requests of an effect return redirects; `requestInit` is what the app gave the client. */
export const make =
  (requestInit: RequestInit | undefined) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.mapInputContext(effect, (context: Context.Context<R>) =>
      Context.add(context, FetchRequestInit, {
        ...requestInit,
        ...Option.getOrUndefined(Context.getOption(context, FetchRequestInit)),
        redirect: "manual"
      }))
