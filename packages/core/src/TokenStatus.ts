/**
 * How a provider stands with one of its tokens, for a health endpoint. It is
 * read from memory: nothing is asked for, and nothing in it is secret.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Failure } from "./Cooldown.js"
import type { HeldToken } from "./HeldToken.js"
import type { Slot } from "./TokenSlots.js"

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
  readonly lastError: Option.Option<{ readonly error: Failure; readonly failedAt: DateTime.Utc }>
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
 * Reads it off a slot, where the request has one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (slot: Slot | undefined, options: {
  readonly store: StoreStatus
  /** Epoch milliseconds. */
  readonly now: number
}): TokenStatus => ({
  token: Option.map(
    Option.filter(Option.fromNullable(slot?.held), ({ expiresAt }) => options.now < expiresAt),
    (held) => describe(held, slot?.rejected?.has(held.digest) === true, options.now)
  ),
  isRenewing: slot?.flight !== undefined,
  lastError: Option.map(Option.fromNullable(slot?.failure), ({ at, error }) => ({
    error,
    failedAt: DateTime.unsafeMake(at)
  })),
  store: options.store
})

const describe = ({ isOwn, token }: HeldToken, isRejected: boolean, now: number): HeldTokenStatus => ({
  obtainedAt: token.obtainedAt,
  age: Duration.millis(Math.max(0, now - token.obtainedAt.epochMillis)),
  expiresAt: token.expiresAt,
  expiresIn: Option.map(token.expiresAt, ({ epochMillis }) => Duration.millis(epochMillis - now)),
  scope: token.scope,
  source: isOwn ? "issued" : "adopted",
  isRejected
})
