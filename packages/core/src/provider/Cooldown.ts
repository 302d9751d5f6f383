/** How long a failed token request answers later callers too, so that they do not hammer the endpoint. */
import * as Duration from "effect/Duration"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"

/** The error that a cool-down answers with. */
export type Failure = TokenRequestError | TokenProviderError

/** A definite failure counts this many times as long as a transient one, up to the maximum. */
const definiteFactor = 5
const maxDefiniteFactor = 60
/** The longest `Retry-After` that is honoured after the last retry (ms). */
const maxRetryAfter = 60_000

/**
 * Whether the same request may succeed a moment later. If the credentials could
 * not be read, the server was not asked.
 */
export const isPassing = (failure: Failure): boolean => failure.isTransient || failure.reason === "ClientAuth"

/** How long to wait after a failure: the base times a factor, or the server's `Retry-After`. */
export const waitAfter = (failure: Failure, millis: number): number =>
  failure.retryAfter === undefined
    ? millis
    : Math.max(millis, Math.min(maxRetryAfter, Duration.toMillis(failure.retryAfter)))

/**
 * How long to wait after a definite failure with `before` earlier ones; `base`
 * is the wait after a transient failure.
 */
export const definiteWait = (before: number, base: number): number =>
  Math.min(maxDefiniteFactor, definiteFactor * 2 ** before) * base
