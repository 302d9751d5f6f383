/**
 * What the underlying `HttpClient` can offer in addition to sending: it takes a
 * request's authorization separately and never shows it, and it connects while
 * the token is requested.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Effect from "effect/Effect"

/**
 * Sends a request with this `Authorization` header in place of its own. The
 * response, the errors and the spans show the request as it was given. A span
 * also shows that there is such a header, without its value.
 *
 * @since 0.1.0
 * @category models
 */
export type SendAuthorized = (
  request: HttpClientRequest.HttpClientRequest,
  authorization: string
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

/**
 * Opens a connection to the origin of a request that waits for its token, unless
 * one is free. Does not fail: the request connects by itself if need be.
 *
 * @since 0.1.0
 * @category models
 */
export type Connect = (origin: string) => void

// The same in every copy of this module
const key: unique symbol = Symbol.for("@effect-alf/core/HttpTransport") as never

interface Transport extends HttpClient.HttpClient {
  readonly [key]?: { readonly sendAuthorized: SendAuthorized; readonly connect: Connect | undefined }
}

/**
 * Declares how the client sends a request with an authorization, and how it
 * connects. `AuthedHttpClient` then uses this, and need not redact responses
 * and errors. A client that is made from this one, for example by
 * `HttpClient.mapRequest`, does not inherit it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  client: HttpClient.HttpClient,
  sendAuthorized: SendAuthorized,
  connect?: Connect
): HttpClient.HttpClient =>
  // Not enumerable: a client that is made by spreading this one must not inherit it
  Object.defineProperty(client, key, { value: { sendAuthorized, connect } })

/**
 * How the client sends a request with an authorization, if it declares it.
 *
 * @since 0.1.0
 * @category getters
 */
export const sendAuthorized = (client: HttpClient.HttpClient): SendAuthorized | undefined =>
  (client as Transport)[key]?.sendAuthorized

/**
 * How the client connects to an origin, if it declares it.
 *
 * @since 0.1.0
 * @category getters
 */
export const connect = (client: HttpClient.HttpClient): Connect | undefined => (client as Transport)[key]?.connect
