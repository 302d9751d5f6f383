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
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as Tracer from "effect/Tracer"
import * as ClientSpan from "./ClientSpan.js"
import type { Pool } from "./ConnectionPool.js"
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
 * A client over the pool. A service that is missing in a request's own
 * context comes from the context in which the client is made. `connections` is
 * the maximum per origin, if there is a limit.
 */
export const make = (
  { dispatcher, open }: Pick<Pool, "dispatcher" | "open">,
  connections?: number
): Effect.Effect<HttpClient.HttpClient> =>
  Effect.map(Effect.context<never>(), (context) => {
    const inContext = Effect.mapInputContext((own: Context.Context<never>) => Context.merge(context, own))
    const outerOptions = optionsIn(context)
    const outerSpan = propagated(Context.getOption(context, Tracer.ParentSpan))
    const targetOf = RequestTarget.make()
    const dispatch = makeDispatch(new ConnectionQueue(dispatcher, connections))

    const dispatched = (sending: Sending, headers: Record<string, string>, within?: Within) => {
      const response = dispatch(sending, headers, within)
      return sending.request.body._tag === "Stream" ? inContext(response) : response
    }

    const send = (request: HttpClientRequest.HttpClientRequest, authorization?: string): Response =>
      Effect.withFiberRuntime((fiber, { runtimeFlags }) => {
        const target = targetOf(request)
        if (Either.isLeft(target)) return Effect.fail(invalidUrl(request, target.left))
        const sending = new Sending(
          request,
          target.right,
          RequestScope.find(request),
          optionsIn(fiber.currentContext) ?? outerOptions,
          RuntimeFlags.interruption(runtimeFlags)
        )
        const isTraced = fiber.getFiberRef(FiberRef.currentTracerEnabled) &&
          !fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)(request)
        return isTraced
          ? sendTraced(fiber, sending, authorization)
          : dispatched(sending, DefaultHeaders.complete(request.headers, authorization))
      })

    const sendTraced = (
      fiber: Fiber.RuntimeFiber<unknown, unknown>,
      sending: Sending,
      authorization: string | undefined
    ): Response => {
      const { request, target } = sending
      const own = fiber.currentContext
      const naming = own.unsafeMap.has(HttpClient.SpanNameGenerator.key) ? own : context
      const parent: Option.Option<Tracer.AnySpan> = own.unsafeMap.has(Tracer.ParentSpan.key)
        ? propagated(Context.getOption(own, Tracer.ParentSpan))
        : outerSpan
      const redactedNames = fiber.getFiberRef(Headers.currentRedactedNames)
      const name = Context.get(naming, HttpClient.SpanNameGenerator)(request)
      const running = ClientSpan.begin(fiber, name, parent)
      const { span } = running
      ClientSpan.annotateRequest(span, request, target, redactedNames)
      if (authorization !== undefined) ClientSpan.annotateAuthorization(span)
      const trace = fiber.getFiberRef(HttpClient.currentTracerPropagation)
        ? HttpTraceContext.toHeaders(span)
        : undefined
      // With an added authorization, response and errors show the request as the caller made it
      const shown = authorization === undefined && trace !== undefined
        ? sending.showing(HttpClientRequest.setHeaders(request, trace))
        : sending
      const isStream = request.body._tag === "Stream"
      const headers = DefaultHeaders.complete(shown.request.headers, authorization, trace)
      const within = new Within(running, running.isWatched && !isStream, redactedNames)
      const response = dispatched(shown, headers, within)
      if (!isStream) return response
      // The stream runs within the span, and may fail before anything is sent
      return Effect.onExit(Effect.withParentSpan(response, span), (exit) => Effect.sync(() => running.end(exit)))
    }

    return HttpTransport.make(
      HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
        Effect.flatMap((request) => send(request)),
        Effect.succeed
      ),
      send,
      open
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
class Within {
  constructor(
    readonly running: ClientSpan.Running,
    /** Whether sending runs within it. */
    readonly isWatched: boolean,
    readonly redactedNames: ClientSpan.RedactedNames
  ) {}

  end(exit: Exit.Exit<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>): void {
    if (Exit.isSuccess(exit)) ClientSpan.annotateResponse(this.running.span, exit.value, this.redactedNames)
    this.running.end(exit)
  }
}

/** A request on its way. */
class Sending {
  constructor(
    /** As the response and the errors show it. */
    readonly request: HttpClientRequest.HttpClientRequest,
    readonly target: RequestTarget.RequestTarget,
    readonly scope: AbortController | undefined,
    readonly options: Undici.Dispatcher.RequestOptions | undefined,
    /** Whether the fiber that sends it can be interrupted. */
    readonly isInterruptible: boolean
  ) {}

  showing(request: HttpClientRequest.HttpClientRequest): Sending {
    return new Sending(request, this.target, this.scope, this.options, this.isInterruptible)
  }
}

/** The options for undici that the caller's own options cannot override. */
class OwnOptions implements Undici.Dispatcher.RequestOptions {
  readonly headersTimeout = headersTimeout
  readonly bodyTimeout = 0

  constructor(
    readonly method: Undici.Dispatcher.HttpMethod,
    readonly headers: Record<string, string>,
    readonly origin: string,
    readonly path: string,
    readonly body: Exclude<Undici.Dispatcher.DispatchOptions["body"], undefined>
  ) {}
}

type Dispatch = (sending: Sending, headers: Record<string, string>, within?: Within) => Response

const makeDispatch = (queue: ConnectionQueue): Dispatch => {
  const dispatch = (
    { isInterruptible, options, request, scope, target: { origin, path } }: Sending,
    headers: Record<string, string>,
    body: Undici.Dispatcher.DispatchOptions["body"],
    within: Within | undefined
  ): Response => {
    const own = new OwnOptions(request.method, headers, origin, path, body ?? null)
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
    const sent = within?.isWatched === true ? Effect.withParentSpan(started, within.running.span) : started
    // What `Effect.uninterruptibleMask`, `Effect.async` with a canceller and a span's end cost, in fewer steps
    const ended = Effect.matchCauseEffect(isInterruptible ? Effect.interruptible(sent) : sent, {
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
    return isInterruptible ? Effect.uninterruptible(ended) : ended
  }
  return (sending, headers, within) => {
    const { body } = sending.request
    switch (body._tag) {
      case "Empty":
        return dispatch(sending, headers, null, within)
      case "Uint8Array":
      case "Raw":
        return dispatch(sending, headers, body.body as Uint8Array, within)
      case "FormData":
        return dispatch(sending, headers, body.formData as Undici.FormData, within)
      case "Stream":
        return Effect.flatMap(
          NodeStream.toReadable(body.stream),
          (readable) => dispatch(sending, headers, readable, within)
        )
    }
  }
}

/** Fails with an error that names the spans in which it occurred. */
const failWithin = <E>(within: Within | undefined, error: E) =>
  within === undefined ? Effect.fail(error) : Effect.withParentSpan(Effect.fail(error), within.running.span)

const abortWith = (signal: AbortSignal, exchange: UndiciExchange): void => {
  if (signal.aborted) return exchange.abort(signal.reason)
  signal.addEventListener("abort", () => exchange.abort(signal.reason), { once: true })
}
