/**
 * The state of a provider's token, for a health endpoint. It is read from
 * memory: nothing is requested, and it contains no secret.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type { TokenProviderError, TokenRequestError } from "./OAuthError.js"

/**
 * The state of a token. `token` is `None` if there is none that can be sent.
 * `lastError` is the error of the last renewal if it failed. `store` is
 * `unused` if the provider uses no store (`shareTokens: false`, or tokens bound
 * to a key of this process).
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenStatus {
  readonly token: Option.Option<HeldTokenStatus>
  readonly isRenewing: boolean
  readonly lastError: Option.Option<{
    readonly error: TokenRequestError | TokenProviderError
    readonly failedAt: DateTime.Utc
  }>
  readonly store: StoreStatus
}

/**
 * A token in memory. `expiresAt`, `expiresIn` and `scope` are `None` if the
 * server did not send them.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldTokenStatus {
  readonly obtainedAt: DateTime.Utc
  readonly age: Duration.Duration
  readonly expiresAt: Option.Option<DateTime.Utc>
  readonly expiresIn: Option.Option<Duration.Duration>
  readonly scope: Option.Option<string>
  /** Whether this process requested the token, or another process stored it. */
  readonly source: "issued" | "adopted"
  /** Whether an API rejected the token and has not accepted it since. */
  readonly isRejected: boolean
}

/**
 * Whether the last calls of the store worked.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreStatus = "unused" | "working" | "failing"

/**
 * Where the token of a request came from, as the request's span shows it.
 * `undefined` is the usual case, a token that was in memory: to note it in each
 * span would cost a quarter of the span.
 *
 * - `renewed_ahead`: it was in memory; the request started its renewal in the
 *   background.
 * - `stale`: it was in memory and could not be renewed in time.
 * - `awaited`: the request waited until it was issued.
 * - `adopted`: the request waited; another process had stored it.
 * - `replayed`: it replaced a token that was answered 401.
 *
 * @since 0.1.0
 * @category models
 */
export type TokenUse = "renewed_ahead" | "stale" | "awaited" | "adopted" | "replayed"
