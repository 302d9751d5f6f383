/** The target of a request: the origin, and what the request line contains (RFC 9112 §3.2). */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Either from "effect/Either"

/** An origin, and the path with its query. The fragment is not sent. */
export interface RequestTarget {
  readonly origin: string
  readonly path: string
  /** The whole URL, for a span. */
  readonly href: string
}

/** The target of a URL. */
export const fromUrl = (url: URL): RequestTarget => ({
  origin: url.origin,
  path: url.pathname + url.search,
  href: url.href
})

/** The target of a request. A URL that is known to be in its final form is split; any other is parsed. */
export const make = (): (request: HttpClientRequest.HttpClientRequest) => Either.Either<RequestTarget, Error> => {
  const origins = new Set<string>()
  return ({ hash, url, urlParams }) => {
    if (urlParams.length === 0 && hash._tag === "None" && plainUrl.test(url)) {
      const pathStart = url.indexOf("/", url.indexOf("//") + 2)
      const origin = url.slice(0, pathStart)
      if (origins.has(origin)) return Either.right({ origin, path: url.slice(pathStart), href: url })
    }
    return Either.map(UrlParams.makeUrl(url, urlParams, hash), (url) => {
      if (origins.size >= maxOrigins) origins.clear()
      origins.add(url.origin)
      return fromUrl(url)
    })
  }
}

// More origins than an app calls
const maxOrigins = 100

// Only paths and queries that a parser does not change: no segment starts with a dot, plain or encoded, and no query is
// empty
const plainUrl = /^https?:\/\/[^/?#\\]+(?:\/(?!\.|%2e)[\w.~!$&()*+,;=:@?%-]*)+(?<!\?)$/i
