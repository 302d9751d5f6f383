/**
 * The challenges of a response (RFC 9110 §11.6.1), and the errors in them (RFC
 * 6750, RFC 9449, RFC 9470).
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { oneLine } from "./OAuthError.js"

/**
 * A challenge of a `WWW-Authenticate` header. It has a token68 or parameters,
 * never both.
 *
 * @since 0.1.0
 * @category models
 */
export interface Challenge {
  /** The scheme in lower case: `bearer`. */
  readonly scheme: string
  /** The value that `Negotiate` and others have in place of parameters. */
  readonly token68: Option.Option<string>
  /** The parameters by name in lower case. If a name occurs twice, the first counts. */
  readonly params: Readonly<Record<string, string>>
}

/**
 * The error in a challenge of the scheme `Bearer` (RFC 6750 §3) or `DPoP` (RFC
 * 9449 §7.1).
 *
 * @since 0.1.0
 * @category models
 */
export interface ResourceError {
  readonly scheme: "bearer" | "dpop"
  /** `invalid_token`, `insufficient_scope`, `use_dpop_nonce` and others, as the API wrote it. */
  readonly code: string
  readonly description: Option.Option<string>
  readonly uri: Option.Option<string>
  /** The scope that the API requires; empty if it does not say (RFC 6750 §3). */
  readonly scope: ReadonlyArray<string>
  /** The authentication contexts that the API accepts, the preferred first (RFC 9470 §3). */
  readonly acrValues: ReadonlyArray<string>
  /** The longest time since the user authenticated (RFC 9470 §3). */
  readonly maxAge: Option.Option<Duration.Duration>
}

// Node takes no more than this for all headers together
const maxLength = 16 * 1024

// RFC 9110 §5.6 and §11.2
const token = /[!#$%&'*+.^`|~\w-]+/.source
/** The text and the closing quote, which may be missing. */
const quoted = /"([^"\\]*(?:\\.[^"\\]*)*)("|\\?$)/.source

const part = new RegExp(
  [
    // A scheme, perhaps with a token68. Only a comma ends a challenge; parameters may lack theirs
    String.raw`(?:^|\s*,)[\s,]*(${token})(?![ \t]*=)(?:[ \t]+(?:([\w.~+/-]+=*)[ \t]*(?=,|$))?|(?=,|$))`,
    String.raw`[\s,]*(${token})[ \t]*=[ \t]*(?:${quoted}|([^\s,"]*))`,
    String.raw`[\s,]+|(?:${quoted}|[^,"]+)+`
  ].join("|"),
  "gsy"
)

/**
 * Parses a header, or several joined by commas. It never fails: what cannot be
 * parsed is left out, and after a quote without an end nothing is parsed. Of a
 * header above 16 KiB only the beginning is parsed.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (header: string): ReadonlyArray<Challenge> => {
  const text = header.length > maxLength ? header.slice(0, header.lastIndexOf(",", maxLength) + 1) : header
  const challenges: Array<Reading> = []
  for (const [, scheme, token68, name, quoted, end, word] of text.matchAll(part)) {
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), token68, params: new Map() })
    else if (word !== undefined || end === "\"") {
      addParam(challenges.at(-1), name.toLowerCase(), word ?? quoted.replace(/\\(.)/gs, "$1"))
    }
  }
  return challenges.map(({ params, scheme, token68 }) => ({
    scheme,
    token68: Option.fromNullable(token68),
    params: Object.fromEntries(params)
  }))
}

interface Reading {
  readonly scheme: string
  token68: string | undefined
  readonly params: Map<string, string>
}

const addParam = (challenge: Reading | undefined, name: string, value: string) => {
  if (challenge === undefined || challenge.params.has(name)) return
  challenge.params.set(name, value)
  // `Bearer realm=, error="invalid_token"`: an empty value looked like a token68
  challenge.token68 = undefined
}

/**
 * The challenges of a response; none if it has no such header.
 *
 * @since 0.1.0
 * @category parsing
 */
export const fromHeaders = (headers: Headers.Headers): ReadonlyArray<Challenge> =>
  parse(headers["www-authenticate"] ?? "")

/**
 * The challenges of a response with any status.
 *
 * @since 0.1.0
 * @category parsing
 */
export const fromResponse = (response: HttpClientResponse.HttpClientResponse): ReadonlyArray<Challenge> =>
  fromHeaders(response.headers)

/**
 * Writes challenges as a header, which `parse` reads as the same challenges.
 *
 * @since 0.1.0
 * @category formatting
 */
export const print = (challenges: ReadonlyArray<Challenge>): string =>
  challenges.map(({ params, scheme, token68 }) => {
    const list = Object.entries(params).map(([name, value]) => `${name}="${value.replace(/["\\]/g, "\\$&")}"`)
    return `${scheme} ${Option.getOrElse(token68, () => list.join(", "))}`.trimEnd()
  }).join(", ")

/**
 * The first error in a `Bearer` or `DPoP` challenge, preferably of the scheme
 * that was `used`: an API that accepts both schemes sends a challenge of each
 * (RFC 9449 §7.1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const error = (
  challenges: ReadonlyArray<Challenge>,
  used?: ResourceError["scheme"] | undefined
): Option.Option<ResourceError> =>
  Option.map(Option.fromNullable(refusal(challenges, used)), ({ params, scheme }) => ({
    scheme,
    code: params.error,
    description: Option.map(Option.fromNullable(params.error_description), oneLine),
    uri: Option.fromNullable(params.error_uri),
    scope: words(params.scope),
    acrValues: words(params.acr_values),
    maxAge: /^\d{1,10}$/.test(params.max_age ?? "")
      ? Option.some(Duration.seconds(Number(params.max_age)))
      : Option.none()
  }))

/**
 * The code of the error that `error` returns.
 *
 * @since 0.1.0
 * @category accessors
 */
export const errorCode = (
  challenges: ReadonlyArray<Challenge>,
  used?: ResourceError["scheme"] | undefined
): Option.Option<string> => Option.fromNullable(refusal(challenges, used)?.params.error)

interface Refusal extends Challenge {
  readonly scheme: ResourceError["scheme"]
  readonly params: Challenge["params"] & { readonly error: string }
}

const refusal = (challenges: ReadonlyArray<Challenge>, used: string | undefined): Refusal | undefined => {
  const refusals = challenges.filter((challenge): challenge is Refusal =>
    (challenge.scheme === "bearer" || challenge.scheme === "dpop") && !!challenge.params.error
  )
  return refusals.find(({ scheme }) => scheme === used) ?? refusals[0]
}

const words = (text = ""): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

/**
 * The error of a response whose token lacks a scope (RFC 6750 §3.1). Another
 * token of the same scope would not help; one of `scope` may, with
 * `AuthedHttpClient.withTokenScope`.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient, WwwAuthenticate } from "@effect-alf/core"
 * import { Effect, Option } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const alf = yield* AuthedHttpClient.AuthedHttpClient
 *   const response = yield* alf.get("/admin")
 *   return Option.match(WwwAuthenticate.insufficientScope(response), {
 *     onNone: () => `${response.status}`,
 *     onSome: ({ scope }) => `needs ${scope.join(" ")}`
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const insufficientScope = (response: HttpClientResponse.HttpClientResponse): Option.Option<ResourceError> =>
  Option.filter(error(fromResponse(response)), ({ code }) => code === "insufficient_scope")
