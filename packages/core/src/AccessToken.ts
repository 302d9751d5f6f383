/**
 * An access token (RFC 6749 §1.4), and when it expires and is renewed.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Struct from "effect/Struct"
import type { Algorithm } from "./JwtSigner.js"

/**
 * An access token as the token endpoint issued it.
 *
 * `expiresAt` counts from the start of the token request, so that a slow
 * response does not extend the token's lifetime. It is `None` if the server
 * sent no `expires_in`.
 *
 * @since 0.1.0
 * @category models
 */
export class AccessToken extends Data.TaggedClass("AccessToken")<{
  readonly value: Redacted.Redacted
  /** `Bearer` or `DPoP`, in this spelling however the server wrote it (RFC 6749 §7.1). */
  readonly tokenType: string
  readonly obtainedAt: DateTime.Utc
  readonly expiresAt: Option.Option<DateTime.Utc>
  /** The granted scope; `None` if the server granted the requested scope (RFC 6749 §5.1). */
  readonly scope: Option.Option<string>
  /** The refresh token that was issued with it (RFC 6749 §1.5). `TokenProvider` does not pass it on. */
  readonly refreshToken?: Redacted.Redacted | undefined
  /**
   * The fields of the response that the endpoint's option `fields` names, redacted. Tokens in a store have them too.
   */
  readonly fields?: Readonly<Record<string, Redacted.Redacted<unknown>>> | undefined
  /** The key that the token is bound to (RFC 9449). Without a proof made with it the token is useless. */
  readonly proofKey?: ProofKey | undefined
}> {}

/**
 * A key and the function that makes proofs with it. The private key cannot be
 * read.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProofKey {
  /** The thumbprint of the public key (RFC 7638), which the server writes into the token as `jkt` (RFC 9449 §6.1). */
  readonly thumbprint: string
  /** The algorithm of the proofs; never one with a shared secret (RFC 9449 §4.2). */
  readonly algorithm: Exclude<Algorithm, `HS${string}`>
  /** Whether other processes have the key too. If not, tokens bound to it are never stored. */
  readonly isShared: boolean
  /** The newest nonce of each origin, which the next proof for that origin contains (RFC 9449 §8.2). */
  readonly nonces: Nonces
  /** The value of the `DPoP` header for one request (RFC 9449 §4.2). It is as secret as the token. */
  readonly proof: (options: {
    readonly method: string
    readonly url: string | URL
    /** The access token that the request carries; none at the token endpoint. */
    readonly token?: Redacted.Redacted | undefined
  }) => Effect.Effect<string>
  /** How requests and forms are sent with proofs. */
  readonly sending: ProofSending
}

/**
 * What `ProofKey.sending` contains is private to this library.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProofSending {
  readonly _tag: "ProofSending"
}

/**
 * The newest nonce of each origin. A nonce of one server is never sent to
 * another (RFC 9449 §8.2).
 *
 * @since 0.1.0
 * @category models
 */
export interface Nonces {
  readonly get: (origin: string) => string | undefined
  /** Keeps the `DPoP-Nonce` of a response, successful or not; an invalid nonce is ignored. */
  readonly set: (origin: string, nonce: string | undefined) => void
}

/**
 * The value of the `Authorization` header (RFC 6750 §2.1). It is a secret: do
 * not store or log it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const authorization = (self: AccessToken): string =>
  // Bound to a key, it is of no use as anything else (RFC 9449 §7.1)
  `${self.proofKey === undefined ? self.tokenType : "DPoP"} ${Redacted.value(self.value)}`

/**
 * Makes an access token, which expires `expiresIn` after `obtainedAt`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly value: Redacted.Redacted
  readonly tokenType?: string | undefined
  readonly obtainedAt: DateTime.Utc
  readonly expiresIn?: Duration.DurationInput | undefined
  readonly scope?: string | undefined
  readonly refreshToken?: Redacted.Redacted | undefined
  readonly fields?: AccessToken["fields"]
  readonly proofKey?: ProofKey | undefined
}): AccessToken =>
  new AccessToken({
    value: options.value,
    tokenType: options.tokenType ?? (options.proofKey === undefined ? "Bearer" : "DPoP"),
    obtainedAt: options.obtainedAt,
    expiresAt: Option.map(
      Option.fromNullable(options.expiresIn),
      (expiresIn) => DateTime.addDuration(options.obtainedAt, Duration.min(expiresIn, maxLifetime))
    ),
    scope: Option.fromNullable(options.scope),
    ...(options.refreshToken && { refreshToken: options.refreshToken }),
    ...(options.fields && { fields: options.fields }),
    ...(options.proofKey && { proofKey: options.proofKey })
  })

/**
 * The same token without its refresh token.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withoutRefreshToken = (self: AccessToken): AccessToken =>
  self.refreshToken === undefined ? self : new AccessToken(Struct.omit(self, "refreshToken"))

/**
 * The longest lifetime, ten years: a longer `expires_in` is shortened to it.
 *
 * @since 0.1.0
 * @category expiry
 */
export const maxLifetime = Duration.days(3650)

/**
 * The remaining lifetime: zero if the token has expired, `None` if its expiry
 * is unknown.
 *
 * @since 0.1.0
 * @category expiry
 */
export const remaining = (self: AccessToken, now: DateTime.Utc): Option.Option<Duration.Duration> =>
  Option.map(
    self.expiresAt,
    (expiresAt) => Duration.millis(Math.max(0, expiresAt.epochMillis - now.epochMillis))
  )

/**
 * Whether the token has expired. A token whose expiry is unknown never expires
 * by the clock; a 401 ends its use.
 *
 * @since 0.1.0
 * @category expiry
 */
export const isExpired = (self: AccessToken, now: DateTime.Utc): boolean =>
  Option.isSome(self.expiresAt) && self.expiresAt.value.epochMillis <= now.epochMillis

/**
 * When a token is renewed in the background, and when requests begin to wait
 * for a new one. Each window is the configured duration or a share of the
 * lifetime, whichever is shorter, so that a token of five seconds works too.
 * The time of a token request always fits between the two.
 *
 * @since 0.1.0
 * @category expiry
 */
export interface Windows {
  /** From here on a request starts a renewal in the background (epoch milliseconds). */
  readonly refreshAt: number
  /** Until here requests use the token without waiting (epoch milliseconds). */
  readonly freshUntil: number
  /** The expiry (epoch milliseconds); infinite if it is unknown. */
  readonly expiresAt: number
}

// A fifth of the lifetime leaves enough time to renew, without twice as many token requests
const refreshShare = 0.2
// The leeway must stay well inside the refresh window
const leewayShare = 0.1
// A token request that started before the leeway may end in it: this share and the leeway suffice for one that takes a
// tenth of the lifetime
const requestShare = 0.05
// Longer than an attempt takes by default (TokenEndpoint.timeout)
const maxRequest = 10_000
// The next token request takes roughly as long as the last ones
const requestMargin = 1.5
// However slow the endpoint is, at most twice as many tokens are requested
const maxAheadShare = 0.5

/**
 * Computes the windows of a token. `jitter` (0 to 1) delays the renewal by up
 * to a quarter of `refreshAhead`, so that the processes of a fleet do not renew
 * at once. The window is extended where it does not fit a token request: 1.5
 * times `requestDuration`, the time of the last ones, and at least a twentieth
 * of the lifetime or 10 seconds, whichever is shorter.
 *
 * @since 0.1.0
 * @category expiry
 */
export const windows = (
  self: AccessToken,
  options: {
    readonly refreshAhead: Duration.Duration
    readonly expiryLeeway: Duration.Duration
    readonly defaultLifetime: Duration.Duration
    readonly jitter: number
    readonly requestDuration?: Duration.Duration | undefined
  }
): Windows => {
  const obtainedAt = self.obtainedAt.epochMillis
  const end = Option.match(self.expiresAt, {
    onNone: () => obtainedAt + Duration.toMillis(options.defaultLifetime),
    onSome: (expiresAt) => expiresAt.epochMillis
  })
  const lifetime = Math.max(0, end - obtainedAt)
  const leeway = Math.min(Duration.toMillis(options.expiryLeeway), lifetime * leewayShare)
  const request = Math.max(
    requestMargin * Duration.toMillis(options.requestDuration ?? Duration.zero),
    Math.min(maxRequest, lifetime * requestShare)
  )
  const ahead = Math.max(
    Math.min(Duration.toMillis(options.refreshAhead), lifetime * refreshShare) * (1 - options.jitter / 4),
    Math.max(leeway, Math.min(maxRequest, lifetime * leewayShare)) + request * (1.25 - options.jitter / 4)
  )
  return {
    refreshAt: end - Math.min(ahead, lifetime * maxAheadShare),
    freshUntil: end - leeway,
    expiresAt: Option.isSome(self.expiresAt) ? end : Infinity
  }
}
