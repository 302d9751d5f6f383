/**
 * For how long a failed token request answers the next callers too, so that
 * they do not hammer the endpoint: the arithmetic of it.
 */
import * as Duration from "effect/Duration"
import type { TokenEndpointError, TokenProviderError } from "../OAuthError.js"
import * as RetryPolicy from "../RetryPolicy.js"

/** What a cool-down answers with. */
export type Failure = TokenEndpointError | TokenProviderError

/** A definite failure is held this many times as long as a passing one, and at most so many times. */
const definiteFactor = 5
const maxDefiniteFactor = 60
/** What a server may ask for with Retry-After once the retries are used up. */
const maxRetryAfter = Duration.toMillis("1 minute")

/**
 * Whether the same request may succeed a moment later: with credentials that
 * could not be read, the server was not even asked.
 */
export const isPassing = (failure: Failure): boolean =>
  failure._tag === "TokenProviderError"
    ? failure.reason !== "Defect"
    : failure.reason === "ClientAuth" || RetryPolicy.transient(failure)

/**
 * How long to wait after a failure: the base times a factor, or as long as the
 * server asks for.
 */
export const waitAfter = (failure: Failure, millis: number): number =>
  failure.retryAfter === undefined
    ? millis
    : Math.max(millis, Math.min(maxRetryAfter, Duration.toMillis(failure.retryAfter)))

/** How long to wait after a definite failure that so many have come before; `base` is the wait after a passing one. */
export const definiteWait = (before: number, base: number): number =>
  Math.min(maxDefiniteFactor, definiteFactor * 2 ** before) * base
