/**
 * Platform's `HttpClient` over a dispatcher of undici, with less work per
 * request than platform-node's, and the same behaviour.
 */
import * as HttpTransport from "@effect-alf/core/HttpTransport"
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
import * as Tracer from "effect/Tracer"
import * as ClientSpan from "./ClientSpan.js"
import { ConnectionQueue } from "./ConnectionQueue.js"
import * as DefaultHeaders from "./DefaultHeaders.js"
import * as RequestScope from "./RequestScope.js"
import * as RequestTarget from "./RequestTarget.js"
import { UndiciExchange } from "./UndiciExchange.js"
import * as UndiciResponse from "./UndiciResponse.js"

type Response = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

// Time limits are up to callers: `Effect.timeout`
const headersTimeout = 60 * 60 * 1000

/**
 * A client over the dispatcher. A service that is missing in a request's own
 * context comes from the context in which the client is made. `connections` is
 * the maximum per origin, if there is a limit.
 */
export const make = (dispatcher: Undici.Dispatcher, connections?: number): Effect.Effect<HttpClient.HttpClient> =>
  Effect.map(Effect.context<never>(), (context) => {
    const inContext = Effect.mapInputContext((own: Context.Context<never>) => Context.merge(context, own))
    const outerOptions = optionsIn(context)
    const outerSpan = Option.getOrUndefined(propagated(Context.getOption(context, Tracer.ParentSpan)))
    const targetOf = RequestTarget.make()
    const dispatch = makeDispatch(new ConnectionQueue(dispatcher, connections))

    const send = (request: HttpClientRequest.HttpClientRequest, authorization?: string): Response =>
      Effect.withFiberRuntime((fiber) => {
        const own = fiber.currentContext
        const options = optionsIn(own) ?? outerOptions
        const dispatched = (
          shown: HttpClientRequest.HttpClientRequest,
          target: RequestTarget.RequestTarget,
          more?: Headers.Headers
        ) => {
          const headers = DefaultHeaders.complete(shown.headers, authorization, more)
          const response = dispatch(shown, headers, target, RequestScope.find(request), options)
          return request.body._tag === "Stream" ? inContext(response) : response
        }

        const isTraced = fiber.getFiberRef(FiberRef.currentTracerEnabled) &&
          !fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)(request)
        if (!isTraced) {
          const target = targetOf(request)
          return Either.isLeft(target)
            ? Effect.fail(invalidUrl(request, target.left))
            : dispatched(request, target.right)
        }
        const url = UrlParams.makeUrl(request.url, request.urlParams, request.hash)
        if (Either.isLeft(url)) return Effect.fail(invalidUrl(request, url.left))
        const naming = own.unsafeMap.has(HttpClient.SpanNameGenerator.key) ? own : context
        const parent = own.unsafeMap.has(Tracer.ParentSpan.key) ? undefined : outerSpan
        const redactedNames = fiber.getFiberRef(Headers.currentRedactedNames)
        const name = Context.get(naming, HttpClient.SpanNameGenerator)(request)
        return Effect.useSpan(name, { kind: "client", captureStackTrace: false, parent }, (span) => {
          ClientSpan.annotateRequest(span, request, url.right, redactedNames)
          if (authorization !== undefined) ClientSpan.annotateAuthorization(span)
          const trace = fiber.getFiberRef(HttpClient.currentTracerPropagation)
            ? HttpTraceContext.toHeaders(span)
            : undefined
          // With an added authorization, response and errors show the request as the caller made it
          const shown = authorization === undefined && trace !== undefined
            ? HttpClientRequest.setHeaders(request, trace)
            : request
          const response = Effect.withParentSpan(
            dispatched(shown, RequestTarget.fromUrl(url.right), trace),
            span
          )
          return Effect.map(response, (response) => {
            ClientSpan.annotateResponse(span, response, redactedNames)
            return response
          })
        })
      })

    return HttpTransport.make(
      HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
        Effect.flatMap((request) => send(request)),
        Effect.succeed
      ),
      send
    )
  })

const optionsIn = (context: Context.Context<never>) =>
  Option.getOrUndefined(Context.getOption(context, NodeHttpClient.UndiciRequestOptions))

const invalidUrl = (request: HttpClientRequest.HttpClientRequest, cause: Error) =>
  new HttpClientError.RequestError({ request, reason: "InvalidUrl", cause })

/** The nearest span that may have spans within it. */
const propagated = (span: Option.Option<Tracer.AnySpan>): Option.Option<Tracer.AnySpan> =>
  Option.flatMap(span, (span) =>
    Context.get(span.context, Tracer.DisablePropagation)
      ? span._tag === "Span" ? propagated(span.parent) : Option.none()
      : Option.some(span))

// -----------------------------------------------------------------------------
// sending
// -----------------------------------------------------------------------------

type Dispatch = (
  /** The request that the response and the errors show. */
  request: HttpClientRequest.HttpClientRequest,
  headers: Record<string, string>,
  target: RequestTarget.RequestTarget,
  scope: AbortController | undefined,
  options: Undici.Dispatcher.RequestOptions | undefined
) => Response

const makeDispatch = (queue: ConnectionQueue): Dispatch => (request, headers, { origin, path }, scope, options) => {
  const dispatch = (body: Undici.Dispatcher.DispatchOptions["body"]): Response =>
    Effect.async((resume) => {
      const own = {
        method: request.method,
        headers,
        origin,
        path,
        body: body ?? null,
        headersTimeout,
        bodyTimeout: 0
      }
      const exchange = new UndiciExchange(
        options === undefined ? own : { ...options, ...own },
        (cause) =>
          resume(
            cause === undefined
              // Only when the fiber continues is it known whether the body has arrived too
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
