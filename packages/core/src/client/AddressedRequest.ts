/** A request with its complete URL. Platform's request is built from it only when it is needed. */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { globalValue } from "effect/GlobalValue"
import type * as Types from "effect/Types"

/** A request as the app made it, and its complete URL. */
export interface AddressedRequest {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
}

/** The request as the app would have made it with the complete URL. */
export const toRequest = ({ request, url }: AddressedRequest): HttpClientRequest.HttpClientRequest =>
  url === request.url ? request : carryScope(request, HttpClientRequest.setUrl(request, url))

/** The same request with a header, made in one step. The name is in lower case. */
export const withHeader = (
  { request, url }: AddressedRequest,
  name: string,
  value: string
): HttpClientRequest.HttpClientRequest => {
  const whole: Types.Mutable<HttpClientRequest.HttpClientRequest> = HttpClientRequest.setHeader(request, name, value)
  whole.url = url
  return carryScope(request, whole)
}

/**
 * Passes the scope of a request on to the request made from it, and returns the
 * latter: platform's `HttpClient.withScope` identifies a request by reference.
 */
export const carryScope = (
  from: HttpClientRequest.HttpClientRequest,
  to: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest => {
  const controller = scopedRequests.get(from)
  if (controller !== undefined) scopedRequests.set(to, controller)
  return to
}

/** Platform's registry, which it does not export. */
const scopedRequests = globalValue(
  "@effect/platform/HttpClient/scopedRequests",
  () => new WeakMap<HttpClientRequest.HttpClientRequest, AbortController>()
)
