/**
 * What is asked for at the token endpoint (RFC 6749 §4.4.2), and the key under
 * which the answer is kept.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"
import * as Encoding from "effect/Encoding"

/**
 * What a token is for. Every field is optional; what a call leaves out comes
 * from the defaults of the `TokenEndpoint`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenRequest {
  /** Scopes, as a list or as one string with spaces (RFC 6749 §3.3). Their order does not matter. */
  readonly scope?: string | ReadonlyArray<string> | undefined
  /** The protected resources, as absolute URIs (RFC 8707 §2). */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** The audience parameter that Auth0 and others know. */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** Any further form parameters. */
  readonly params?: Readonly<Record<string, string>> | undefined
}

/**
 * A request with the defaults of its endpoint merged in, ready to be sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResolvedTokenRequest {
  /**
   * A digest of everything that decides the token: two requests with different
   * keys never share a token, a store entry or a flight. It can be shown.
   */
  readonly key: string
  /** The form parameters, without those that authenticate the client. */
  readonly params: ReadonlyArray<readonly [name: string, value: string]>
}

/**
 * Says which endpoint and client a request is for; part of every key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  readonly endpoint: string
  readonly clientId: string
  readonly authMethod: string
  /** Further headers of the token request: servers of several tenants decide by them. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Merges a request into the defaults, field by field; `params` are merged by
 * name.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (defaults: TokenRequest, request: TokenRequest | undefined): TokenRequest =>
  request === undefined ? defaults : {
    scope: request.scope ?? defaults.scope,
    resource: request.resource ?? defaults.resource,
    audience: request.audience ?? defaults.audience,
    params: request.params === undefined ? defaults.params : { ...defaults.params, ...request.params }
  }

/**
 * Computes the form parameters and the key of a request.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (identity: Identity, request: TokenRequest): ResolvedTokenRequest => {
  const extra = Object.entries(request.params ?? {})
  const scope = scopes(request.scope).join(" ")
  const standard: ReadonlyArray<readonly [string, string]> = [
    ["grant_type", "client_credentials"],
    ...(scope === "" ? [] : [["scope", scope] as const]),
    ...list(request.resource).map((resource) => ["resource", resource] as const),
    ...list(request.audience).map((audience) => ["audience", audience] as const)
  ]
  // A parameter must not be sent twice (RFC 6749 §3.2): what is given by name takes the place of ours
  const params = [...standard.filter(([name]) => !extra.some(([given]) => given === name)), ...extra]
  return { key: digest(identity, params), params }
}

const list = (value: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : typeof value === "string" ? [value] : value

/**
 * The scopes of a request in a fixed order and each once: scope is a set
 * (RFC 6749 §3.3).
 *
 * @since 0.1.0
 * @category accessors
 */
export const scopes = (scope: TokenRequest["scope"]): ReadonlyArray<string> =>
  Array.from(new Set(list(scope).flatMap((item) => item.split(" ")).filter((item) => item !== ""))).sort()

// Sorted, so that neither the order of resources nor of extra parameters makes another token
const digest = (identity: Identity, params: ReadonlyArray<readonly [string, string]>): string => {
  const sort = (pairs: ReadonlyArray<readonly [string, string]>) => pairs.map((pair) => JSON.stringify(pair)).sort()
  return fingerprint(JSON.stringify([
    identity.endpoint,
    identity.clientId,
    identity.authMethod,
    sort(Object.entries(identity.headers ?? {})),
    sort(params)
  ]))
}

const utf8 = new TextEncoder()

/**
 * A digest that can be shown and compared where the text itself must not be:
 * SHA-256 in base64url.
 *
 * @since 0.1.0
 * @category accessors
 */
export const fingerprint = (text: string): string => Encoding.encodeBase64Url(sha256(utf8.encode(text)))
