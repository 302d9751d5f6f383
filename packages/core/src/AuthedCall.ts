/**
 * A call that is not HTTP (gRPC, a message broker, the login of a database)
 * with the promise of `AuthedHttpClient`: it is made with a token, and once more
 * with another one when the first was rejected.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Predicate from "effect/Predicate"
import * as AcceptedTokens from "./AcceptedTokens.js"
import type * as AccessToken from "./AccessToken.js"
import type { TokenEndpointError, TokenProviderError } from "./OAuthError.js"
import { TokenProvider } from "./TokenProvider.js"
import type { TokenRequest } from "./TokenRequest.js"

/**
 * How a call tells that its token was rejected, and what its token is for.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<E> {
  /** Whether a failure is about the token, as UNAUTHENTICATED of gRPC is. */
  readonly isRejection: Predicate.Predicate<E>
  /** What is asked for, beside the defaults of the endpoint. */
  readonly request?: TokenRequest | undefined
  /** The other side, where there are several: one that rejects good tokens does not disturb the others. */
  readonly origin?: string | undefined
}

/**
 * Makes a call with a token. It fails with what the call failed with, or
 * without a call when there is no token.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthedCall<E> {
  <A, R>(
    call: (token: AccessToken.AccessToken) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | TokenEndpointError | TokenProviderError, R>
}

/**
 * Makes what calls of one kind are made with.
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
  const accepted = AcceptedTokens.of(provider)
  // One that is not told of is one of a kind
  const side = origin ?? ""

  const settle = (token: AccessToken.AccessToken, outcome: "accepted" | "rejected") => {
    accepted[outcome === "accepted" ? "add" : "remove"](token, side)
    return provider.report(token, outcome, request, origin)
  }

  return <A, R>(call: (token: AccessToken.AccessToken) => Effect.Effect<A, E, R>) => {
    const again = (token: AccessToken.AccessToken) =>
      Effect.tapBoth(call(token), {
        onFailure: (error) => isRejection(error) ? settle(token, "rejected") : Effect.void,
        onSuccess: () => settle(token, "accepted")
      })
    return Effect.flatMap(provider.get(request, origin), (token) =>
      Effect.matchEffect(call(token), {
        onFailure: (error) => {
          if (!isRejection(error)) return Effect.fail(error)
          accepted.remove(token, side)
          return Effect.matchEffect(provider.renew(token, request, origin), {
            // The other side has answered: that says more than a failed renewal
            onFailure: () => Effect.fail(error),
            onSuccess: (renewed) => renewed === token ? Effect.fail(error) : again(renewed)
          })
        },
        onSuccess: (value) =>
          accepted.has(token, side) ? Effect.succeed(value) : Effect.as(settle(token, "accepted"), value)
      }))
  }
})
