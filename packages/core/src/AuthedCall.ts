/**
 * Calls that are not HTTP (gRPC, a message broker, the login of a database)
 * with a token. If the token is rejected, the call is made once more with
 * another token, as `AuthedHttpClient` does.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Predicate from "effect/Predicate"
import type * as AccessToken from "./AccessToken.js"
import * as WithToken from "./client/WithToken.js"
import type { TokenProviderError, TokenRequestError } from "./OAuthError.js"
import { TokenProvider } from "./TokenProvider.js"
import type { TokenRequest } from "./TokenRequest.js"

/**
 * How a rejected token is recognised, and which token is requested.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<E> {
  /** Whether a failure means that the token was rejected, as UNAUTHENTICATED of gRPC does. */
  readonly isRejection: Predicate.Predicate<E>
  /** The token request; what it leaves out comes from the defaults of the endpoint. */
  readonly request?: TokenRequest | undefined
  /**
   * The name of the service that is called, if there are several: one that rejects valid tokens does not affect the
   * others.
   */
  readonly origin?: string | undefined
}

/**
 * Makes a call with a token. It fails with the error of the call, or, if there
 * is no token, without making the call.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthedCall<E> {
  <A, R>(
    call: (token: AccessToken.AccessToken) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | TokenRequestError | TokenProviderError, R>
}

/**
 * Makes an `AuthedCall` for calls of one kind.
 *
 * @example
 * ```ts
 * import { AccessToken, AuthedCall } from "@effect-alf/core"
 * import { Data, Effect } from "effect"
 *
 * class Refused extends Data.TaggedError("Refused")<{ readonly code: number }> {}
 *
 * // Stands for the driver of a database
 * const connect = (password: string): Effect.Effect<string, Refused> =>
 *   password.startsWith("Bearer ") ? Effect.succeed("connected") : new Refused({ code: 28000 })
 *
 * export const program = Effect.gen(function*() {
 *   const authed = yield* AuthedCall.make({ isRejection: (error: Refused) => error.code === 28000 })
 *   return yield* authed((token) => connect(AccessToken.authorization(token)))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <E>(
  options: Options<E>
) => Effect.Effect<AuthedCall<E>, never, TokenProvider> = Effect.fnUntraced(function*<E>(
  { isRejection, origin, request }: Options<E>
) {
  const provider = yield* TokenProvider
  const withToken = yield* WithToken.make
  return <A, R>(call: (token: AccessToken.AccessToken) => Effect.Effect<A, E, R>) => {
    const authed = withToken<WithToken.Attempt, Exit.Exit<A, E>, E, R>({
      send: (attempt, receive) =>
        Effect.matchCauseEffect(call(attempt.token), {
          onFailure: (cause) =>
            Option.exists(Cause.failureOption(cause), isRejection)
              ? receive(Exit.failCause(cause), attempt)
              : Effect.failCause(cause),
          onSuccess: (value) => receive(Exit.succeed(value), attempt)
        }),
      isRejection: Exit.isFailure,
      renews: true,
      again: (attempt, token) => ({ ...attempt, token }),
      discard: () => Effect.void
    })
    return Effect.flatMap(
      provider.get(request, origin),
      (token) => Effect.flatten(authed({ token, tokenRequest: request, origin }))
    )
  }
})
