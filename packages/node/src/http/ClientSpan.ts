/**
 * The span of a request, and what it shows: the same as that of platform's
 * clients.
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import type * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { RequestTarget } from "./RequestTarget.js"

export type RedactedNames = ReadonlyArray<string | RegExp>

// A class, like three in UndiciHttpClient. If many object literals survive the first garbage collections, as at a busy
// start, V8 allocates all later ones in old space, where they keep their requests in memory until a major collection.
// The span does not keep the response either: Effect's span stores its end in such a literal
/** A span that has begun. */
export class Running {
  readonly #now: () => bigint

  constructor(
    readonly span: Tracer.Span,
    /** Whether the tracer sees what runs within the span: Effect's default tracer does not. */
    readonly isWatched: boolean,
    now: () => bigint
  ) {
    this.#now = now
  }

  end(exit: Exit.Exit<unknown, unknown>): void {
    if (this.span.status._tag !== "Ended") this.span.end(this.#now(), Exit.isSuccess(exit) ? Exit.void : exit)
  }
}

/**
 * Begins a span like `Effect.makeSpan`, which would copy all services of the
 * fiber and need an effect to end the span.
 */
export const begin = (
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  name: string,
  parent: Option.Option<Tracer.AnySpan>
): Running => {
  const services = fiber.getFiberRef(DefaultServices.currentServices)
  const tracer = Context.get(services, Tracer.Tracer)
  const now = fiber.getFiberRef(FiberRef.currentTracerTimingEnabled)
    ? () => Context.get(services, Clock.Clock).unsafeCurrentTimeNanos()
    : untimed
  const links = Chunk.toReadonlyArray(fiber.getFiberRef(FiberRef.currentTracerSpanLinks))
  const span = tracer.span(name, parent, Context.empty(), links, now(), "client", options)
  HashMap.forEach(fiber.getFiberRef(FiberRef.currentTracerSpanAnnotations), (value, key) => span.attribute(key, value))
  return new Running(span, tracer !== ownTracer, now)
}

const ownTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)
const options: Tracer.SpanOptions = { kind: "client", captureStackTrace: false }
const untimed = () => 0n

/** Adds the request and its headers, without the values of the named ones. */
export const annotateRequest = (
  span: Tracer.Span,
  request: HttpClientRequest.HttpClientRequest,
  { href, origin, path }: RequestTarget,
  redactedNames: RedactedNames
): void => {
  span.attribute("http.request.method", request.method)
  span.attribute("server.address", origin)
  const port = portOf(origin)
  if (port !== undefined) span.attribute("server.port", port)
  span.attribute("url.full", href)
  const end = path.indexOf("?")
  span.attribute("url.path", end < 0 ? path : path.slice(0, end))
  span.attribute("url.scheme", origin.slice(0, origin.indexOf(":")))
  if (end >= 0 && end + 1 < path.length) span.attribute("url.query", path.slice(end + 1))
  annotateHeaders(span, requestHeaders, request.headers, redactedNames)
}

/** The port; `undefined` if it is the scheme's default, which an origin omits. */
const portOf = (origin: string): number | undefined => {
  const colon = origin.lastIndexOf(":")
  return colon > "https:".length && !origin.endsWith("]") ? Number(origin.slice(colon + 1)) : undefined
}

/** Shows that there is an authorization, without its value. */
export const annotateAuthorization = (span: Tracer.Span): void => {
  span.attribute("http.request.header.authorization", redacted)
}

/** Adds the response in the same way. */
export const annotateResponse = (
  span: Tracer.Span,
  response: HttpClientResponse.HttpClientResponse,
  redactedNames: RedactedNames
): void => {
  span.attribute("http.response.status_code", response.status)
  annotateHeaders(span, responseHeaders, response.headers, redactedNames)
}

const redacted = "<redacted>"

const annotateHeaders = (
  span: Tracer.Span,
  nameOf: (header: string) => string,
  headers: Headers.Headers,
  redactedNames: RedactedNames
): void => {
  for (const header in headers) {
    span.attribute(nameOf(header), isRedacted(header, redactedNames) ? redacted : headers[header])
  }
}

/** The same as `Headers.redact`, without a copy of the headers. */
const isRedacted = (header: string, redactedNames: RedactedNames): boolean => {
  for (const name of redactedNames) {
    if (typeof name === "string" ? name.toLowerCase() === header : name.test(header)) return true
  }
  return false
}

/** More than servers usually send. The limit keeps a server with ever new names from filling the memory. */
const maxNames = 256

/** The name of an attribute is made once for each header. */
const makeNames = (prefix: string) => {
  const names = new Map<string, string>()
  return (header: string): string => {
    const known = names.get(header)
    if (known !== undefined) return known
    const name = `${prefix}.${header}`
    if (names.size < maxNames) names.set(header, name)
    return name
  }
}

const requestHeaders = makeNames("http.request.header")
const responseHeaders = makeNames("http.response.header")
