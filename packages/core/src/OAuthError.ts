/**
 * The closed family of errors: everything that can go wrong between an app and
 * a token, each with a message that a person on call understands. No error
 * holds a request, a response, a secret or a token, not even as a cause.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/**
 * Marks every error of the family, across copies of this package.
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

/** With the mark: a field of each class would keep a bundler from leaving out those that an app does not use. */
const TaggedError: typeof Data.TaggedError = (tag) => {
  const Base = Data.TaggedError(tag)
  Object.assign(Base.prototype, { [TypeId]: TypeId })
  return Base
}

/**
 * What a request through an `AuthedHttpClient` can fail with, beside platform's
 * own `HttpClientError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type OAuthError = TokenEndpointError | TokenProviderError | OriginNotAllowed | RedirectError

/**
 * An option of a layer is missing or wrong. Layers fail with it when they are
 * built, so that a mistake is found at start-up.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptions extends TaggedError("InvalidOptions")<{
  /** The option at fault, as the user wrote it: `TokenEndpoint.tokenEndpoint`. */
  readonly option: string
  readonly description: string
}> {
  declare readonly [TypeId]: TypeId

  override get message(): string {
    return `${this.option} ${this.description}`
  }
}

/**
 * Why a token request failed:
 *
 * - `ClientAuth`: the credentials could not be read or built; nothing was sent.
 * - `Transport`: no complete answer arrived (refused, reset, cut off).
 * - `Timeout`: no complete answer arrived in time.
 * - `OAuth`: the server answered with an error code of RFC 6749 §5.2.
 * - `Status`: the server answered with another status than 200, without a code.
 * - `Redirect`: the server answered with a 3xx other than 304, which is never followed.
 * - `InvalidResponse`: a 200 that holds no usable token.
 *
 * @since 0.1.0
 * @category errors
 */
export type TokenEndpointErrorReason =
  | "ClientAuth"
  | "Transport"
  | "Timeout"
  | "OAuth"
  | "Status"
  | "Redirect"
  | "InvalidResponse"

/**
 * A token request failed: the request that needed the token was not sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenEndpointError extends TaggedError("TokenEndpointError")<{
  readonly reason: TokenEndpointErrorReason
  /** The endpoint's address, without its query. */
  readonly endpoint: string
  /** Which endpoint of the authorization server it is, where it is not the token endpoint. */
  readonly role?: "Discovery" | "Revocation" | "Introspection" | undefined
  /** What happened, in words. */
  readonly description: string
  /** For `Transport`: the code of the runtime's error, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`, where it has one. */
  readonly code?: string | undefined
  /** The status of the answer, if there was one. */
  readonly status?: number | undefined
  /** The headers of the answer; cookies and authorization are redacted. */
  readonly headers?: Headers.Headers | undefined
  /** `error` of RFC 6749 §5.2, as the server sent it. */
  readonly error?: string | undefined
  /** `error_description` of RFC 6749 §5.2, and what the server says beside it in fields of its own, such as `hint`. */
  readonly errorDescription?: string | undefined
  /** `error_uri` of RFC 6749 §5.2. */
  readonly errorUri?: string | undefined
  /** How long the server asks to wait (RFC 9110 §10.2.3). */
  readonly retryAfter?: Duration.Duration | undefined
  /** What to do about it, where that is known. */
  readonly advice?: string | undefined
}> {
  declare readonly [TypeId]: TypeId

  override get message(): string {
    const { advice, description, endpoint, error, errorDescription, errorUri, reason, role = "Token", status } = this
    const details = [errorDescription, errorUri && `see ${errorUri}`].filter(Predicate.isTruthy).join(", ")
    const said = reason === "OAuth"
      ? ` answered ${status} ${error}${details && `: ${details}`}`
      : `${notAnswered.includes(reason) ? "" : ` answered ${status}`}: ${description}`
    return `${role} endpoint ${endpoint}${said}${advice === undefined ? "" : `. ${advice}`}`
  }
}

/** Of these an answer tells nothing, if there is one. */
const notAnswered: ReadonlyArray<TokenEndpointErrorReason> = ["ClientAuth", "Transport", "Timeout"]

/**
 * Why the provider has no token to give:
 *
 * - `Closed`: its scope has ended.
 * - `MaxWait`: the wait for a renewal that is still running passed `maxWait`.
 * - `RefreshToken`: the store does not give the refresh token, or does not keep
 *   its successor. The grant depends on the store: a token must not be used
 *   twice.
 * - `Defect`: a `TokenEndpoint` of the app's own died. Its callers get the
 *   defect itself; this is what `TokenStatus` and the log tell of it.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenProviderError extends TaggedError("TokenProviderError")<{
  readonly reason: "Closed" | "MaxWait" | "RefreshToken" | "Defect"
  /** For `MaxWait`: how long the caller waited. */
  readonly waited?: Duration.Duration | undefined
  /** For `MaxWait`: what it waited for. For `RefreshToken`: what happened. In words. */
  readonly description?: string | undefined
  /** When it is worth to try again. */
  readonly retryAfter?: Duration.Duration | undefined
}> {
  declare readonly [TypeId]: TypeId

  override get message(): string {
    switch (this.reason) {
      case "Closed":
        return "The token provider is closed: its layer's scope has ended"
      case "MaxWait": {
        const waited = this.waited === undefined ? "maxWait" : Duration.format(this.waited)
        const waitedFor = this.description === undefined ? "" : `: ${this.description}`
        return `No token within ${waited}${waitedFor}`
      }
      case "RefreshToken":
        return `The refresh token cannot be used: ${this.description}`
      case "Defect":
        return "The token endpoint died"
    }
  }
}

/**
 * A request would have sent a token where it was not meant to go; it was not
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

  override get message(): string {
    const allowed = this.allowed.length === 0 ? "any https origin" : this.allowed.join(", ")
    return `A token was not sent to ${this.origin}: allowed are ${allowed}`
  }
}

/**
 * Why a redirect was not followed:
 *
 * - `TooMany`: more in a row than are followed.
 * - `Insecure`: from https to http, or from loopback to http elsewhere.
 * - `InvalidLocation`: its address is none, not http, or holds credentials.
 *
 * @since 0.1.0
 * @category errors
 */
export type RedirectErrorReason = "TooMany" | "Insecure" | "InvalidLocation"

/**
 * A resource redirected to where `AuthedHttpClient.followRedirects` does not go.
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
  /** The origin that redirects. */
  readonly origin: string
}> {
  declare readonly [TypeId]: TypeId

  override get message(): string {
    return `A redirect of ${this.origin} (${this.status}) was not followed: ${this.description}`
  }
}

/**
 * A store could not do what it was asked. It never fails a request: the
 * provider carries on without the store.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenStoreError extends TaggedError("TokenStoreError")<{
  readonly reason: "Unavailable" | "Timeout" | "InvalidEntry"
  /** The method of the store that failed. */
  readonly method: "get" | "set" | "remove" | "acquireLease" | "extendLease" | "releaseLease" | "changes"
  readonly description: string
}> {
  declare readonly [TypeId]: TypeId

  override get message(): string {
    return `Token store, ${this.method}: ${this.description}`
  }
}

/**
 * What the client proves itself with cannot be had or used: a key, a
 * certificate, an assertion. An effect that reads credentials may fail with it,
 * to be told in the `TokenEndpointError`: its description must hold no part of
 * them. Of any other failure only the kind is told.
 *
 * @since 0.1.0
 * @category errors
 */
export class CredentialsError extends TaggedError("CredentialsError")<{
  /** What is wrong, in words that may be shown: `the key is too small`. */
  readonly description: string
}> {
  declare readonly [TypeId]: TypeId

  override get message(): string {
    return this.description
  }
}

/**
 * Tells an `OAuthError` from any other failure.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOAuthError = (u: unknown): u is OAuthError =>
  Predicate.hasProperty(u, TypeId) &&
  (Predicate.isTagged(u, "TokenEndpointError") ||
    Predicate.isTagged(u, "TokenProviderError") ||
    Predicate.isTagged(u, "OriginNotAllowed") ||
    Predicate.isTagged(u, "RedirectError"))

/**
 * Tells a `CredentialsError`, which may be shown, from any other failure of the
 * client's authentication.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCredentialsError = (u: unknown): u is CredentialsError =>
  Predicate.hasProperty(u, TypeId) && Predicate.isTagged(u, "CredentialsError")

const maxCauseDepth = 8

/**
 * Finds the `OAuthError` in an error that wraps it: behind
 * `AuthedHttpClient.layerHttpClient` it is the cause of a `RequestError`.
 *
 * @since 0.1.0
 * @category guards
 */
export const find = (u: unknown): Option.Option<OAuthError> => Option.fromNullable(chainOf(u).find(isOAuthError))

/** A failure and its causes, each of which the next one has caused. */
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
 * Says in one line what an unknown failure is: the code and message of an error
 * and of its causes, without control characters and bounded in length. `clean`
 * takes out what must not be shown, before anything is cut.
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
 * The code of an unknown failure or of the first of its causes that has one,
 * such as `ECONNREFUSED`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const codeOf = (u: unknown): string | undefined =>
  chainOf(u).map((failure) => fieldOf(failure, "code")).find(isCode)

const isCode = (u: unknown): u is string => typeof u === "string" && /^[A-Z][A-Z0-9_]{2,63}$/.test(u)

/**
 * Says in one line what a Cause is.
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
  return code === "" || message.includes(code) ? message : `${code} ${message}`
}

/**
 * Cuts a text that came from outside to one readable line.
 *
 * @since 0.1.0
 * @category formatting
 */
export const oneLine = (text: string): string => {
  // eslint-disable-next-line no-control-regex
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim()
  return clean.length > maxDescription ? `${clean.slice(0, maxDescription)}…` : clean
}
