/**
 * Where a request goes: its address completed, and whether a token may go there
 * with it.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Check from "./Check.js"
import { type InvalidOptions, OriginNotAllowed } from "./OAuthError.js"
import * as Origin from "./Origin.js"
import * as RequestScope from "./RequestScope.js"

/**
 * Where tokens may go is always said: by `baseUrl`, by `origins`, or by both.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Relative addresses are joined to it, and its origin is allowed. */
  readonly baseUrl?: string | URL | undefined
  /** The origins that a token may be sent to; `"any"` allows every one that is on https or loopback. */
  readonly origins?: ReadonlyArray<string | URL> | "any" | undefined
  /** Allows plain http to other machines. */
  readonly allowInsecure?: boolean | undefined
}

/**
 * Options of which one says where tokens may go.
 *
 * @since 0.1.0
 * @category options
 */
export type Destination =
  & Options
  & (
    | { readonly baseUrl: string | URL }
    | { readonly origins: ReadonlyArray<string | URL> | "any" }
  )

/**
 * A request with its address completed. Without an `origin` no token may go
 * with it, and the error says why.
 *
 * @since 0.1.0
 * @category models
 */
export type Routed =
  | { readonly request: HttpClientRequest.HttpClientRequest; readonly origin: string }
  | {
    readonly request: HttpClientRequest.HttpClientRequest
    readonly origin: undefined
    readonly error: OriginNotAllowed
  }

/**
 * The way of every request of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  readonly of: (request: HttpClientRequest.HttpClientRequest) => Routed
  /** The origins that were named; with `origins: "any"` that is the one of `baseUrl` at most. */
  readonly named: ReadonlyArray<string>
}

/**
 * Checks the options, and makes the route that they describe.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => Effect.Effect<Route, InvalidOptions> = Effect.fnUntraced(function*(options) {
  const any = options.origins === "any"
  if (!any && options.origins !== undefined && !Array.isArray(options.origins)) {
    return yield* Check.invalid("AuthedHttpClient.origins", "must be a list of origins or \"any\"")
  }
  const baseUrl = options.baseUrl === undefined
    ? undefined
    : yield* Check.url("AuthedHttpClient.baseUrl", options.baseUrl, options)
  if (baseUrl !== undefined && baseUrl.search !== "") {
    return yield* Check.invalid("AuthedHttpClient.baseUrl", "must not have a query")
  }
  const listed: Array<string> = []
  for (const origin of Array.isArray(options.origins) ? options.origins : []) {
    const url = yield* Check.url("AuthedHttpClient.origins", origin, options)
    if (url.pathname !== "/" || url.search !== "") {
      return yield* Check.invalid("AuthedHttpClient.origins", `takes origins, without a path: ${url.origin}`)
    }
    listed.push(url.origin)
  }
  const allowed = baseUrl === undefined ? listed : [baseUrl.origin, ...listed]
  if (!any && allowed.length === 0) {
    return yield* Check.invalid("AuthedHttpClient.origins", "is missing: say where tokens may go, or give a baseUrl")
  }
  // As the user wrote it but for its origin: a base ends where its path ends, with or without a slash
  const base = baseUrl === undefined
    ? undefined
    : `${baseUrl.origin}${baseUrl.pathname === "/" ? "" : baseUrl.pathname}`
  const allowInsecure = options.allowInsecure === true

  const of = (request: HttpClientRequest.HttpClientRequest): Routed => {
    const { url } = request
    if (base !== undefined && !Origin.isAbsolute(url)) {
      const joined = HttpClientRequest.setUrl(request, Origin.join(base, url))
      return { request: RequestScope.carry(request, joined), origin: allowed[0] }
    }
    for (const origin of allowed) {
      if (Origin.startsWith(url, origin)) return { request, origin }
    }
    const parsed = Origin.parse(url)
    if (parsed === undefined) {
      return {
        request,
        origin: undefined,
        error: new OriginNotAllowed({ origin: "an address without an origin", allowed })
      }
    }
    return (any && (allowInsecure || Origin.isSecure(parsed))) || allowed.includes(parsed.origin)
      ? { request, origin: parsed.origin }
      : {
        request,
        origin: undefined,
        error: new OriginNotAllowed({ origin: parsed.origin, allowed: any ? [] : allowed })
      }
  }
  return { of, named: allowed }
})
