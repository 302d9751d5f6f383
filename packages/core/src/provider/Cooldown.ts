/**
 * For how long a failed token request answers the next callers too, so that
 * they do not hammer the endpoint: the arithmetic of it.
 */
import * as Duration from "effect/Duration"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"

/** What a cool-down answers with. */
export type Failure = TokenRequestError | TokenProviderError

/** A definite failure is held this many times as long as a passing one, and at most so many times. */
const definiteFactor = 5
const maxDefiniteFactor = 60
/** What a server may ask for with Retry-After once the retries are used up. */
const maxRetryAfter = Duration.toMillis("1 minute")

/**
 * Whether the next attempt may come soon: the failure is transient, or it is one
 * of credentials that could not be read, which costs the server nothing.
 */
export const isPassing = (failure: Failure): boolean => failure.isTransient || failure.reason === "ClientAuth"

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
