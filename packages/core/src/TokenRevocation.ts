/**
 * The revocation endpoint (RFC 7009): ends a token before its time.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { AccessToken } from "./AccessToken.js"
import * as AuthenticatedPost from "./AuthenticatedPost.js"
import type { InvalidOptions, TokenEndpointError } from "./OAuthError.js"

/**
 * Where tokens are revoked, and by whom.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> extends AuthenticatedPost.Options<R> {
  /**
   * The endpoint's address, or an effect that finds it, as `endpoint("revocation_endpoint")` of an
   * `AuthorizationServer`.
   */
  readonly url: AuthenticatedPost.Address
  /** The authorization server's issuer identifier: the audience of the client's assertions, where there are any. */
  readonly issuer?: string | undefined
}

/**
 * Revokes a token: that the server knows it no longer is what was asked for,
 * and no failure (RFC 7009 §2.2).
 *
 * @since 0.1.0
 * @category models
 */
export type Revoke = (
  token: AccessToken | Redacted.Redacted,
  hint?: "access_token" | "refresh_token"
) => Effect.Effect<void, TokenEndpointError>

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
 *     url: "https://auth.example.com/revoke",
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
export const make = <R = never>(
  options: Options<R>
): Effect.Effect<Revoke, InvalidOptions, HttpClient.HttpClient | R> =>
  Effect.map(
    AuthenticatedPost.makeAt("TokenRevocation", "Revocation", options),
    (post): Revoke => (token, hint) =>
      Effect.asVoid(post({
        params: [
          ["token", token instanceof AccessToken ? token.value : token],
          ...(hint === undefined ? [] : [["token_type_hint", hint] as const])
        ]
      }, 1))
  )
