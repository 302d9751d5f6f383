/**
 * The errors of this library. Each message names the cause. No error contains a
 * request, a response, a secret or a token, not even as a cause.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/**
 * Marks every error of this library, across copies of this package.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("@effect-alf/core/OAuthError")

/**
 * The type of the mark.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * With the mark, and not transient where the class does not say otherwise: a field of each class would keep a bundler
 * from leaving out those that an app does not use.
 */
const TaggedError: typeof Data.TaggedError = (tag) => {
  const Base = Data.TaggedError(tag)
  Object.assign(Base.prototype, { [TypeId]: TypeId, isTransient: false })
  return Base
}

/**
 * What a request through an `AuthedHttpClient` can fail with, besides
 * platform's own `HttpClientError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type OAuthError = TokenRequestError | TokenProviderError | OriginNotAllowed

/**
 * What a request for a token can fail with: the token endpoint, or the metadata
 * that names it.
 *
 * @since 0.1.0
 * @category errors
 */
export type TokenRequestError = TokenEndpointError | DiscoveryError

/**
 * What a request to an authorization server can fail with. The tag says which
 * request it was.
 *
 * @since 0.1.0
 * @category errors
 */
export type AuthorizationServerError =
  | TokenEndpointError
  | DiscoveryError
  | TokenRevocationError
  | TokenIntrospectionError

/**
 * An option at fault, and what is wrong with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface InvalidOption {
  /** The name of the option: `TokenEndpoint.tokenEndpoint`. */
  readonly option: string
  /** What is wrong with it, in the words that follow its name: `is missing`. */
  readonly description: string
}

/**
 * Options of a layer are missing or wrong. Layers fail with it when they are
 * built, so that a mistake is found at start-up. It names every option at fault,
 * so that all can be corrected at once.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptions extends TaggedError("InvalidOptions")<{
  readonly problems: NonEmptyReadonlyArray<InvalidOption>
}> {
  declare readonly [TypeId]: TypeId
  /** Never: the option has to be changed. */
  declare readonly isTransient: false

  override get message(): string {
    return this.problems.map(({ description, option }) => `${option} ${description}`).join("; ")
  }
}

/**
 * Why a request to an authorization server failed:
 *
 * - `ClientAuth`: the credentials could not be read or made; nothing was sent.
 * - `Transport`: no complete response arrived (refused, reset, cut off).
 * - `Timeout`: no complete response arrived in time.
 * - `OAuth`: the server answered with an error code of RFC 6749 §5.2.
 * - `Status`: the server answered with another status than 2xx, without a code.
 * - `Redirect`: the server answered with a 3xx other than 304, which is never followed.
 * - `InvalidResponse`: a 2xx without what was requested, such as a usable token.
 *
 * @since 0.1.0
 * @category errors
 */
export type AuthorizationServerErrorReason =
  | "ClientAuth"
  | "Transport"
  | "Timeout"
  | "OAuth"
  | "Status"
  | "Redirect"
  | "InvalidResponse"

/**
 * What every error of a request to an authorization server is made of.
 *
 * @since 0.1.0
 * @category errors
 */
export interface AuthorizationServerErrorFields {
  readonly reason: AuthorizationServerErrorReason
  /** The address of the request, without its query. */
  readonly endpoint: string
  /** What happened, in words. */
  readonly description: string
  /** For `Transport`: the code of the runtime's error, if it has one, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
  readonly code?: string | undefined
  /** The status of the response, if there was one. */
  readonly status?: number | undefined
  /** The headers of the response; cookies and authorization are redacted. */
  readonly headers?: Headers.Headers | undefined
  /** `error` of RFC 6749 §5.2, as the server sent it. */
  readonly error?: string | undefined
  /** `error_description` of RFC 6749 §5.2, and what the server says in fields of its own, such as `hint`. */
  readonly errorDescription?: string | undefined
  /** `error_uri` of RFC 6749 §5.2. */
  readonly errorUri?: string | undefined
  /** How long to wait before another request, from Retry-After (RFC 9110 §10.2.3). */
  readonly retryAfter?: Duration.Duration | undefined
  /** What to do, if it is known. */
  readonly advice?: string | undefined
}

/** An error of one kind of request to an authorization server. */
interface ServerError<Tag extends string>
  extends Cause.YieldableError, AuthorizationServerErrorFields, Record<TypeId, TypeId>
{
  readonly _tag: Tag
  /**
   * Whether the same request may succeed later: there was no complete answer, or the server says so by 408, 429, 5xx,
   * `temporarily_unavailable`, `server_error`, `slow_down`, or by Retry-After where its answer is of no use. A definite
   * answer such as `invalid_client` is not, nor are credentials that cannot be read, a certificate that is not trusted
   * or a server that does not speak TLS.
   */
  readonly isTransient: boolean
}

type ServerErrorClass<Tag extends string> = new(fields: AuthorizationServerErrorFields) => ServerError<Tag>

const ServerError = <Tag extends string>(tag: Tag, subject: string): ServerErrorClass<Tag> => {
  class Base extends TaggedError(tag)<AuthorizationServerErrorFields> {
    declare readonly [TypeId]: TypeId

    override get message(): string {
      const { advice, description, endpoint, error, errorDescription, errorUri, reason, status } = this
      const details = [errorDescription, errorUri && `see ${errorUri}`].filter(Predicate.isTruthy).join(", ")
      const said = reason === "OAuth"
        ? ` answered ${status} ${error}${details && `: ${details}`}`
        : `${notAnswered.includes(reason) ? "" : ` answered ${status}`}: ${description}`
      return `${subject} ${endpoint}${said}${advice === undefined ? "" : `. ${advice}`}`
    }

    get isTransient(): boolean {
      const { code = "", error = "", reason, retryAfter, status = 0 } = this
      switch (reason) {
        case "Transport":
          return !isFinalCode(code)
        case "Timeout":
          return true
        case "OAuth":
        case "Status":
          return isTransientStatus(status) || transientErrors.includes(error)
        case "ClientAuth":
        case "Redirect":
          return false
        case "InvalidResponse":
          return retryAfter !== undefined
      }
    }
  }
  return Base
}

/** With these reasons, a message omits the status of a response. */
const notAnswered: ReadonlyArray<AuthorizationServerErrorReason> = ["ClientAuth", "Transport", "Timeout"]

const isTransientStatus = (status: number): boolean => status === 408 || status === 429 || status >= 500

/**
 * Transient with any status. The first two stand for 503 and 500 (RFC 6749
 * §4.1.2.1), the last is from RFC 8628 §3.5.
 */
const transientErrors = ["temporarily_unavailable", "server_error", "slow_down"]

/** Whether a later attempt fails too, by the codes of Node, OpenSSL (see X509_verify_cert_error_string) and undici. */
const isFinalCode = (code: string): boolean => final.test(code) && !passing.test(code)

/** Codes of faults in a certificate, in TLS or in the address. */
const final =
  /CERT|^(CRL_|EPROTO|ERR_INVALID_URL|ERR_SSL_|ERR_(TLS_)?INVALID_PROTOCOL|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|PATH_LENGTH_EXCEEDED|UNABLE_TO_|UND_ERR_INVALID_ARG)/

/** TLS alerts about the server's own state or about the transmission (RFC 8446 §6.2). */
const passing = /INTERNAL_ERROR|BAD_RECORD_MAC/

/**
 * A token request failed: the request that needed the token was not sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenEndpointError extends ServerError("TokenEndpointError", "Token endpoint") {}

/**
 * The metadata of an authorization server could not be read, or does not say
 * what is needed (RFC 8414, OpenID Connect Discovery 1.0).
 *
 * @since 0.1.0
 * @category errors
 */
export class DiscoveryError extends ServerError("DiscoveryError", "Discovery endpoint") {}

/**
 * A token could not be revoked (RFC 7009): it may still be valid.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenRevocationError extends ServerError("TokenRevocationError", "Revocation endpoint") {}

/**
 * A token could not be introspected (RFC 7662): nothing is known of it.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenIntrospectionError extends ServerError("TokenIntrospectionError", "Introspection endpoint") {}

/**
 * Why the provider has no token:
 *
 * - `Closed`: its scope is closed.
 * - `MaxWait`: there was no token within the caller's wait, or there can be
 *   none within it.
 * - `RefreshToken`: the store could not return or keep the refresh token. The
 *   grant depends on the store, since a refresh token must not be used twice.
 * - `Defect`: a `TokenEndpoint` of your own died. Its callers get the defect;
 *   `TokenStatus` and the log report this error.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenProviderError extends TaggedError("TokenProviderError")<{
  readonly reason: "Closed" | "MaxWait" | "RefreshToken" | "Defect"
  /** For `MaxWait`: the limit of the wait. */
  readonly waited?: Duration.Duration | undefined
  /** What happened, in words: for `MaxWait`, what the caller waited for. */
  readonly description?: string | undefined
  /** When a retry may succeed. */
  readonly retryAfter?: Duration.Duration | undefined
}> {
  declare readonly [TypeId]: TypeId

  /**
   * Whether the same call may succeed later: after `MaxWait`, and after `RefreshToken` where the store or another
   * process may be ready by then.
   */
  get isTransient(): boolean {
    return this.reason === "MaxWait" || (this.reason === "RefreshToken" && this.retryAfter !== undefined)
  }

  override get message(): string {
    const { description, reason, waited } = this
    switch (reason) {
      case "Closed":
        return "The token provider is closed, as the scope of its layer is"
      case "MaxWait":
        return `No token within ${waited ? Duration.format(waited) : "maxWait"}${description ? `: ${description}` : ""}`
      case "RefreshToken":
        return `The refresh token cannot be used: ${description}`
      case "Defect":
        return "The token endpoint failed with a defect"
    }
  }
}

/**
 * The token may not be sent to the origin of this request. The request was not
 * sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class OriginNotAllowed extends TaggedError("OriginNotAllowed")<{
  /** The origin of the request, or why it has none. */
  readonly origin: string
  readonly allowed: ReadonlyArray<string>
}> {
  declare readonly [TypeId]: TypeId
  /** Never: the address or the options have to be changed. */
  declare readonly isTransient: false

  override get message(): string {
    const allowed = this.allowed.length === 0 ? "any https origin" : this.allowed.join(", ")
    return `A token was not sent to ${this.origin}: allowed are ${allowed}`
  }
}

/**
 * Why a redirect was not followed:
 *
 * - `TooMany`: the limit of redirects in a row was reached.
 * - `Insecure`: from https to http, or from loopback to http elsewhere.
 * - `InvalidLocation`: its URL is invalid, is not http, or contains
 *   credentials.
 *
 * @since 0.1.0
 * @category errors
 */
export type RedirectErrorReason = "TooMany" | "Insecure" | "InvalidLocation"

/**
 * `AuthedHttpClient.followRedirects` did not follow a redirect.
 *
 * @since 0.1.0
 * @category errors
 */
export class RedirectError extends TaggedError("RedirectError")<{
  readonly reason: RedirectErrorReason
  /** What is wrong with the redirect, in words. */
  readonly description: string
  /** The status of the redirect. */
  readonly status: number
  /** The origin that sent the redirect. */
  readonly origin: string
}> {
  declare readonly [TypeId]: TypeId
  /** Never: the resource redirects again. */
  declare readonly isTransient: false

  override get message(): string {
    return `A redirect of ${this.origin} (${this.status}) was not followed: ${this.description}`
  }
}

/**
 * A call of the store failed. The provider continues without the store, so no
 * request fails, except where a refresh token is needed.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenStoreError extends TaggedError("TokenStoreError")<{
  readonly reason: "Unavailable" | "Timeout" | "InvalidEntry"
  /** The method that failed. */
  readonly method: "get" | "set" | "remove" | "acquireLease" | "extendLease" | "releaseLease" | "changes"
  readonly description: string
}> {
  declare readonly [TypeId]: TypeId

  /** Whether the same call may succeed later: not where the entry cannot be read. */
  get isTransient(): boolean {
    return this.reason !== "InvalidEntry"
  }

  override get message(): string {
    return `Token store, ${this.method}: ${this.description}`
  }
}

/**
 * A key, certificate, secret or assertion cannot be read or used. An effect
 * that reads credentials may fail with it to have the cause reported: its
 * description, which must not contain a secret, becomes part of the
 * `TokenEndpointError`. Any other failure is reported without its cause.
 *
 * @since 0.1.0
 * @category errors
 */
export class CredentialsError extends TaggedError("CredentialsError")<{
  /** What is wrong, in words that may be shown: `the key is too small`. */
  readonly description: string
}> {
  declare readonly [TypeId]: TypeId
  /** Never: the credentials have to be changed. */
  declare readonly isTransient: false

  override get message(): string {
    return this.description
  }
}

/** Any error of the family. */
type Member = OAuthError | AuthorizationServerError | TokenStoreError | CredentialsError | InvalidOptions

const isMember = (u: unknown): u is Member => Predicate.hasProperty(u, TypeId)

const isOneOf = (u: unknown, tags: ReadonlyArray<string>): boolean => isMember(u) && tags.includes(u._tag)

/**
 * Whether a failure is an `OAuthError`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOAuthError = (u: unknown): u is OAuthError | RedirectError =>
  isOneOf(u, ["TokenEndpointError", "DiscoveryError", "TokenProviderError", "OriginNotAllowed", "RedirectError"])

/**
 * Whether a failure is an error of a request to an authorization server.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAuthorizationServerError = (u: unknown): u is AuthorizationServerError =>
  isOneOf(u, ["TokenEndpointError", "DiscoveryError", "TokenRevocationError", "TokenIntrospectionError"])

/**
 * Whether a failure is a `CredentialsError`, whose description may be shown.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCredentialsError = (u: unknown): u is CredentialsError => isMember(u) && u._tag === "CredentialsError"

/**
 * Whether the same call may succeed later: what `isTransient` of the error says,
 * or of the error that it wraps, as behind `AuthedHttpClient.layerHttpClient`.
 *
 * An error of the API's own response counts as the same one of an authorization
 * server does: there was no complete answer (`RequestError` with the reason
 * `Transport`, the `TimeoutException` of `Effect.timeout`), or the status is 408,
 * 429 or 5xx (`ResponseError`). It is `false` for any other failure.
 *
 * @example
 * ```ts
 * import { OAuthError } from "@effect-alf/core"
 * import { Effect } from "effect"
 *
 * // An outage ends by itself; credentials that are refused need a person
 * const report = (error: OAuthError.OAuthError) =>
 *   OAuthError.isTransient(error) ? Effect.logWarning(error.message) : Effect.logError(error.message)
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTransient = (u: unknown): boolean => {
  const error = chainOf(u).find(isMember)
  if (error !== undefined) return error.isTransient
  if (!HttpClientError.isHttpClientError(u)) return Cause.isTimeoutException(u)
  return u._tag === "ResponseError"
    ? isTransientStatus(u.response.status)
    : u.reason === "Transport" && !isFinalCode(codeOf(u) ?? "")
}

const maxCauseDepth = 8

/**
 * Finds the `OAuthError` in an error that wraps it, such as the `RequestError`
 * of a client from `AuthedHttpClient.layerHttpClient`.
 *
 * @since 0.1.0
 * @category guards
 */
export const find = (u: unknown): Option.Option<OAuthError | RedirectError> =>
  Option.fromNullable(chainOf(u).find(isOAuthError))

/** A failure, its cause, the cause of that, and so on. */
const chainOf = (u: unknown): ReadonlyArray<unknown> => {
  const chain: Array<unknown> = []
  for (let next = u; Predicate.isNotNullable(next) && chain.length < maxCauseDepth; next = fieldOf(next, "cause")) {
    chain.push(next)
  }
  return chain
}

const fieldOf = (u: unknown, name: string): unknown => Predicate.hasProperty(u, name) ? u[name] : undefined

const maxDescription = 300

/**
 * Describes an unknown failure in one line of bounded length, without control
 * characters: the code and message of the error and of its causes. `clean`
 * removes secrets before the text is cut.
 *
 * @since 0.1.0
 * @category formatting
 */
export const describe = (u: unknown, clean: (text: string) => string = identity): string => {
  const parts: Array<string> = []
  for (const failure of chainOf(u)) {
    const part = describeOne(failure)
    if (part !== "" && !parts.some((known) => known.includes(part))) parts.push(part)
  }
  return oneLine(clean(parts.join(": "))) || "unknown failure"
}

/**
 * The code of an unknown failure, or of its first cause that has one, such as
 * `ECONNREFUSED`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const codeOf = (u: unknown): string | undefined =>
  chainOf(u).map((failure) => fieldOf(failure, "code")).find(isCode)

const isCode = (u: unknown): u is string => typeof u === "string" && /^[A-Z][A-Z0-9_]{2,63}$/.test(u)

/**
 * Describes a Cause in one line.
 *
 * @since 0.1.0
 * @category formatting
 */
export const describeCause = (cause: Cause.Cause<unknown>): string => describe(Cause.squash(cause))

const describeOne = (u: unknown): string => {
  if (typeof u === "string") return u
  if (!Predicate.isObject(u)) return String(u)
  const textOf = (name: string) => {
    const value = fieldOf(u, name)
    return typeof value === "string" ? value : ""
  }
  const code = textOf("code")
  const message = textOf("message")
  if (message === "") return code || textOf("_tag") || (u instanceof Error ? u.name : "")
  return message.includes(code) ? message : `${code} ${message}`
}

/**
 * Shortens a text from outside to one readable line.
 *
 * @since 0.1.0
 * @category formatting
 */
export const oneLine = (text: string): string => {
  // eslint-disable-next-line no-control-regex
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim()
  return clean.length > maxDescription ? `${clean.slice(0, maxDescription)}…` : clean
}
