/**
 * The origins (RFC 6454) that a token may be sent to, and how a relative URL is
 * joined to a base.
 *
 * @since 0.1.0
 */
import * as Exit from "effect/Exit"
import * as LayerOptions from "./LayerOptions.js"
import { type InvalidOptions, OriginNotAllowed } from "./OAuthError.js"

const loopback = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * Whether what is sent to this URL is protected: https, or http on loopback.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSecure = (url: URL): boolean =>
  url.protocol === "https:" || (url.protocol === "http:" && loopback.test(url.hostname))

const isHttp = ({ protocol }: URL): boolean => protocol === "https:" || protocol === "http:"

const absolute = /^[a-z][a-z0-9+.-]*:[/\\]{2}/i

/**
 * Whether a URL is absolute. Any other is joined to a base as text, which
 * cannot change the base's origin.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAbsolute = (url: string): boolean => absolute.test(url)

/**
 * Joins a relative URL to a base with exactly one slash between them. The slash
 * ends the authority of the base, so that no text after it leads to another
 * origin: neither `@evil.com` nor `//evil.com` nor `/\evil.com`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const join = (base: string, url: string): string => {
  const first = url[0]
  if (first === undefined || first === "?" || first === "#") return base + url
  const path = first === "/" ? url : `/${url}`
  return base.endsWith("/") ? base + path.slice(1) : base + path
}

/**
 * Whether a URL begins with an origin, compared as text. This is fast for URLs
 * that write the origin the same way; if it is `false`, parse the URL.
 *
 * @since 0.1.0
 * @category predicates
 */
export const startsWith = (url: string, origin: string): boolean => {
  if (!url.startsWith(origin)) return false
  const next = url[origin.length]
  return next === undefined || next === "/" || "?#\\".includes(next)
}

/**
 * Parses an absolute http or https URL; `undefined` for any other.
 * `https:evil.com` counts as invalid, since browsers read it as relative to the
 * page.
 *
 * @since 0.1.0
 * @category accessors
 */
export const parse = (url: string): URL | undefined => {
  if (!isAbsolute(url) || !URL.canParse(url)) return undefined
  const parsed = new URL(url)
  return isHttp(parsed) ? parsed : undefined
}

/**
 * Checks an absolute http or https URL: without credentials and fragment, on
 * https or loopback unless `allowInsecure` is set.
 *
 * @since 0.1.0
 * @category checks
 */
export const checkUrl = (
  option: string,
  value: string | URL,
  options?: { readonly allowInsecure?: boolean | undefined }
): Exit.Exit<URL, InvalidOptions> =>
  Exit.flatMap(LayerOptions.text(option, value instanceof URL ? value.href : value), (given) => {
    if (!URL.canParse(given)) return LayerOptions.invalid(option, "is not an absolute URL")
    const url = new URL(given)
    const fault = faultOf(url, options?.allowInsecure === true)
    return fault === undefined ? Exit.succeed(url) : LayerOptions.invalid(option, fault)
  })

const faultOf = (url: URL, allowInsecure: boolean): string | undefined => {
  if (!isHttp(url)) return `must be an https URL, not ${url.protocol}`
  if (url.username + url.password !== "") return "must not hold credentials"
  // An empty fragment appears only in the text
  if (url.href.includes("#")) return "must not have a fragment"
  return allowInsecure || isSecure(url) ? undefined : `is http to ${url.hostname}: use https, or set allowInsecure`
}

// -----------------------------------------------------------------------------
// routes
// -----------------------------------------------------------------------------

/**
 * Options for the origins that a token may be sent to. `baseUrl`, `origins` or
 * both are required.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Relative URLs are joined to it. Its origin is allowed. */
  readonly baseUrl?: string | URL | undefined
  /** The origins that a token may be sent to; `"any"` allows every origin on https or loopback. */
  readonly origins?: ReadonlyArray<string | URL> | "any" | undefined
  /** Allows http to other machines. */
  readonly allowInsecure?: boolean | undefined
}

/**
 * Options that contain at least one of `baseUrl` and `origins`.
 *
 * @since 0.1.0
 * @category options
 */
export type Destination =
  & (
    | {
      /** Relative URLs are joined to it. Its origin is allowed. */
      readonly baseUrl: string | URL
    }
    | {
      /** The origins that a token may be sent to; `"any"` allows every origin on https or loopback. */
      readonly origins: ReadonlyArray<string | URL> | "any"
    }
  )
  & Pick<Options, "allowInsecure">

/**
 * The checked options of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  /** The whole URL of a request: joined to the `baseUrl` if it is relative. */
  readonly complete: (url: string) => string
  /** The origin of a URL that a token may be sent to, or the error if it may not. */
  readonly originOf: (url: string) => string | OriginNotAllowed
  /** The allowed origins; with `origins: "any"` only that of `baseUrl`, if there is one. */
  readonly named: ReadonlyArray<string>
}

const checkBaseUrl = (given: string | URL, options: Options) =>
  Exit.flatMap(
    checkUrl("AuthedHttpClient.baseUrl", given, options),
    (url) =>
      url.search === ""
        ? Exit.succeed(url)
        : LayerOptions.invalid("AuthedHttpClient.baseUrl", "must not have a query")
  )

const checkOrigin = (given: string | URL, options: Options) =>
  Exit.flatMap(
    checkUrl("AuthedHttpClient.origins", given, options),
    ({ origin, pathname, search }) =>
      pathname + search === "/"
        ? Exit.succeed(origin)
        : LayerOptions.invalid("AuthedHttpClient.origins", `takes origins, without a path: ${origin}`)
  )

/**
 * Checks the options and makes the route.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRoute = (options: Options): Exit.Exit<Route, InvalidOptions> => {
  const { origins = [] } = options
  const any = origins === "any"
  const checked = LayerOptions.collect({
    baseUrl: options.baseUrl === undefined ? Exit.succeed(undefined) : checkBaseUrl(options.baseUrl, options),
    origins: any || Array.isArray(origins)
      ? LayerOptions.collect(Array.from(any ? [] : origins, (origin) => checkOrigin(origin, options)))
      : LayerOptions.invalid("AuthedHttpClient.origins", "must be a list of origins or \"any\"")
  })
  return Exit.flatMap(checked, ({ baseUrl, origins }) => {
    const allowed = baseUrl === undefined ? origins : [baseUrl.origin, ...origins]
    /** The origin in its normal form, and the path as the user wrote it, with or without a slash at its end. */
    const base = baseUrl && (baseUrl.pathname === "/" ? baseUrl.origin : baseUrl.origin + baseUrl.pathname)
    if (!any && allowed.length === 0) {
      return LayerOptions.invalid(
        "AuthedHttpClient.origins",
        "is missing: say where tokens may go, or give a baseUrl"
      )
    }
    const allowInsecure = options.allowInsecure === true

    const complete = (url: string) => base === undefined || isAbsolute(url) ? url : join(base, url)

    const originOf = (url: string) => {
      for (const origin of allowed) {
        if (startsWith(url, origin)) return origin
      }
      const parsed = parse(url)
      return parsed !== undefined && ((any && (allowInsecure || isSecure(parsed))) || allowed.includes(parsed.origin))
        ? parsed.origin
        : new OriginNotAllowed({
          origin: parsed?.origin ?? "an address without an origin",
          allowed: any ? [] : allowed
        })
    }

    return Exit.succeed({ complete, originOf, named: allowed })
  })
}
