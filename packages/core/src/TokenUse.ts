/**
 * How the token of a request came about, as the span of the request shows it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/**
 * How a token came about:
 *
 * - `reused`: it was in memory.
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
export type TokenUse = "reused" | "renewed_ahead" | "stale" | "awaited" | "adopted" | "replayed"

/**
 * Shows it in the spans of an effect. `resends` is how often the request was
 * sent before, as OpenTelemetry counts it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const annotate = <A, E, R>(effect: Effect.Effect<A, E, R>, use: TokenUse, resends: number) =>
  resends === 0
    ? Effect.annotateSpans(effect, "oauth.token.use", use)
    : Effect.annotateSpans(effect, { "oauth.token.use": use, "http.request.resend_count": resends })
