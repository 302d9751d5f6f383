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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
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
    const outerSpan = propagated(Context.getOption(context, Tracer.ParentSpan))
    const targetOf = RequestTarget.make()
    const dispatch = makeDispatch(new ConnectionQueue(dispatcher, connections))

    const send = (request: HttpClientRequest.HttpClientRequest, authorization?: string): Response =>
      Effect.withFiberRuntime((fiber) => {
        const own = fiber.currentContext
        const target = targetOf(request)
        if (Either.isLeft(target)) return Effect.fail(invalidUrl(request, target.left))
        const options = optionsIn(own) ?? outerOptions
        const dispatched = (
          shown: HttpClientRequest.HttpClientRequest,
          more?: Headers.Headers,
          within?: Within
        ) => {
          const headers = DefaultHeaders.complete(shown.headers, authorization, more)
          const response = dispatch(shown, headers, target.right, RequestScope.find(request), options, within)
          return request.body._tag === "Stream" ? inContext(response) : response
        }

        const isTraced = fiber.getFiberRef(FiberRef.currentTracerEnabled) &&
          !fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)(request)
        if (!isTraced) return dispatched(request)
        const naming = own.unsafeMap.has(HttpClient.SpanNameGenerator.key) ? own : context
        const parent: Option.Option<Tracer.AnySpan> = own.unsafeMap.has(Tracer.ParentSpan.key)
          ? propagated(Context.getOption(own, Tracer.ParentSpan))
          : outerSpan
        const redactedNames = fiber.getFiberRef(Headers.currentRedactedNames)
        const name = Context.get(naming, HttpClient.SpanNameGenerator)(request)
        const { end, isWatched, span } = ClientSpan.begin(fiber, name, parent)
        ClientSpan.annotateRequest(span, request, target.right, redactedNames)
        if (authorization !== undefined) ClientSpan.annotateAuthorization(span)
        const trace = fiber.getFiberRef(HttpClient.currentTracerPropagation)
          ? HttpTraceContext.toHeaders(span)
          : undefined
        // With an added authorization, response and errors show the request as the caller made it
        const shown = authorization === undefined && trace !== undefined
          ? HttpClientRequest.setHeaders(request, trace)
          : request
        const isStream = request.body._tag === "Stream"
        const response = dispatched(shown, trace, {
          span,
          isWatched: isWatched && !isStream,
          end: (exit) => {
            if (Exit.isSuccess(exit)) ClientSpan.annotateResponse(span, exit.value, redactedNames)
            end(exit)
          }
        })
        if (!isStream) return response
        // The stream runs within the span, and may fail before anything is sent
        return Effect.onExit(Effect.withParentSpan(response, span), (exit) => Effect.sync(() => end(exit)))
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

/** The span of a request, which is told how the request ended, once it was sent. */
interface Within {
  readonly span: Tracer.Span
  /** Whether sending runs within it. */
  readonly isWatched: boolean
  readonly end: (exit: Exit.Exit<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>) => void
}

type Dispatch = (
  /** The request that the response and the errors show. */
  request: HttpClientRequest.HttpClientRequest,
  headers: Record<string, string>,
  target: RequestTarget.RequestTarget,
  scope: AbortController | undefined,
  options: Undici.Dispatcher.RequestOptions | undefined,
  within?: Within
) => Response

const makeDispatch =
  (queue: ConnectionQueue): Dispatch => (request, headers, { origin, path }, scope, options, within) => {
    // What `Effect.async` with a canceller costs, and a span's end, in one step
    const dispatch = (body: Undici.Dispatcher.DispatchOptions["body"]): Response =>
      Effect.uninterruptibleMask((restore) => {
        const own = {
          method: request.method,
          headers,
          origin,
          path,
          body: body ?? null,
          headersTimeout,
          bodyTimeout: 0
        }
        let exchange: UndiciExchange | undefined
        const started = Effect.async<UndiciExchange, HttpClientError.HttpClientError>((resume) => {
          const dispatched = exchange = new UndiciExchange(
            options === undefined ? own : { ...options, ...own },
            (cause) =>
              resume(
                cause === undefined
                  ? Exit.succeed(dispatched)
                  : failWithin(within, new HttpClientError.RequestError({ request, reason: "Transport", cause }))
              )
          )
          if (scope !== undefined) abortWith(scope.signal, exchange)
          if (!exchange.ended) queue.dispatch(exchange)
        })
        // Here, as no interruption must come between the span's begin and this
        const sent = within?.isWatched === true ? Effect.withParentSpan(started, within.span) : started
        return Effect.matchCauseEffect(restore(sent), {
          onFailure: (cause) => {
            exchange?.abort()
            const exit = Exit.failCause(cause)
            within?.end(exit)
            return exit
          },
          onSuccess: (exchange) => {
            // Only when the fiber continues is it known whether the body has arrived too
            const exit = Exit.succeed(UndiciResponse.make(request, exchange, scope !== undefined))
            within?.end(exit)
            return exit
          }
        })
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

/** A failure tells within which spans it occurred. */
const failWithin = <E>(within: Within | undefined, error: E) =>
  within === undefined ? Effect.fail(error) : Effect.withParentSpan(Effect.fail(error), within.span)

const abortWith = (signal: AbortSignal, exchange: UndiciExchange): void => {
  if (signal.aborted) return exchange.abort(signal.reason)
  signal.addEventListener("abort", () => exchange.abort(signal.reason), { once: true })
}
