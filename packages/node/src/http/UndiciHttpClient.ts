/**
 * Platform's `HttpClient` over a dispatcher of undici, with less work for each
 * request than platform-node's, and the same behaviour.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeStream from "@effect/platform-node/NodeStream"
import type * as Undici from "@effect/platform-node/Undici"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { ConnectionQueue } from "./ConnectionQueue.js"
import * as RequestScope from "./RequestScope.js"
import * as RequestTarget from "./RequestTarget.js"
import { UndiciExchange } from "./UndiciExchange.js"
import * as UndiciResponse from "./UndiciResponse.js"

type Response = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

// Time limits are the callers': `Effect.timeout`
const headersTimeout = 60 * 60 * 1000

/**
 * A client over the dispatcher. Where a request finds no service in its own
 * context, it is served from the one in which the client is made. `connections`
 * is how many to one origin there are at most, if there is a limit.
 */
export const make = (dispatcher: Undici.Dispatcher, connections?: number): Effect.Effect<HttpClient.HttpClient> =>
  Effect.map(Effect.context<never>(), (context) => {
    const inContext = Effect.mapInputContext((own: Context.Context<never>) => Context.merge(context, own))
    const fallback = optionsIn(context)
    const targetOf = RequestTarget.make()
    const send = makeSend(new ConnectionQueue(dispatcher, connections))

    return HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
      Effect.flatMap((request) =>
        Effect.withFiberRuntime<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>((fiber) => {
          const traced = fiber.getFiberRef(FiberRef.currentTracerEnabled) &&
            !fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)(request)
          if (traced) return inContext(trace(request, send))
          const target = targetOf(request)
          if (Either.isLeft(target)) return Effect.fail(invalidUrl(request, target.left))
          const sent = send(
            request,
            target.right,
            RequestScope.find(request),
            optionsIn(fiber.currentContext) ?? fallback
          )
          return request.body._tag === "Stream" ? inContext(sent) : sent
        })
      ),
      Effect.succeed
    )
  })

const optionsIn = (context: Context.Context<never>) =>
  Option.getOrUndefined(Context.getOption(context, NodeHttpClient.UndiciRequestOptions))

const invalidUrl = (request: HttpClientRequest.HttpClientRequest, cause: Error) =>
  new HttpClientError.RequestError({ request, reason: "InvalidUrl", cause })

// -----------------------------------------------------------------------------
// sending
// -----------------------------------------------------------------------------

type Send = (
  request: HttpClientRequest.HttpClientRequest,
  target: RequestTarget.RequestTarget,
  scope: AbortController | undefined,
  options: Undici.Dispatcher.RequestOptions | undefined
) => Response

const makeSend = (queue: ConnectionQueue): Send => (request, { origin, path }, scope, options) => {
  const dispatch = (body: Undici.Dispatcher.DispatchOptions["body"]): Response =>
    Effect.async((resume) => {
      const exchange = new UndiciExchange(
        {
          ...options,
          method: request.method,
          headers: request.headers,
          origin,
          path,
          body: body ?? null,
          headersTimeout,
          bodyTimeout: 0
        },
        (cause) =>
          resume(
            cause === undefined
              // Only when the fiber goes on is it known whether the body has arrived as well
              ? Effect.sync(() => UndiciResponse.make(request, exchange, scope !== undefined))
              : Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause }))
          )
      )
      if (scope !== undefined) abortWith(scope.signal, exchange)
      if (!exchange.ended) queue.dispatch(exchange)
      return Effect.sync(() => exchange.abort())
    })
  switch (request.body._tag) {
    case "Empty":
      return dispatch(null)
    case "Uint8Array":
    case "Raw":
      return dispatch(request.body.body as Uint8Array)
    case "FormData":
      return dispatch(request.body.formData as Undici.FormData)
    case "Stream":
      return Effect.flatMap(NodeStream.toReadable(request.body.stream), dispatch)
  }
}

const abortWith = (signal: AbortSignal, exchange: UndiciExchange): void => {
  if (signal.aborted) return exchange.abort(signal.reason)
  signal.addEventListener("abort", () => exchange.abort(signal.reason), { once: true })
}

// -----------------------------------------------------------------------------
// tracing
// -----------------------------------------------------------------------------

/** The same span as platform's clients make. */
const trace = (request: HttpClientRequest.HttpClientRequest, send: Send): Response =>
  Effect.withFiberRuntime((fiber) => {
    const url = UrlParams.makeUrl(request.url, request.urlParams, request.hash)
    if (Either.isLeft(url)) return Effect.fail(invalidUrl(request, url.left))
    const redactedNames = fiber.getFiberRef(Headers.currentRedactedNames)
    const nameOf = Context.get(fiber.currentContext, HttpClient.SpanNameGenerator)
    return Effect.useSpan(nameOf(request), { kind: "client", captureStackTrace: false }, (span) => {
      annotateRequest(span, request, url.right, redactedNames)
      const propagated = fiber.getFiberRef(HttpClient.currentTracerPropagation)
        ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span))
        : request
      return send(
        propagated,
        RequestTarget.fromUrl(url.right),
        RequestScope.find(request),
        optionsIn(fiber.currentContext)
      ).pipe(
        Effect.withParentSpan(span),
        Effect.tap((response) => {
          span.attribute("http.response.status_code", response.status)
          annotateHeaders(span, "http.response.header", response.headers, redactedNames)
          return Effect.void
        })
      )
    })
  })

type RedactedNames = ReadonlyArray<string | RegExp>

const annotateRequest = (
  span: Tracer.Span,
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  redactedNames: RedactedNames
): void => {
  span.attribute("http.request.method", request.method)
  span.attribute("server.address", url.origin)
  if (url.port !== "") span.attribute("server.port", Number(url.port))
  span.attribute("url.full", url.toString())
  span.attribute("url.path", url.pathname)
  span.attribute("url.scheme", url.protocol.slice(0, -1))
  const query = url.search.slice(1)
  if (query !== "") span.attribute("url.query", query)
  annotateHeaders(span, "http.request.header", request.headers, redactedNames)
}

const annotateHeaders = (
  span: Tracer.Span,
  prefix: string,
  headers: Headers.Headers,
  redactedNames: RedactedNames
): void => {
  const redacted = Headers.redact(headers, redactedNames)
  for (const name in redacted) span.attribute(`${prefix}.${name}`, String(redacted[name]))
}
