/**
 * The parameters of a token request (RFC 6749 §4.4.2), and the key under which
 * its token is cached.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Redacted from "effect/Redacted"
import * as Grant from "./Grant.js"

/**
 * The parameters of a token request. All are optional; the defaults are those
 * of the `TokenEndpoint`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenRequest {
  /** The grant. The default is `Grant.clientCredentials`. */
  readonly grant?: Grant.Grant | undefined
  /** Scopes, as a list or as one string with spaces (RFC 6749 §3.3). Their order does not matter. */
  readonly scope?: string | ReadonlyArray<string> | undefined
  /** The protected resources, as absolute URIs (RFC 8707 §2). */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** The audience, for Auth0 and others. */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** Any further form parameters. */
  readonly params?: Readonly<Record<string, string>> | undefined
}

/**
 * A request merged with the defaults of its endpoint, ready to be sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResolvedTokenRequest {
  /**
   * Everything that decides the token, as one text: two requests with different keys never share a token, a store
   * entry or a renewal. It may contain a secret header or parameter; outside of the process only a digest of it is
   * used.
   */
  readonly key: Redacted.Redacted
  /** The form parameters, except those that are made for every attempt: client authentication and grant. */
  readonly params: ReadonlyArray<readonly [name: string, value: string]>
  readonly grant: Grant.Grant
  /** The thumbprint of the key or certificate that its tokens are bound to, if there is one. */
  readonly binding: string | undefined
}

/**
 * The endpoint and client of a request, as part of every key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  readonly endpoint: string
  readonly clientId: string
  readonly authMethod: string
  /** Further headers of the token request, by which servers distinguish tenants. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The thumbprint of the key or certificate that tokens are bound to. */
  readonly binding?: string | undefined
}

/**
 * Merges a request with the defaults, field by field; `params` by name.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (defaults: TokenRequest, request: TokenRequest | undefined): TokenRequest =>
  request === undefined ? defaults : {
    grant: request.grant ?? defaults.grant,
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
  const { binding } = identity
  const grant = request.grant ?? Grant.clientCredentials
  // Such as the value of an environment variable that is not set
  const extra = Object.entries(request.params ?? {}).filter(([, value]) => value !== undefined)
  const scope = scopes(request.scope).join(" ")
  const standard: ReadonlyArray<readonly [string, string]> = [
    grant === Grant.clientCredentials ? ofClientCredentials : ["grant_type", grant.type],
    ...(scope === "" ? [] : [["scope", scope] as const]),
    ...list(request.resource).map((resource) => ["resource", resource] as const),
    ...list(request.audience).map((audience) => ["audience", audience] as const)
  ]
  // A parameter must not be sent twice (RFC 6749 §3.2): one of `params` replaces the standard one
  const params = standard.filter(([name]) => !extra.some(([given]) => given === name)).concat(extra)
  return { key: keyOf(identity, grant, params), params, grant, binding }
}

// One object for all requests: there may be a hundred thousand
const ofClientCredentials = ["grant_type", "client_credentials"] as const

const list = (value: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : Arr.ensure(value)

/**
 * The scopes of a request without duplicates, in a fixed order: scope is a set
 * (RFC 6749 §3.3).
 *
 * @since 0.1.0
 * @category accessors
 */
export const scopes = (scope: TokenRequest["scope"]): ReadonlyArray<string> =>
  Array.from(new Set(list(scope).flatMap((item) => item.split(" ")).filter((item) => item !== ""))).sort()

// Sorted, so that the order of resources and of extra parameters does not change the key
const keyOf = (
  identity: Identity,
  grant: Grant.Grant,
  params: ReadonlyArray<readonly [string, string]>
): Redacted.Redacted => {
  const sort = (pairs: ReadonlyArray<readonly [string, string]>) => pairs.map((pair) => JSON.stringify(pair)).sort()
  return Redacted.make(JSON.stringify([
    identity.endpoint,
    identity.clientId,
    identity.authMethod,
    sort(Object.entries(identity.headers ?? {})),
    sort(params),
    ...(!grant.id && identity.binding === undefined ? [] : [grant.id ?? "", identity.binding ?? ""])
  ]))
}
