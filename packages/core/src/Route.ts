/**
 * Where a request goes: its address completed, and whether a token may go there
 * with it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Check from "./Check.js"
import { type InvalidOptions, OriginNotAllowed } from "./OAuthError.js"
import * as Origin from "./Origin.js"

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
 * The way of every request of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  /** The address of a request as a whole: joined to the `baseUrl` where it is relative. */
  readonly complete: (url: string) => string
  /** The origin that a token may go to with a request to this address, or why there is none. */
  readonly originOf: (url: string) => string | OriginNotAllowed
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

  const complete = (url: string) => base === undefined || Origin.isAbsolute(url) ? url : Origin.join(base, url)

  const originOf = (url: string) => {
    for (const origin of allowed) {
      if (Origin.startsWith(url, origin)) return origin
    }
    const parsed = Origin.parse(url)
    if (parsed === undefined) return new OriginNotAllowed({ origin: "an address without an origin", allowed })
    return (any && (allowInsecure || Origin.isSecure(parsed))) || allowed.includes(parsed.origin)
      ? parsed.origin
      : new OriginNotAllowed({ origin: parsed.origin, allowed: any ? [] : allowed })
  }

  return { complete, originOf, named: allowed }
})
