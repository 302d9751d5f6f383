/**
 * For how long a failed token request answers the next callers too, so that
 * they do not hammer the endpoint. The bookkeeping of one key; without Effects.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type { TokenEndpointError, TokenProviderError } from "./OAuthError.js"
import * as RetryPolicy from "./RetryPolicy.js"

/**
 * What a cool-down answers with.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure = TokenEndpointError | TokenProviderError

/**
 * Times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cooldown {
  /** The failure that answers for the endpoint at this time. */
  readonly failure: (now: number) => Failure | undefined
  /** Begins with a failure, which may have come earlier. A definite one lasts longer each time. */
  readonly begin: (failure: Failure, now: number, failedAt?: number) => void
  /** The credentials that failed, as far as they can change: others end the cool-down early. */
  readonly failedWith: (credentials: Option.Option<string>) => void
  /** Whether other credentials would end it. */
  readonly mayChange: () => boolean
  /** Whether it is time to look for what ends it; `true` once in the cool-down's base. */
  readonly mayLook: (now: number) => boolean
  /** Ends the cool-down if these are others than those that failed. */
  readonly look: (credentials: Option.Option<string>) => void
}

/** A definite failure is held this many times as long as a passing one, and at most so many times. */
const definiteFactor = 5
const maxDefiniteFactor = 60
/** What a server may ask for with Retry-After once the retries are used up. */
const maxRetryAfter = Duration.toMillis("1 minute")

/**
 * Whether the same request may succeed a moment later: with credentials that
 * could not be read, the server was not even asked.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPassing = (failure: Failure): boolean =>
  failure._tag === "TokenProviderError"
    ? failure.reason !== "Defect"
    : failure.reason === "ClientAuth" || RetryPolicy.transient(failure)

/**
 * How long to wait after a failure: the base times a factor, or as long as the
 * server asks for.
 *
 * @since 0.1.0
 * @category arithmetic
 */
export const waitAfter = (failure: Failure | undefined, millis: number): number =>
  failure?.retryAfter === undefined
    ? millis
    : Math.max(millis, Math.min(maxRetryAfter, Duration.toMillis(failure.retryAfter)))

/**
 * Makes the cool-down of a key; `base` is how long a passing failure is held.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (base: number): Cooldown => new Timer(base)

interface Current {
  readonly failure: Failure
  readonly from: number
  readonly until: number
  /** The credentials that failed, as far as they can change. */
  credentials: Option.Option<string>
  /** When it is time to look for what ends it. */
  lookAt: number
}

class Timer implements Cooldown {
  readonly #base: number
  #current: Current | undefined
  #definiteFailures = 0

  constructor(base: number) {
    this.#base = base
  }

  failure(now: number): Failure | undefined {
    // A clock that was set back must not make it last
    return this.#current !== undefined && now >= this.#current.from && now < this.#current.until
      ? this.#current.failure
      : undefined
  }

  begin(failure: Failure, now: number, failedAt = now): void {
    const until = isPassing(failure)
      ? Math.max(now + this.#base, failedAt + waitAfter(failure, this.#base))
      : now + Math.min(maxDefiniteFactor, definiteFactor * 2 ** this.#definiteFailures++) * this.#base
    this.#current = { failure, from: now, until, credentials: Option.none(), lookAt: now + this.#base }
  }

  failedWith(credentials: Option.Option<string>): void {
    if (this.#current !== undefined) this.#current.credentials = credentials
  }

  mayChange(): boolean {
    return this.#current !== undefined && Option.isSome(this.#current.credentials)
  }

  mayLook(now: number): boolean {
    if (this.#current === undefined || now < this.#current.lookAt) return false
    this.#current.lookAt = now + this.#base
    return true
  }

  look(credentials: Option.Option<string>): void {
    const failed = this.#current?.credentials ?? Option.none()
    if (Option.isNone(failed) || Option.isNone(credentials)) return
    if (Equal.equals(credentials, failed)) return
    this.#current = undefined
    this.#definiteFailures = 0
  }
}
