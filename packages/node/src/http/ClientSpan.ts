/**
 * What the span of a request shows: the same as that of platform's clients.
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Tracer from "effect/Tracer"

type RedactedNames = ReadonlyArray<string | RegExp>

/** Adds the request and its headers, without the values of the named ones. */
export const annotateRequest = (
  span: Tracer.Span,
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  redactedNames: RedactedNames
): void => {
  span.attribute("http.request.method", request.method)
  span.attribute("server.address", url.origin)
  if (url.port !== "") span.attribute("server.port", Number(url.port))
  span.attribute("url.full", url.href)
  span.attribute("url.path", url.pathname)
  span.attribute("url.scheme", url.protocol.slice(0, -1))
  const query = url.search.slice(1)
  if (query !== "") span.attribute("url.query", query)
  annotateHeaders(span, requestHeaders, request.headers, redactedNames)
}

/** Shows that there is one. */
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
