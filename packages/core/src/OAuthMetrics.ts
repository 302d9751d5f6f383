/**
 * Every metric of the library, in Effect's registry: whatever exports that
 * exports these. Their tags have a bounded number of values, none of which
 * comes from a server, a token, a key or an address.
 *
 * A reused token is not counted: the hot path has no metric.
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
 * Updates a metric, with the tags that the app gives the layer: an app with
 * several credentials tells them apart by `Effect.tagMetrics`.
 *
 * @since 0.1.0
 * @category models
 */
export type Update = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>, input: In) => void

/**
 * Makes the function by which a service updates its metrics. The tags are those
 * of its layer, whichever fiber calls: a caller's own have no bound that is
 * known here, and no waiter would be counted out with other ones than in.
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

/** The tags of what something came to, with the reason of a failure. */
const tagsOf = (outcome: string | TokenRequestError | TokenStoreError) =>
  typeof outcome === "string"
    ? { "oauth.outcome": outcome }
    : { "oauth.outcome": "failed", ...ErrorAttributes.make(outcome) }

const requests = counter("oauth.token.requests", "Token requests")

/**
 * What a token request came to.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestOutcome = "issued" | TokenRequestError

/**
 * Token requests, each attempt by itself.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRequests = (outcome: RequestOutcome): Metric.Metric.Counter<number> =>
  tagged(requests, tagsOf(outcome))

const requestDuration = histogram("oauth.token.request.duration", "How long a token request takes")

/**
 * How long a token request takes, in seconds, with all that it needs:
 * credentials, discovery, a nonce. Why those that failed did is with
 * `tokenRequests`: a histogram for each reason would cost too much.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRequestDuration = (outcome: RequestOutcome): Metric.Metric.Histogram<number> =>
  tagged(requestDuration, tagsOf(outcome === "issued" ? outcome : "failed"))

/**
 * Token requests that repeat a failed one. Each is among `tokenRequests` too.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRetries: Metric.Metric.Counter<number> = counter(
  "oauth.token.retries",
  "Token requests that repeat a failed one"
)

/**
 * Callers that wait for a token at this moment. It goes up and down, and not by
 * being set, so that it is the sum over the providers of a process.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenWaiters: Metric.Metric.Counter<number> = Metric.counter("oauth.token.waiters", {
  description: "Callers that wait for a token"
})

/**
 * How long callers waited for a token, in seconds, whatever came of it; those
 * that found it in memory are not among them. Who waits for two renewals, one
 * after the other, is counted for each.
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
 * What a renewal is made for: ahead of the expiry, because a token is needed,
 * or because an origin answered 401.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewalReason = "background" | "expiry" | "rejection"

/**
 * What a renewal comes to, as `Renewal.Outcome` names it, or `failed`.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewalOutcome = "issued" | "adopted" | "held" | "busy" | "failed"

/**
 * Renewals that have come to an end, by what they were made for. Those in the
 * background, for which nobody waits, are the normal ones.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenRenewals = (reason: RenewalReason, outcome: RenewalOutcome): Metric.Metric.Counter<number> =>
  tagged(renewals, { "oauth.renewal.reason": reason, ...tagsOf(outcome) })

/**
 * Requests that got an old token, since it could not be renewed in time. They
 * succeed; when the token ends they no longer will.
 *
 * @since 0.1.0
 * @category metrics
 */
export const staleServes: Metric.Metric.Counter<number> = counter(
  "oauth.token.stale_serves",
  "Requests with an old token that could not be renewed"
)

/**
 * What remained of the token that was taken, or handed out inside its refresh
 * window, last. It falls while renewals fail, and there is traffic: one that is
 * far from its end is handed out without a look at any metric.
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
 * What a call without a token that works came to:
 *
 * - `failed`: there was none, and nothing was sent.
 * - `rejected`: it was sent, and the caller got the answer that rejects the token.
 *
 * @since 0.1.0
 * @category models
 */
export type FailureOutcome = "failed" | "rejected"

/**
 * Calls that went without a token that works, by what their callers saw, and
 * by why there was none. Where no renewal failed, the tokens that it brings are
 * rejected too.
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
 * What came of a request that was answered 401, or of a call of `AuthedCall`
 * whose token was rejected:
 *
 * - `accepted`: with another token it was answered otherwise.
 * - `rejected`: with another token it was answered 401 too.
 * - `failed`: with another token it was not answered, or the call failed for another reason.
 * - `unreplayable`: there is another token, and the body cannot be sent again.
 * - `unrenewed`: there is no other token.
 *
 * @since 0.1.0
 * @category models
 */
export type ReplayOutcome = "accepted" | "rejected" | "failed" | "unreplayable" | "unrenewed"

/**
 * Requests that were answered 401, and calls whose token was rejected, by what came of them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenReplays = (outcome: ReplayOutcome): Metric.Metric.Counter<number> => tagged(replays, tagsOf(outcome))

const storeOperations = counter("oauth.token_store.operations", "Calls of the token store, by method")

/**
 * What a call of the store came to. `skipped` is one that was not made, because
 * a store that failed is left alone for a while.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreOutcome = "ok" | "skipped" | TokenStoreError

/**
 * Calls of the token store. In steady state there are none.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenStoreOperations = (
  method: TokenStoreError["method"],
  outcome: StoreOutcome
): Metric.Metric.Counter<number> => tagged(storeOperations, { "oauth.token_store.method": method, ...tagsOf(outcome) })

/**
 * How long renewals waited for the turn that another process had, in seconds;
 * those that found it free are not among them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const leaseWaitDuration: Metric.Metric.Histogram<number> = histogram(
  "oauth.token_store.lease.wait.duration",
  "How long renewals waited for their turn"
)
