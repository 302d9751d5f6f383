/**
 * Platform's `HttpClient.withScope` knows a request by its identity: a request
 * that takes the place of another must be aborted with it.
 *
 * @since 0.1.0
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { globalValue } from "effect/GlobalValue"

/**
 * What aborts a request when its scope ends, if it has one.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (request: HttpClientRequest.HttpClientRequest): AbortController | undefined =>
  scopedRequests.get(request)

/**
 * Hands the scope of a request on to the one made from it, and returns that.
 *
 * @since 0.1.0
 * @category combinators
 */
export const carry = (
  from: HttpClientRequest.HttpClientRequest,
  to: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest => {
  const controller = scopedRequests.get(from)
  if (controller !== undefined) scopedRequests.set(to, controller)
  return to
}

const scopedRequests = globalValue(
  "@effect/platform/HttpClient/scopedRequests",
  () => new WeakMap<HttpClientRequest.HttpClientRequest, AbortController>()
)
