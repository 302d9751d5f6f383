/**
 * A `fetch` function over an `AuthedHttpClient`, for code that does not use
 * Effect: openapi-fetch, ky, the SDK of a service.
 *
 * @since 0.1.0
 */
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpMethod from "@effect/platform/HttpMethod"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Stream from "effect/Stream"
import * as AuthedHttpClient from "./AuthedHttpClient.js"
import * as Redirect from "./client/Redirect.js"
import { FetchRequestInit } from "./endpoint/FetchRequestInit.js"
import { isStatusFailure } from "./endpoint/StatusFailure.js"
import * as OAuthError from "./OAuthError.js"
import * as Origin from "./Origin.js"

/**
 * The type of `fetch`, as libraries accept it.
 *
 * @since 0.1.0
 * @category models
 */
export type Fetch = typeof globalThis.fetch

/** The limit of fetch. */
const maxRedirects = 20

// More than nearly every document that is posted; held once for each request that is under way
const maxBufferedBytes = 1024 * 1024

/**
 * Makes a `fetch` of a client. It behaves like fetch, except:
 *
 * - A relative URL is joined to the client's `baseUrl`.
 * - After a 401 all bodies except streams are sent again. The body of a
 *   `Request` is a stream; up to 1 MiB of it is buffered before it is sent, and
 *   a body that ends within this can be sent again.
 * - Redirects are followed as `AuthedHttpClient.followRedirects` does, at most
 *   20 in a row. With `redirect: "manual"` the redirect itself is returned, as
 *   fetch does on servers. A redirect that is not followed rejects with a
 *   `RedirectError`, and one whose body cannot be sent again with a
 *   `TypeError`.
 * - An `OAuthError` rejects as it is. Every other failure rejects with a
 *   `TypeError` whose cause is platform's error.
 * - Only the methods that platform knows are supported.
 * - `statusText` is empty, as over HTTP/2. A cookie without a name is dropped.
 *   Over `NodeHttp`, `Cache-Control: no-cache` adds no `Pragma`.
 *
 * Other settings of `init` or a `Request` (`cache`, `credentials`, ...) reach
 * platform's fetch client, if the client uses it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toFetch = (
  client: AuthedHttpClient.AuthedHttpClient["Type"],
  runtime: Runtime.Runtime<never> = Runtime.defaultRuntime
): Fetch => {
  const run = Runtime.runPromiseExit(runtime)
  const clients: Record<RequestRedirect, HttpClient.HttpClient.With<Failure>> = {
    follow: AuthedHttpClient.followRedirects(client, maxRedirects),
    manual: AuthedHttpClient.manualRedirects(client),
    error: AuthedHttpClient.followRedirects(client, 0)
  }
  return async (input, init) => {
    const address = input instanceof Request ? input.url : String(input)
    const request = new Request(isRelative(input) ? placeholder : input, init)
    if (request.signal.aborted) throw abandon(request, request.signal.reason)
    const response = requestOf(address, request, snapshot(init?.body)).pipe(
      Effect.flatMap((sent) =>
        clients[request.redirect].execute(sent).pipe(
          // Fetch fails for no status
          Effect.catchIf(isStatusFailure, ({ response }) => Effect.succeed(response)),
          Effect.mapError(toRejection),
          Effect.filterOrFail(
            (response) => !isRefused(response, request.redirect),
            ({ status }) => failed(new Error(`the redirect (${status}) cannot be followed`))
          )
        )
      ),
      withRequestInit({ ...(input instanceof Request ? settingsOf(request) : {}), ...init }),
      Effect.flatMap((response) => responseOf(response, request, runtime)),
      Effect.disconnect,
      Effect.raceFirst(aborted(request))
    )
    const exit = await run(response)
    if (Exit.isSuccess(exit)) return exit.value
    throw abandon(
      request,
      Cause.isInterruptedOnly(exit.cause)
        ? new DOMException("The request was interrupted", "AbortError")
        : Cause.squash(exit.cause)
    )
  }
}

/**
 * The `fetch` of the `AuthedHttpClient` in context. It keeps the context of
 * this effect, such as the logger and the tracer: made within a span, its
 * requests are children of the span; made with
 * `AuthedHttpClient.withTokenScope`, they use tokens of that scope. It is cheap
 * to make.
 *
 * @example
 * ```ts
 * import { AuthedFetch, AuthedHttpClient } from "@effect-alf/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const fetch = yield* AuthedFetch.make
 *   const response = yield* Effect.promise(() => fetch("/orders/1"))
 *   return response.status
 * })
 *
 * export const status = Effect.provide(program, AuthedHttpClient.layerTest(() => Response.json({ item: "tea" })))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Fetch, never, AuthedHttpClient.AuthedHttpClient> = Effect.zipWith(
  AuthedHttpClient.AuthedHttpClient,
  Effect.runtime<never>(),
  toFetch
)

// -----------------------------------------------------------------------------
// requests
// -----------------------------------------------------------------------------

/** Replaces the base URL, which only the client knows: `Request` requires an absolute URL. */
const placeholder = "https://base.invalid"

const isRelative = (input: Parameters<Fetch>[0]): boolean => typeof input === "string" && !Origin.isAbsolute(input)

/** While a request waits for its token, the caller may fill the same form for the next one. */
const snapshot = (body: RequestInit["body"]): RequestInit["body"] => {
  if (!(body instanceof FormData)) return body
  const copy = new FormData()
  for (const [name, value] of body) {
    if (typeof value === "string") {
      copy.append(name, value)
    } else {
      copy.append(name, value, value.name)
    }
  }
  return copy
}

/** The request for platform's client. `request` contains what fetch made of `init`; `source` is the body in `init`. */
const requestOf = Effect.fnUntraced(function*(address: string, request: Request, source: RequestInit["body"]) {
  const { method } = request
  if (!HttpMethod.isHttpMethod(method)) {
    return yield* Effect.fail(typeError(`The method ${method} is not supported`))
  }
  const body = yield* bodyOf(request, source)
  const bodiless = HttpClientRequest.setHeaders(HttpClientRequest.make(method)(address), request.headers)
  // Platform removes the Content-Type of a request without a body, fetch does not
  return body._tag === "Empty" ? bodiless : HttpClientRequest.setBody(bodiless, body)
})

const bodyOf = (request: Request, source: RequestInit["body"]): Effect.Effect<HttpBody.HttpBody, unknown> => {
  if (request.body === null) return Effect.succeed(HttpBody.empty)
  if (source instanceof FormData) return Effect.succeed(HttpBody.formData(source))
  if (source instanceof Blob && source.size > maxBufferedBytes) {
    return Effect.succeed(HttpBody.raw(source, { contentLength: source.size }))
  }
  const contentType = request.headers.get("content-type") ?? ""
  // Some browsers do not show the body of a request
  if (isInMemory(source) || request.body === undefined) {
    return Effect.map(
      Effect.tryPromise({ try: () => request.arrayBuffer(), catch: failed }),
      (buffer) => HttpBody.uint8Array(new Uint8Array(buffer), contentType)
    )
  }
  return source === undefined || source === null
    ? buffered(request.body, contentType)
    : Effect.succeed(HttpBody.stream(streamOf(request.body), contentType))
}

const isInMemory = (source: unknown): boolean =>
  typeof source === "string" ||
  source instanceof URLSearchParams ||
  source instanceof Blob ||
  source instanceof ArrayBuffer ||
  ArrayBuffer.isView(source)

/** The bytes of a stream; if there are too many, a stream of those that were read and the rest. */
const buffered = Effect.fnUntraced(
  function*(body: ReadableStream<Uint8Array>, contentType: string) {
    const reader = body.getReader()
    const read = Effect.tryPromise({ try: () => reader.read(), catch: failed })
    const chunks: Array<Uint8Array> = []
    let size = 0
    while (size <= maxBufferedBytes) {
      const { done, value } = yield* Effect.onInterrupt(read, () => Effect.promise(() => reader.cancel()))
      if (done) return HttpBody.uint8Array(concat(chunks, size), contentType)
      chunks.push(value)
      size += value.byteLength
    }
    reader.releaseLock()
    return HttpBody.stream(Stream.concat(Stream.fromIterable(chunks), streamOf(body)), contentType)
  }
)

const concat = (chunks: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}

const streamOf = (body: ReadableStream<Uint8Array>) => Stream.fromReadableStream(() => body, failed)

const settings = ["cache", "credentials", "integrity", "keepalive", "mode", "referrer", "referrerPolicy"] as const

/**
 * The settings of a `Request`, without those that have their default: there the
 * fetch client's own `RequestInit` applies.
 */
const settingsOf = (request: Request): RequestInit => {
  const silent = new Request(placeholder)
  return Object.fromEntries(
    settings.flatMap((name) => request[name] === silent[name] ? [] : [[name, request[name]]])
  )
}

/**
 * Passes to platform's fetch client those settings of `init` that are not in
 * the request and that platform does not set.
 */
const withRequestInit = (init: RequestInit) => {
  const { body, headers, method, redirect, signal, ...others } = init
  return Effect.mapInputContext((context: Context.Context<never>) =>
    Context.add(context, FetchRequestInit, {
      ...Option.getOrUndefined(Context.getOption(context, FetchRequestInit)),
      ...others
    })
  )
}

// -----------------------------------------------------------------------------
// responses
// -----------------------------------------------------------------------------

const responseOf = (
  response: HttpClientResponse.HttpClientResponse,
  request: Request,
  runtime: Runtime.Runtime<never>
) =>
  Effect.try((): Response => {
    const hasBody = request.method !== "HEAD" && !nullBodyStatuses.includes(response.status)
    const headers = new globalThis.Headers(Headers.remove(response.headers, "set-cookie"))
    for (const cookie of Cookies.toSetCookieHeaders(response.cookies)) headers.append("set-cookie", cookie)
    return new FetchedResponse(
      hasBody ? readable(request, () => Stream.toReadableStreamRuntime(contentOf(response), runtime)) : null,
      { status: response.status, headers },
      { url: urlOf(response), redirected: Redirect.isRedirected(response) }
    )
  }).pipe(Effect.mapError(({ error }) => failed(error)))

/** https://fetch.spec.whatwg.org/#redirect-status */
const redirectStatuses = [301, 302, 303, 307, 308]

/** Whether fetch would fail instead of returning this redirect, which was not followed. */
const isRefused = ({ headers, status }: HttpClientResponse.HttpClientResponse, redirect: RequestRedirect): boolean =>
  redirectStatuses.includes(status) && (redirect === "error" || (redirect === "follow" && "location" in headers))

/** https://fetch.spec.whatwg.org/#null-body-status */
const nullBodyStatuses = [101, 103, 204, 205, 304]

const contentOf = (response: HttpClientResponse.HttpClientResponse) =>
  Stream.catchAll(
    response.stream,
    (error) => error.reason === "EmptyBody" ? Stream.empty : Stream.fail(typeError("terminated", error))
  )

const urlOf = ({ request }: HttpClientResponse.HttpClientResponse): string =>
  Option.match(HttpClientRequest.toUrl(request), {
    onNone: () => "",
    onSome: (url) => {
      url.hash = ""
      return url.href
    }
  })

interface Whereabouts {
  readonly url: string
  readonly redirected: boolean
}

/** A response with its URL, which only fetch itself can set. */
class FetchedResponse extends Response {
  readonly #from: Whereabouts

  constructor(body: BodyInit | null, init: ResponseInit, from: Whereabouts) {
    super(body, init)
    this.#from = from
  }

  override get url(): string {
    return this.#from.url
  }

  override get redirected(): boolean {
    return this.#from.redirected
  }

  override clone(): Response {
    const { body, headers, status } = super.clone()
    return new FetchedResponse(body, { headers, status }, this.#from)
  }
}

/**
 * A body that is opened when it is first read: until then platform closes the
 * connection of a response that is dropped. The body ends with the request's
 * signal, which follows the caller's signal as long as the request is
 * referenced.
 */
const readable = (request: Request, open: () => ReadableStream<Uint8Array>): ReadableStream<Uint8Array> => {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  let abort = constVoid
  const read = () => reader ??= open().getReader()
  const ended = () => request.signal.removeEventListener("abort", abort)
  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      abort = () => {
        controller.error(request.signal.reason)
        read().cancel().catch(constVoid)
      }
      request.signal.addEventListener("abort", abort, { once: true })
    },
    pull: async (controller) => {
      const { done, value } = await read().read()
      if (!done) return controller.enqueue(value)
      ended()
      controller.close()
    },
    cancel: () => {
      ended()
      return read().cancel()
    }
  }, { highWaterMark: 0 })
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

// Typed as unknown: it becomes the rejection of a promise
const typeError = (message: string, cause?: unknown): unknown => new TypeError(message, { cause })

// The message of Node's fetch, by which libraries decide what to retry
const failed = (cause: unknown): unknown => typeError("fetch failed", cause)

type Failure = AuthedHttpClient.ClientError | OAuthError.RedirectError

const toRejection = (error: Failure): unknown => Option.getOrElse(OAuthError.find(error), () => failed(error))

/** Cancels the source of a body that was not read, such as a file, with the error. */
const abandon = (request: Request, error: unknown): unknown => {
  if (request.body?.locked === false) request.body.cancel(error).catch(constVoid)
  return error
}

/** Fails when the request is aborted. */
const aborted = (request: Request): Effect.Effect<never, unknown> =>
  Effect.async((resume) => {
    const abort = () => resume(Effect.fail(request.signal.reason))
    // The fiber starts a moment after fetch was called
    if (request.signal.aborted) return abort()
    request.signal.addEventListener("abort", abort)
    return Effect.sync(() => request.signal.removeEventListener("abort", abort))
  })
