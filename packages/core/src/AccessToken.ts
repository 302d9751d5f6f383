/**
 * The value this library is about: an access token (RFC 6749 §1.4) and when it
 * ends.
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
 * `expiresAt` counts from the start of the token request, so that a slow answer
 * never makes a token look younger than it is. It is `None` when the server
 * did not say how long the token lives.
 *
 * @since 0.1.0
 * @category models
 */
export class AccessToken extends Data.TaggedClass("AccessToken")<{
  readonly value: Redacted.Redacted
  /** `Bearer` or `DPoP`, whatever case the server wrote it in (RFC 6749 §7.1). */
  readonly tokenType: string
  readonly obtainedAt: DateTime.Utc
  readonly expiresAt: Option.Option<DateTime.Utc>
  /** The granted scope; `None` when the server granted what was asked for (RFC 6749 §5.1). */
  readonly scope: Option.Option<string>
  /** What came with it to ask for the next one (RFC 6749 §1.5). `TokenProvider` keeps it to itself. */
  readonly refreshToken?: Redacted.Redacted | undefined
  /**
   * What else the answer said, of what the endpoint's option `fields` names; redacted, as a server may put anything there.
   * Tokens in a store have them too.
   */
  readonly fields?: Readonly<Record<string, Redacted.Redacted<unknown>>> | undefined
  /** The key that the token is bound to: without a proof of it the token is of no use (RFC 9449). */
  readonly proofKey?: ProofKey | undefined
}> {}

/**
 * A key, and the proofs that it makes. Its private part cannot be reached.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProofKey {
  /** What a token that is bound to the key names it by, `jkt` (RFC 7638, RFC 9449 §6.1). */
  readonly thumbprint: string
  /** Never one with a shared secret (RFC 9449 §4.2). */
  readonly algorithm: Exclude<Algorithm, `HS${string}`>
  /** Whether other processes have the key too. Tokens of a key that none of them has are never stored. */
  readonly isShared: boolean
  /** The newest nonce that each origin gave; the next proof for it has it (RFC 9449 §8.2). */
  readonly nonces: Nonces
  /**
   * The value of the `DPoP` header for one request (RFC 9449 §4.2): a secret,
   * as is the token that it is to be sent with.
   */
  readonly proof: (options: {
    readonly method: string
    readonly url: string | URL
    /** The access token that the request carries; none at the token endpoint. */
    readonly token?: Redacted.Redacted | undefined
  }) => Effect.Effect<string>
  /** How requests and forms are sent with its proofs. */
  readonly sending: ProofSending
}

/**
 * What a key brings to those who send something with its proofs.
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
  /** Takes the `DPoP-Nonce` of any answer, a success too; what is no nonce is ignored. */
  readonly set: (origin: string, nonce: string | undefined) => void
}

/**
 * The value of the `Authorization` header (RFC 6750 §2.1). It is a secret:
 * built where a request is signed, and kept nowhere else.
 *
 * @since 0.1.0
 * @category accessors
 */
export const authorization = (self: AccessToken): string =>
  // Bound to a key, it is of no use as anything else (RFC 9449 §7.1)
  `${self.proofKey === undefined ? self.tokenType : "DPoP"} ${Redacted.value(self.value)}`

/**
 * Makes an access token; `obtainedAt` and `expiresIn` decide when it expires.
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
    expiresAt: options.expiresIn === undefined
      ? Option.none()
      : Option.some(DateTime.addDuration(options.obtainedAt, capLifetime(Duration.decode(options.expiresIn)))),
    scope: Option.fromNullable(options.scope),
    ...(options.refreshToken && { refreshToken: options.refreshToken }),
    ...(options.fields && { fields: options.fields }),
    ...(options.proofKey && { proofKey: options.proofKey })
  })

/**
 * The access token alone, as it is given to those who only use it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withoutRefreshToken = (self: AccessToken): AccessToken =>
  self.refreshToken === undefined ? self : new AccessToken(Struct.omit(self, "refreshToken"))

/**
 * What anyone may claim as a lifetime is bounded by what a date can hold; nobody
 * keeps a token for ten years.
 *
 * @since 0.1.0
 * @category expiry
 */
export const maxLifetime = Duration.days(3650)

const capLifetime = Duration.min(maxLifetime)

/**
 * How long the token still lives; zero when it has expired, `None` when its end
 * is not known.
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
 * Whether the token's time has run out. A token whose end is not known never
 * expires by the clock: a 401 ends it.
 *
 * @since 0.1.0
 * @category expiry
 */
export const isExpired = (self: AccessToken, now: DateTime.Utc): boolean =>
  Option.isSome(self.expiresAt) && self.expiresAt.value.epochMillis <= now.epochMillis

/**
 * How early a token is renewed and when it is no longer handed out without a
 * try to renew it. Each is the configured duration or a share of the token's
 * lifetime, whichever is shorter, so that a token of five seconds works too.
 * Between them there is always the time that a token request needs.
 *
 * @since 0.1.0
 * @category expiry
 */
export interface Windows {
  /** From here on a request starts a renewal in the background (epoch milliseconds). */
  readonly refreshAt: number
  /** Until here the token is handed out without waiting (epoch milliseconds). */
  readonly freshUntil: number
  /** Here its time has run out; infinite when the end is not known. */
  readonly expiresAt: number
}

// A fifth of the lifetime is time enough to renew without asking twice as often
const refreshShare = 0.2
// The leeway must stay well inside the refresh window
const leewayShare = 0.1
// In the leeway a request may end that began before it: both are enough for one of a tenth of the lifetime
const requestShare = 0.05
// Longer than an attempt takes by default (TokenEndpoint.timeout)
const maxRequest = 10_000
// What a request took says roughly what the next one takes
const requestMargin = 1.5
// However slow the endpoint, it is not asked more than twice as often
const maxAheadShare = 0.5

/**
 * Computes the windows of a token. `jitter` (0 to 1) spreads the renewals of a
 * fleet over the last quarter of the window's start, and takes nothing of the
 * time that a token request needs: by what the last ones took,
 * `requestDuration`, and at least a twentieth of the lifetime or 10 seconds.
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
