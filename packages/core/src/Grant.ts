/**
 * Grant types of the token endpoint (RFC 6749 §1.3, §4.5). A grant is a plain
 * value, so that you can add your own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Context } from "./ClientAuth.js"
import { fingerprint } from "./disclosure/Fingerprint.js"
import * as JwtSigner from "./JwtSigner.js"

/**
 * The form parameters of a grant. A list is sent as several parameters of the
 * same name.
 *
 * @since 0.1.0
 * @category models
 */
export type Params = Readonly<Record<string, string | Redacted.Redacted | ReadonlyArray<string>>>

/**
 * A rotating refresh token, identified by the first one. `RefreshTokenGrant`
 * makes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface RefreshTokens {
  readonly initial: Redacted.Redacted
}

/**
 * A grant. Its parameters are made for every attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface Grant {
  /** The `grant_type`. */
  readonly type: string
  /**
   * Distinguishes two grants of the same type that get different tokens, for example for two subjects; empty if all
   * get the same. It is part of the cache key and must not be secret.
   */
  readonly id: string
  readonly params: (context: Context) => Effect.Effect<Params, unknown>
  /** The rotating refresh token. `TokenProvider` keeps the newest one in the store and sends it as `refresh_token`. */
  readonly refreshTokens?: RefreshTokens | undefined
  /** Is called with the refresh token of a response, even if the rest of the response is then rejected. */
  readonly onRefreshToken?: ((token: Redacted.Redacted) => void) | undefined
}

/**
 * A token or an assertion, or an effect that reads it for every attempt. With
 * an effect, `id` names the subject.
 *
 * @since 0.1.0
 * @category models
 */
export type Source = Redacted.Redacted | {
  readonly read: (context: Context) => Effect.Effect<Redacted.Redacted, unknown>
  readonly id: string
}

/**
 * `client_credentials` (RFC 6749 §4.4), the default: the client requests a
 * token for itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientCredentials: Grant = {
  type: "client_credentials",
  id: "",
  params: () => Effect.succeed({})
}

/**
 * `urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1): a signed
 * assertion identifies the subject, such as a Google service account.
 *
 * @since 0.1.0
 * @category constructors
 */
export const jwtBearer = (assertion: Source): Grant => ({
  type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
  id: idOf(assertion),
  params: (context) => Effect.map(read(assertion, context), (assertion) => ({ assertion }))
})

/**
 * The claims and the key of a JWT that a grant sends.
 *
 * @since 0.1.0
 * @category options
 */
export interface SignedJwtOptions extends JwtSigner.Options {
  /** `iss`. The default is the client id. */
  readonly issuer?: string | undefined
  /** `sub`. The default is the issuer. */
  readonly subject?: string | undefined
  /** `aud`. The default is the token endpoint. */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** Further claims, such as the `scope` of a Google service account. */
  readonly claims?: JwtSigner.Claims | undefined
}

/**
 * A JWT that the app signs for every attempt (RFC 7523 §3).
 *
 * @example
 * ```ts
 * import { Grant } from "@effect-alf/core"
 * import { Redacted } from "effect"
 *
 * const grant = Grant.jwtBearer(Grant.signedJwt({
 *   key: Redacted.make("-----BEGIN PRIVATE KEY-----"),
 *   algorithm: "RS256",
 *   issuer: "robot@project.iam.gserviceaccount.com",
 *   claims: { scope: "https://www.googleapis.com/auth/devstorage.read_only" }
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const signedJwt = (options: SignedJwtOptions): Source => {
  const { audience, claims, issuer, subject } = options
  const signer = JwtSigner.make(options)
  return {
    read: ({ clientId, endpoint }) => {
      const iss = issuer ?? clientId
      return Effect.map(
        signer.sign({ iss, sub: subject ?? iss, aud: audience ?? endpoint, ...claims }),
        ({ jwt }) => jwt
      )
    },
    id: JSON.stringify([issuer ?? null, subject ?? null, audience ?? null, claims ?? null])
  }
}

/**
 * The token type identifiers of RFC 8693 §3.
 *
 * @since 0.1.0
 * @category constants
 */
export const TokenType = {
  accessToken: "urn:ietf:params:oauth:token-type:access_token",
  refreshToken: "urn:ietf:params:oauth:token-type:refresh_token",
  idToken: "urn:ietf:params:oauth:token-type:id_token",
  saml1: "urn:ietf:params:oauth:token-type:saml1",
  saml2: "urn:ietf:params:oauth:token-type:saml2",
  jwt: "urn:ietf:params:oauth:token-type:jwt"
} as const

/**
 * `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693 §2.1): exchanges
 * a token for another one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tokenExchange = (options: {
  readonly subjectToken: Source
  /** The default is an access token. */
  readonly subjectTokenType?: string | undefined
  readonly actorToken?: Source | undefined
  /** The default is an access token. */
  readonly actorTokenType?: string | undefined
  /** The type of the requested token; by default the server chooses. */
  readonly requestedTokenType?: string | undefined
}): Grant => {
  const { actorToken, requestedTokenType, subjectToken } = options
  const subjectTokenType = options.subjectTokenType ?? TokenType.accessToken
  const actorTokenType = options.actorTokenType ?? TokenType.accessToken
  const actor: ReadonlyArray<string> = actorToken === undefined ? [] : [idOf(actorToken), actorTokenType]
  return {
    type: "urn:ietf:params:oauth:grant-type:token-exchange",
    id: JSON.stringify([idOf(subjectToken), subjectTokenType, requestedTokenType ?? "", ...actor]),
    params: Effect.fnUntraced(function*(context: Context) {
      return {
        subject_token: yield* read(subjectToken, context),
        subject_token_type: subjectTokenType,
        ...(actorToken === undefined
          ? {}
          : { actor_token: yield* read(actorToken, context), actor_token_type: actorTokenType }),
        ...(requestedTokenType === undefined ? {} : { requested_token_type: requestedTokenType })
      }
    })
  }
}

const read = (source: Source, context: Context): Effect.Effect<Redacted.Redacted, unknown> =>
  Redacted.isRedacted(source) ? Effect.succeed(source) : source.read(context)

const idOf = (source: Source): string => Redacted.isRedacted(source) ? fingerprint(Redacted.value(source)) : source.id
