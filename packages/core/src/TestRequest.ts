/**
 * The requests that reached a test's server, as values that a test can compare.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as UrlParams from "@effect/platform/UrlParams"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Method } from "./TestClientAuth.js"
import type { Proof } from "./TestProofs.js"

/**
 * What there is to say of any request.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestRequest {
  /** When it arrived, in epoch milliseconds. */
  readonly time: number
  readonly method: string
  readonly url: string
  /** As they were sent, with the credentials. */
  readonly headers: Headers.Headers
  readonly authorization: string | undefined
  /** The status of the answer; `undefined` while, or when, there is none. */
  readonly status: number | undefined
}

/**
 * A token request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenRequest extends TestRequest {
  /** The decoded form. */
  readonly params: UrlParams.UrlParams
  /** Whom the request is from, in its own words. */
  readonly clientId: string | undefined
  /** How the client authenticated, rightly or not; `undefined` when not at all, or in several ways. */
  readonly clientAuth: Method | undefined
  readonly grantType: string | undefined
  readonly scope: string | undefined
  readonly resources: ReadonlyArray<string>
  readonly audiences: ReadonlyArray<string>
  /** What its DPoP proof says, once it was found to be right. */
  readonly proof: Proof | undefined
  /** The token that the answer brought. */
  readonly token: string | undefined
  /** The OAuth error that the server answered. One that a test told it to answer is not looked at. */
  readonly error: string | undefined
}

/**
 * A request about a token as it arrived: its revocation (RFC 7009 §2.1) or its
 * introspection (RFC 7662 §2.1).
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenQuery extends TestRequest {
  /** The decoded form. */
  readonly params: UrlParams.UrlParams
  /** Whom the request is from, in its own words. */
  readonly clientId: string | undefined
  /** How the client authenticated, rightly or not; `undefined` when not at all, or in several ways. */
  readonly clientAuth: Method | undefined
  readonly token: string | undefined
  readonly tokenTypeHint: string | undefined
  /** The OAuth error that the server answered. One that a test told it to answer is not looked at. */
  readonly error: string | undefined
}

/**
 * A request to a resource as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface ApiRequest extends TestRequest {
  /** How the token was sent (RFC 6750 §2.1, RFC 9449 §7.1). */
  readonly scheme: "Bearer" | "DPoP" | undefined
  /** The token of the `Authorization` header. */
  readonly token: string | undefined
  /** What its DPoP proof says, once it was found to be right. */
  readonly proof: Proof | undefined
  readonly body: Uint8Array
}

/**
 * A request and its body, both as they came over the wire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrival extends TestRequest {
  readonly body: Uint8Array
}

/**
 * Takes a request in, whatever its body is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (
  request: HttpClientRequest.HttpClientRequest,
  url: string
): Effect.Effect<Arrival, HttpClientError.RequestError> =>
  Effect.zipWith(Clock.currentTimeMillis, readBody(request), (time, { bytes, contentType }) => ({
    time,
    method: request.method,
    url,
    headers: contentType === undefined || request.headers["content-type"] !== undefined
      ? request.headers
      : Headers.set(request.headers, "content-type", contentType),
    authorization: request.headers.authorization,
    status: undefined,
    body: bytes
  }))

interface Body {
  readonly bytes: Uint8Array
  readonly contentType: string | undefined
}

const readBody = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<Body, HttpClientError.RequestError> => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return Effect.succeed({ bytes: new Uint8Array(), contentType: undefined })
    case "Uint8Array":
      return Effect.succeed({ bytes: body.body.slice(), contentType: body.contentType })
    case "FormData":
      return readWeb(request, body.formData)
    case "Raw":
      return readWeb(request, body.body as BodyInit)
    case "Stream":
      return Stream.runCollect(body.stream).pipe(
        Effect.map((chunks) => ({ bytes: concat(Array.from(chunks)), contentType: body.contentType })),
        Effect.mapError(transportError(request))
      )
  }
}

/** Leaves it to the runtime how it writes a body, as `fetch` would. */
const readWeb = (request: HttpClientRequest.HttpClientRequest, body: BodyInit) =>
  Effect.tryPromise({
    try: async () => {
      const web = new Response(body)
      return {
        bytes: new Uint8Array(await web.arrayBuffer()),
        contentType: web.headers.get("content-type") ?? undefined
      }
    },
    catch: transportError(request)
  })

const transportError = (request: HttpClientRequest.HttpClientRequest) => (cause: unknown) =>
  new HttpClientError.RequestError({ request, reason: "Transport", cause })

const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.byteLength, 0))
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}
