/**
 * The revocation endpoint (RFC 7009): revokes a token before it expires.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { AccessToken } from "./AccessToken.js"
import type * as AuthorizationServer from "./AuthorizationServer.js"
import * as AuthenticatedPost from "./endpoint/AuthenticatedPost.js"
import { type InvalidOptions, TokenRevocationError } from "./OAuthError.js"
import * as ClosingRevocation from "./provider/ClosingRevocation.js"

/**
 * Revokes a token. It succeeds too if the server does not know the token (RFC
 * 7009 §2.2).
 *
 * @since 0.1.0
 * @category models
 */
export type Revoke<E = never> = (
  token: AccessToken | Redacted.Redacted,
  hint?: "access_token" | "refresh_token"
) => Effect.Effect<void, TokenRevocationError | E>

/**
 * The revocation endpoint, and how the client authenticates there.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never, E = never> extends AuthorizationServer.EndpointOptions<R> {
  /** The URL of the endpoint, or an effect that finds it, such as `endpoint` of an `AuthorizationServer`. */
  readonly revocationEndpoint: AuthorizationServer.Address<E>
}

/**
 * Makes the function that revokes tokens.
 *
 * @example
 * ```ts
 * import { TokenRevocation } from "@effect-alf/core"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const revoke = yield* TokenRevocation.make({
 *     revocationEndpoint: "https://auth.example.com/revoke",
 *     clientId: "client-id",
 *     clientSecret: Redacted.make("client-secret")
 *   })
 *   yield* revoke(Redacted.make("a-token"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never, E = never>(
  options: Options<R, E>
): Effect.Effect<Revoke<E>, InvalidOptions, HttpClient.HttpClient | R> =>
  Effect.map(
    AuthenticatedPost.aboutToken("TokenRevocation", TokenRevocationError, {
      option: "revocationEndpoint",
      at: options.revocationEndpoint
    }, options),
    (ask): Revoke<E> => (token, hint) => Effect.asVoid(ask(token, hint))
  )

/**
 * Revokes the tokens of a provider when it closes; a value for its option
 * `revocation`.
 *
 * @since 0.1.0
 * @category closing
 */
export interface OnClose {
  readonly _tag: "TokenRevocationOnClose"
}

/**
 * Revokes the tokens of a provider when its layer closes, within 2 seconds,
 * with a function from `make` or your own.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient, TokenRevocation } from "@effect-alf/core"
 *
 * const client = (revoke: TokenRevocation.Revoke) =>
 *   AuthedHttpClient.layer({ baseUrl: "https://api.example.com", revocation: TokenRevocation.onClose(revoke) })
 * ```
 *
 * @since 0.1.0
 * @category closing
 */
export const onClose = (revoke: (token: AccessToken) => Effect.Effect<void, unknown>): OnClose =>
  ClosingRevocation.make(revoke)
