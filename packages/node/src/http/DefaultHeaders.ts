/**
 * The default headers of a request: the accepted codings, as in fetch (RFC 9110
 * §12.5.3), and the user agent (§10.1.5), without which common firewalls reject
 * it.
 */
import type * as Undici from "@effect/platform-node/Undici"
import type * as Headers from "@effect/platform/Headers"
import * as Predicate from "effect/Predicate"
import * as ContentCoding from "./ContentCoding.js"

/** The product and its version. */
export const userAgent = "effect-alf/0.1.0"

/** Adds them in one step, as this runs for every request. A range request asks for the uncoded body. */
export const add: Undici.Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const headers: unknown = options.headers ?? {}
  if (!Predicate.isRecord(headers)) return dispatch(options, handler)
  const isNamed = has(headers, "user-agent")
  const isCoded = has(headers, "accept-encoding") || has(headers, "range")
  if (isNamed && isCoded) return dispatch(options, handler)
  const completed: Record<string, unknown> = { ...headers }
  if (!isNamed) completed["user-agent"] = userAgent
  if (!isCoded) completed["accept-encoding"] = ContentCoding.accepted
  return dispatch({ ...options, headers: completed as Record<string, string> }, handler)
}

/** Completes the headers of a request of our client. The authorization replaces that of the request. */
export const complete = (
  headers: Headers.Headers,
  authorization?: string,
  more?: Headers.Headers
): Record<string, string> => {
  const completed: Record<string, string> = { ...headers, ...more }
  if (authorization !== undefined) completed["authorization"] = authorization
  if (!("user-agent" in headers)) completed["user-agent"] = userAgent
  if (!("accept-encoding" in headers || "range" in headers)) completed["accept-encoding"] = ContentCoding.accepted
  return completed
}

/** Our client writes all names in lower case; other users of the dispatcher may not. */
const has = (headers: object, name: string): boolean =>
  name in headers || Object.keys(headers).some((key) => key.length === name.length && key.toLowerCase() === name)
