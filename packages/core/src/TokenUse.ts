/**
 * How the token of a request came about, as the span of the request shows it.
 * The usual case is not shown: to say it of every request would cost each a
 * quarter of its span.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"

/**
 * How a token came about that was not simply in memory:
 *
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
export type TokenUse = "renewed_ahead" | "stale" | "awaited" | "adopted" | "replayed"

/**
 * Shows it in the spans of an effect, and how often the request was sent
 * before, as OpenTelemetry counts it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const annotate = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  use: TokenUse | undefined,
  resends: number
): Effect.Effect<A, E, R> =>
  use === undefined && resends === 0
    ? effect
    : Effect.withFiberRuntime((fiber) =>
      // A thousand requests may have waited for one token: where nobody traces, none pays for it
      fiber.getFiberRef(FiberRef.currentTracerEnabled)
        ? Effect.annotateSpans(effect, {
          ...(use === undefined ? {} : { "oauth.token.use": use }),
          ...(resends === 0 ? {} : { "http.request.resend_count": resends })
        })
        : effect
    )
