/** The requests that a test's server received, as values that a test can compare. */
import * as Headers from "@effect/platform/Headers"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Arrival } from "../TestExchange.js"

/** Records a request, whatever its body is. */
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

/** Lets the runtime serialize the body, as `fetch` would. */
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

/** The failure of a connection. */
export const transportError = (request: HttpClientRequest.HttpClientRequest) => (cause: unknown) =>
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
