/**
 * When and how often a token request is retried: ordinary Schedules and
 * predicates over `AuthorizationServerError`, to be combined with Effect's own.
 * By default `OAuthError.isTransient` decides which errors are retried.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { identity } from "effect/Function"
import type * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import type { AuthorizationServerError, TokenRequestError } from "./OAuthError.js"

/**
 * A Schedule over failed token requests.
 *
 * @since 0.1.0
 * @category models
 */
export type RetryPolicy = Schedule.Schedule<unknown, TokenRequestError>

// One retry is not noticed; doubled five times, the delays cover a restart of the server
const defaultBase = Duration.millis(200)
// Beyond this a caller would rather have the error
const defaultMax = Duration.seconds(5)
const defaultTimes = 5
// The longest Retry-After that is honoured within one token request
const defaultRetryAfterCap = Duration.seconds(10)

/**
 * Exponential backoff: waits `base`, then `factor` times as long each time, at
 * most `max`, `times` times. Each wait varies by up to a fifth, unless `jitter`
 * is false.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "@effect-alf/core"
 *
 * // alf's Retry(total=5, backoff_factor=0.3)
 * const policy = RetryPolicy.exponential({ base: "300 millis", times: 5 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const exponential = (options: {
  readonly base?: Duration.DurationInput | undefined
  readonly factor?: number | undefined
  readonly max?: Duration.DurationInput | undefined
  readonly times?: number | undefined
  readonly jitter?: boolean | undefined
} = {}): Schedule.Schedule<unknown, AuthorizationServerError> => {
  const { base = defaultBase, factor = 2, jitter = true, max = defaultMax, times = defaultTimes } = options
  return Schedule.exponential(base, factor).pipe(
    jitter ? Schedule.jittered : identity,
    // Whole milliseconds: a fraction of one brings the clock of tests to a halt in older releases of effect
    Schedule.modifyDelay((_, delay) => Duration.min(Duration.millis(Math.ceil(Duration.toMillis(delay))), max)),
    Schedule.intersect(Schedule.recurs(times))
  )
}

/**
 * Waits as long as Retry-After says (RFC 9110 §10.2.3), at most `cap`; without
 * Retry-After it does not wait. It has no end: intersect it with a Schedule
 * that has one. The result waits for the longer of both.
 *
 * @since 0.1.0
 * @category constructors
 */
export const retryAfter = (
  cap: Duration.DurationInput = defaultRetryAfterCap
): Schedule.Schedule<unknown, AuthorizationServerError> =>
  Schedule.addDelay(
    Schedule.identity<AuthorizationServerError>(),
    (error) => error.retryAfter === undefined ? Duration.zero : Duration.min(error.retryAfter, cap)
  )

/**
 * The default: exponential from 200 ms with jitter, at most 5 s, 5 retries, and
 * never earlier than Retry-After says (at most 10 s).
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: Schedule.Schedule<unknown, AuthorizationServerError> = Schedule.intersect(
  exponential(),
  retryAfter()
)

/**
 * One attempt, no retry.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Schedule.Schedule<unknown, AuthorizationServerError> = Schedule.stop

/**
 * Retries these statuses and nothing else, like alf's `status_forcelist`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const statuses = (list: ReadonlyArray<number>): Predicate.Predicate<AuthorizationServerError> => (error) =>
  error.status !== undefined && list.includes(error.status)
