/**
 * Every metric of the library, in Effect's registry: whatever exports that
 * exports these. Tags have a bounded number of values and hold nothing secret.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { TokenStoreError } from "./OAuthError.js"

const storeFailures = Metric.counter("oauth.token_store.failures", {
  description: "Calls of the token store that failed, by method and reason (1)",
  incremental: true
})

/**
 * Calls of the token store that failed or took too long. Calls that are not
 * made, because a store that failed is left alone for a while, do not count.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tokenStoreFailures = (error: Pick<TokenStoreError, "method" | "reason">): Metric.Metric.Counter<number> =>
  storeFailures.pipe(
    Metric.tagged("oauth.token_store.method", error.method),
    Metric.tagged("error.type", error.reason)
  )
