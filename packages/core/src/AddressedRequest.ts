/**
 * A request with the address that it goes to. Each request of a client is one, so
 * platform's requests are made of it only where somebody looks at them.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as Inspectable from "effect/Inspectable"
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
): HttpClientRequest.HttpClientRequest =>
  RequestScope.carry(request, new WholeRequest(request, url, Headers.set(request.headers, name, value)))

/** Of platform's kind in all, as it inherits what platform's requests do. */
class WholeRequest implements HttpClientRequest.HttpClientRequest {
  declare readonly [HttpClientRequest.TypeId]: HttpClientRequest.TypeId
  declare readonly [Inspectable.NodeInspectSymbol]: () => unknown
  declare readonly pipe: HttpClientRequest.HttpClientRequest["pipe"]
  declare readonly toJSON: () => unknown
  declare readonly toString: () => string
  readonly method: HttpClientRequest.HttpClientRequest["method"]
  readonly url: string
  readonly urlParams: HttpClientRequest.HttpClientRequest["urlParams"]
  readonly hash: HttpClientRequest.HttpClientRequest["hash"]
  readonly headers: Headers.Headers
  readonly body: HttpClientRequest.HttpClientRequest["body"]

  constructor(request: HttpClientRequest.HttpClientRequest, url: string, headers: Headers.Headers) {
    this.method = request.method
    this.url = url
    this.urlParams = request.urlParams
    this.hash = request.hash
    this.headers = headers
    this.body = request.body
  }
}

Object.setPrototypeOf(WholeRequest.prototype, Object.getPrototypeOf(HttpClientRequest.get("/")))
