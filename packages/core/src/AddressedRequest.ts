/**
 * A request with the address that it goes to. Each request of a client is one, so
 * platform's requests are made of it only where somebody looks at them.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as Types from "effect/Types"
import * as RequestScope from "./RequestScope.js"

/**
 * A request as the app made it, and its address completed.
 *
 * @since 0.1.0
 * @category models
 */
export interface AddressedRequest {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
}

/**
 * The request as the app would have made it with the whole address.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toRequest = ({ request, url }: AddressedRequest): HttpClientRequest.HttpClientRequest =>
  url === request.url ? request : RequestScope.carry(request, HttpClientRequest.setUrl(request, url))

/**
 * The same with a header, made in one step. The name is in lower case.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withHeader = (
  { request, url }: AddressedRequest,
  name: string,
  value: string
): HttpClientRequest.HttpClientRequest => {
  const whole: Types.Mutable<HttpClientRequest.HttpClientRequest> = Object.create(kind)
  whole.method = request.method
  whole.url = url
  whole.urlParams = request.urlParams
  whole.hash = request.hash
  whole.headers = Headers.set(request.headers, name, value)
  whole.body = request.body
  return RequestScope.carry(request, whole)
}

/** What platform's requests have in common. */
const kind: object = Object.getPrototypeOf(HttpClientRequest.get("/"))
