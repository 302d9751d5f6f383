/**
 * What the `HttpClient` at the bottom can offer besides sending: it takes the
 * authorization of a request apart from the request, and never shows it; and it
 * connects while the token is requested.
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
 * response, the errors and the spans show the request as it was given; of the
 * header a span shows that there is one.
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

// Any copy of this module knows it
const key: unique symbol = Symbol.for("@effect-alf/core/HttpTransport") as never

interface Transport extends HttpClient.HttpClient {
  readonly [key]?: { readonly sendAuthorized: SendAuthorized; readonly connect: Connect | undefined }
}

/**
 * Says how the client sends a request with an authorization, and how it
 * connects. `AuthedHttpClient` then leaves that to the client, and has nothing
 * to hide of what comes back. A client that is made from this one, as by
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
  // Not enumerable: a client that is spread into another is another one
  Object.defineProperty(client, key, { value: { sendAuthorized, connect } })

/**
 * How the client sends a request with an authorization, if it has said so.
 *
 * @since 0.1.0
 * @category getters
 */
export const sendAuthorized = (client: HttpClient.HttpClient): SendAuthorized | undefined =>
  (client as Transport)[key]?.sendAuthorized

/**
 * How the client connects to an origin, if it has said so.
 *
 * @since 0.1.0
 * @category getters
 */
export const connect = (client: HttpClient.HttpClient): Connect | undefined => (client as Transport)[key]?.connect
