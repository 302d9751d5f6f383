/**
 * How a provider stands with one of its tokens, for a health endpoint. It is
 * read from memory: nothing is asked for, and nothing in it is secret.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type { TokenProviderError, TokenRequestError } from "./OAuthError.js"

/**
 * `token` is `None` when there is none that could be sent. `lastError` is why
 * the last renewal failed, and `None` again once one has brought a token.
 * `store` is `unused` when tokens stay in the process.
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
 * A token in memory. What the server did not say is `None`: such a token does
 * not expire by itself.
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
  /** It came from the endpoint, or another process has stored it. */
  readonly source: "issued" | "adopted"
  /** A resource answered 401 to it, and none has accepted it since. */
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
 * How the token of a request came about, as the span of the request shows it.
 * `undefined` is the usual case, a token that was simply in memory: to say it of
 * every request would cost each a quarter of its span.
 *
 * - `renewed_ahead`: it was in memory, and the request began its renewal in the
 *   background.
 * - `stale`: it was in memory, and could not be renewed in time.
 * - `awaited`: the request waited until it was issued.
 * - `adopted`: the request waited, and another process had stored it.
 * - `replayed`: it took the place of one that was answered 401.
 *
 * @since 0.1.0
 * @category models
 */
export type TokenUse = "renewed_ahead" | "stale" | "awaited" | "adopted" | "replayed"
