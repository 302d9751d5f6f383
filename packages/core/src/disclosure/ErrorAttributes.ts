/**
 * The attributes by which spans, metrics and logs describe a failure: a limited
 * set of values, none of which comes from a server.
 */
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { AuthorizationServerError, TokenProviderError, TokenStoreError } from "../OAuthError.js"

/** The attributes of a failure. `error.type` is defined by OpenTelemetry. */
export type ErrorAttributes = {
  /** The `reason` of the error. */
  readonly "error.type": (AuthorizationServerError | TokenProviderError | TokenStoreError)["reason"]
  /** The server's error code, if `error.type` is `OAuth`. */
  readonly "oauth.error.code"?: ErrorCode
}

/**
 * Error codes of token responses. Any other is `_OTHER`: a server chooses its
 * codes freely, and each would be a time series of its own.
 */
export const errorCodes = [
  // RFC 6749 §5.2
  "invalid_request",
  "invalid_client",
  "invalid_grant",
  "unauthorized_client",
  "unsupported_grant_type",
  "invalid_scope",
  // Of the authorization endpoint (RFC 6749 §4.1.2.1); many servers return them here too
  "access_denied",
  "server_error",
  "temporarily_unavailable",
  // RFC 8707 §2
  "invalid_target",
  // RFC 9449 §5 and §8
  "invalid_dpop_proof",
  "use_dpop_nonce",
  // RFC 8628 §3.5
  "slow_down",
  "_OTHER"
] as const

/** One of `errorCodes`. */
type ErrorCode = (typeof errorCodes)[number]

/** The attributes of an error. */
export const make = (error: AuthorizationServerError | TokenProviderError | TokenStoreError): ErrorAttributes => ({
  "error.type": error.reason,
  ...(error.reason === "OAuth" && { "oauth.error.code": errorCodes.find((code) => code === error.error) ?? "_OTHER" })
})

/** Runs an effect in a span that shows why it fails. The span's status already says that it does. */
export const inSpan = <A, E extends Parameters<typeof make>[0], R>(
  name: string,
  options: Tracer.SpanOptions,
  evaluate: (span: Tracer.Span) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.useSpan(name, { ...options, captureStackTrace: false }, (span) =>
    Effect.withParentSpan(
      Effect.tapError(evaluate(span), (error) => Effect.annotateCurrentSpan(make(error))),
      span
    ) as Effect.Effect<A, E, R>)
