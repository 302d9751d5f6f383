/**
 * The metrics of the library, in Effect's registry. Their tags have a bounded
 * number of values; no value comes from a server, a token, a key or an address.
 *
 * A reused token is not counted: the hot path updates no metric.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as ErrorAttributes from "./disclosure/ErrorAttributes.js"
import type { TokenProviderError, TokenRequestError, TokenStoreError } from "./OAuthError.js"

/**
 * Updates a metric, with the tags of the layer: tag the layers of several
 * credentials with `Effect.tagMetrics`.
 *
 * @since 0.1.0
 * @category models
 */
export type Update = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>, input: In) => void

/**
 * Makes the function that updates the metrics of a service. The tags are those
 * of its layer, whichever fiber calls it: the tags of callers are unbounded,
 * and would differ between the two updates of `tokenWaiters`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeUpdate: Effect.Effect<Update> = Effect.map(
  FiberRef.get(FiberRef.currentMetricLabels),
  (labels): Update => (metric, input) => metric.unsafeUpdate(input, labels)
)

const tagged = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>, tags: Readonly<Record<string, string>>) =>
  Metric.taggedWithLabels(metric, Object.entries(tags).map(([key, value]) => MetricLabel.make(key, value)))

// By this tag an exporter for OpenTelemetry knows the unit. Within the key, it costs nothing at an update
const inSeconds = MetricKey.tagged("unit", "s")

// Those that OpenTelemetry advises for the requests of HTTP clients
const requestBoundaries = MetricBoundaries.fromIterable([
  0.005,
  0.01,
  0.025,
  0.05,
  0.075,
  0.1,
  0.25,
  0.5,
  0.75,
  1,
  2.5,
  5,
  7.5,
  10
])

const histogram = (name: string, description: string) =>
  Metric.fromMetricKey(inSeconds(MetricKey.histogram(name, requestBoundaries, description)))

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

/** The tags of an outcome; of a failure, with its reason. */
const tagsOf = (outcome: string | TokenRequestError | TokenStoreError) =>
  typeof outcome === "string"
    ? { "oauth.outcome": outcome }
    : { "oauth.outcome": "failed", ...ErrorAttributes.make(outcome) }

const requests = counter("oauth.token.requests", "Token requests")

/**
 * The result of a token request.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestOutcome = "issued" | TokenRequestError

/**
 * Counts the attempts of token requests.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRequests = (outcome: RequestOutcome): Metric.Metric.Counter<number> =>
  tagged(requests, tagsOf(outcome))

const requestDuration = histogram("oauth.token.request.duration", "How long a token request takes")

/**
 * The duration of a token request in seconds, including credentials, discovery
 * and nonces. The reasons of failures are in `tokenRequests`: a histogram for
 * each would cost too much.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRequestDuration = (outcome: RequestOutcome): Metric.Metric.Histogram<number> =>
  tagged(requestDuration, tagsOf(outcome === "issued" ? outcome : "failed"))

/**
 * Counts the token requests that repeat a failed one; `tokenRequests` counts
 * them too.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRetries: Metric.Metric.Counter<number> = counter(
  "oauth.token.retries",
  "Token requests that repeat a failed one"
)

/**
 * The number of callers that wait for a token. It is a counter that goes up and
 * down, so that the providers of a process add up.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenWaiters: Metric.Metric.Counter<number> = Metric.counter("oauth.token.waiters", {
  description: "Callers that wait for a token"
})

/**
 * How long callers waited for a token, in seconds, successfully or not. Tokens
 * from memory are not included. A caller that waits for two renewals is counted
 * for each.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenWaitDuration: Metric.Metric.Histogram<number> = histogram(
  "oauth.token.wait.duration",
  "How long callers wait for a token"
)

const renewals = counter("oauth.token.renewals", "Token renewals")

/**
 * Why a token is renewed: ahead of its expiry, because a caller needs one, or
 * because an origin answered 401.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewalReason = "background" | "expiry" | "rejection"

/**
 * The result of a renewal:
 *
 * - `issued`: the endpoint issued a token.
 * - `adopted`: another process had stored a token.
 * - `paused`: the fleet pauses renewals for the origin that rejects tokens.
 * - `busy`: another process is renewing, and no caller waits.
 * - `failed`: there is no token.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewalOutcome = "issued" | "adopted" | "paused" | "busy" | "failed"

/**
 * Counts renewals by reason and result. Most are `background`, for which no
 * caller waits.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRenewals = (reason: RenewalReason, outcome: RenewalOutcome): Metric.Metric.Counter<number> =>
  tagged(renewals, { "oauth.renewal.reason": reason, ...tagsOf(outcome) })

/**
 * Counts the requests with an old token that could not be renewed in time. They
 * succeed; after the token's expiry they would not.
 *
 * @since 0.1.0
 * @category metrics
 */
export const staleServes: Metric.Metric.Counter<number> = counter(
  "oauth.token.stale_serves",
  "Requests with an old token that could not be renewed"
)

/**
 * The remaining lifetime of the token when it was last issued or adopted, or
 * used within its refresh window. It falls while renewals fail and requests
 * continue. A token outside of the window is used without an update.
 *
 * @since 0.1.0
 * @category metrics
 */
export const timeToExpiry: Metric.Metric.Gauge<number> = Metric.fromMetricKey(
  inSeconds(MetricKey.gauge("oauth.token.time_to_expiry", {
    description: "Remaining lifetime of the token"
  }))
)

const failures = counter("oauth.token.failures", "Calls without a token that works")

/**
 * The result of a call without a valid token:
 *
 * - `failed`: there was no token, and nothing was sent.
 * - `rejected`: the request was sent, and the response that rejects the token
 *   was returned.
 *
 * @since 0.1.0
 * @category models
 */
export type FailureOutcome = "failed" | "rejected"

/**
 * Counts the calls without a valid token by result and by the reason of the
 * last failed renewal. If no renewal failed, new tokens are rejected too.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenFailures = (
  outcome: FailureOutcome,
  failure?: TokenRequestError | TokenProviderError
): Metric.Metric.Counter<number> =>
  tagged(failures, { ...tagsOf(outcome), ...(failure && ErrorAttributes.make(failure)) })

const replays = counter("oauth.replays", "Calls whose token was rejected")

/**
 * The result of a request that was answered 401, or of a call of `AuthedCall`
 * whose token was rejected:
 *
 * - `accepted`: another token was accepted.
 * - `rejected`: another token was rejected too.
 * - `failed`: with another token there was no response, or the call failed for
 *   another reason.
 * - `unreplayable`: there is another token, but the body cannot be sent again.
 * - `unrenewed`: there is no other token.
 *
 * @since 0.1.0
 * @category models
 */
export type ReplayOutcome = "accepted" | "rejected" | "failed" | "unreplayable" | "unrenewed"

/**
 * Counts requests that were answered 401, and calls whose token was rejected,
 * by result.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenReplays = (outcome: ReplayOutcome): Metric.Metric.Counter<number> => tagged(replays, tagsOf(outcome))

const storeOperations = counter("oauth.token_store.operations", "Calls of the token store, by method")

/**
 * The result of a call of the store. `skipped`: not made, because the store
 * failed shortly before.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreOutcome = "ok" | "skipped" | TokenStoreError

/**
 * Counts the calls of the token store. In steady state there are none.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenStoreOperations = (
  method: TokenStoreError["method"],
  outcome: StoreOutcome
): Metric.Metric.Counter<number> => tagged(storeOperations, { "oauth.token_store.method": method, ...tagsOf(outcome) })

/**
 * How long renewals waited for the lease of another process, in seconds.
 * Renewals that found it free are not included.
 *
 * @since 0.1.0
 * @category metrics
 */
export const leaseWaitDuration: Metric.Metric.Histogram<number> = histogram(
  "oauth.token_store.lease.wait.duration",
  "How long renewals waited for their turn"
)
