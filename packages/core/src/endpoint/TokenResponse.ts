/**
 * What a token endpoint answers: the token (RFC 6749 §5.1) or an error
 * (RFC 6749 §5.2), read with the tolerance that servers need and no more.
 */
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { AccessToken } from "../AccessToken.js"
import { errorCodes } from "../disclosure/ErrorAttributes.js"
import { oneLine } from "../OAuthError.js"
import * as Field from "./Field.js"

// RFC 6749 Appendix A.12: an access token is printable ASCII; anything else could break out of a header
const printableAscii = /^[\x20-\x7e]+$/

/** No server takes a header of this size; the largest tokens seen (with group claims) are some 30 kB. */
const maxTokenLength = 64 * 1024

/** What is wrong with a text, if it is no token. */
const faultOfToken = (text: string): string | undefined =>
  text.trim() === ""
    ? "is empty"
    : text.length > maxTokenLength
    ? `is longer than ${maxTokenLength} characters`
    : printableAscii.test(text)
    ? undefined
    : "holds characters that no token may have"

/** The characters that an access token may have. */
export const AccessTokenValue = Field.check(Field.Text, (text) => faultOfToken(text) ?? true)

/** Reads the value of a field, or says what is wrong with it and shows no part of it. */
type Read<A> = (value: unknown) => Either.Either<A, string>

const readText: Read<string> = (value) =>
  Predicate.isString(value) ? Either.right(value) : Either.left("is not a string")

const readToken: Read<Redacted.Redacted> = (value) =>
  Either.flatMap(readText(value), (text) => {
    const fault = faultOfToken(text)
    return fault === undefined ? Either.right(Redacted.make(text)) : Either.left(fault)
  })

const readType: Read<string> = (value) =>
  Either.filterOrLeft(readText(value), (type) => type.trim() !== "", () => "is empty")

// Apigee says BearerToken where nobody told it otherwise
const bearer = /^bearer([ _-]?token)?$/

// Never a part of it: a secret that was cut would not be recognized as one
const shown = (value: string): string => value.length > 40 ? `${value.length} characters long` : `"${oneLine(value)}"`

const decimal = /^\s*[+-]?\d+(\.\d+)?\s*$/

const readSeconds: Read<number | undefined> = (value) => {
  if (!Predicate.isNumber(value) && !(Predicate.isString(value) && decimal.test(value))) {
    return Either.left("is not a number of seconds")
  }
  const seconds = Number(value)
  return seconds >= 0 ? Either.right(seconds || undefined) : Either.left("is negative")
}

const readScope: Read<string> = (value) =>
  Array.isArray(value) && value.every(Predicate.isString) ? Either.right(value.join(" ")) : readText(value)

/**
 * A token response of RFC 6749 §5.1. `expires_in` may be a number or a numeric
 * string; missing, `null` and 0 all mean that the server does not say. An
 * absent `token_type` means Bearer. Some servers send the scope as a list.
 */
export interface TokenResponse {
  readonly access_token: Redacted.Redacted
  /** Whether the token is bound to a key, and sent with a proof of it (RFC 9449 §5). */
  readonly isBound: boolean
  /** In seconds. */
  readonly expires_in: number | undefined
  readonly scope: string | undefined
  /** What is wrong with the fields that cannot be read, and count as if they were not there. */
  readonly unread: ReadonlyArray<string>
}

/** An error response of RFC 6749 §5.2. */
export interface ErrorResponse {
  readonly error: string
  readonly errorDescription: string | undefined
  readonly errorUri: string | undefined
}

/**
 * Reads the error out of an answer, at whatever status it came: some servers
 * send it with 200. `clean` takes out what must not be shown, before anything
 * is cut.
 */
export const decodeError = (
  body: unknown,
  clean: (text: string) => string = identity
): Option.Option<ErrorResponse> => {
  if (!Predicate.isRecord(body) || typeof body.error !== "string" || body.error === "") return Option.none()
  const { error, error_description, error_uri, ...others } = body
  const line = (text: string) => oneLine(clean(text)) || undefined
  return Option.some({
    // What every server says tells nothing of a secret that is made of the same words
    error: errorCodes.find((code) => code === error) ?? oneLine(clean(error)),
    errorDescription: line(reasonsOf({ error_description, ...others })),
    errorUri: Predicate.isString(error_uri) ? line(error_uri) : undefined
  })
}

// Okta's errorSummary, the hint of The PHP League's server, detail of RFC 9457; error where it is no code but an object
const saysWhy = /(^error|message|msg|summary|hint|detail|reason|description|title|faultstring)s?$/i

/**
 * What a server says in words of what went wrong, in fields of its own too.
 * Fields of other names may hold a secret, and this is not clean of what it was
 * sent.
 */
export const reasonsOf = (body: unknown): string => {
  const found = new Set<string>()
  const look = (value: unknown, name: string, depth: number): void => {
    if (Predicate.isString(value)) {
      if (value !== "" && saysWhy.test(name)) found.add(value)
    } else if (depth > 0 && Predicate.isObject(value)) {
      for (const [key, inner] of Object.entries(value)) look(inner, Array.isArray(value) ? name : key, depth - 1)
    }
  }
  look(body, "", 4)
  return Array.from(found).join(", ")
}

/**
 * Reads the token out of an answer, or says why there is none. What a field
 * holds is never part of the message. `bearerTypes` are further names that the
 * server has for Bearer, and `tokenField` is what it calls the token.
 */
export const decode = (
  body: unknown,
  { bearerTypes = [], tokenField = "access_token" }: {
    readonly bearerTypes?: ReadonlyArray<string> | undefined
    readonly tokenField?: string | undefined
  } = {}
): Either.Either<TokenResponse, string> => {
  if (!Predicate.isRecord(body)) return Either.left("the JSON is not an object")
  // Some say in it that there is none: null, false, 0, an empty text
  if (Predicate.isTruthy(body.error)) return Either.left("error is not a string")
  if (body[tokenField] === undefined) return Either.left(`${tokenField} is missing`)
  const token = readToken(body[tokenField])
  if (Either.isLeft(token)) return Either.left(`${tokenField} ${token.left}`)
  const unread: Array<string> = []
  const optional = <A>(name: string, read: Read<A>) =>
    Predicate.isNullable(body[name]) ? undefined : Either.getOrElse(read(body[name]), (fault) => {
      unread.push(`${name} ${fault}`)
      return undefined
    })
  const type = optional("token_type", readType) ?? "bearer"
  const name = type.trim().toLowerCase()
  // RFC 6749 §7.1: a client must not use a token of a type it does not understand
  return name === "dpop" || bearer.test(name) || bearerTypes.some((type) => type.toLowerCase() === name)
    ? Either.right({
      access_token: token.right,
      isBound: name === "dpop",
      expires_in: optional("expires_in", readSeconds),
      scope: optional("scope", readScope),
      unread
    })
    : Either.left(`token_type is ${shown(type)}, which this client does not know (bearerTypes)`)
}

/** Fields of an answer by their names, each redacted: a server may put anything there. */
export const pick = (body: unknown, names: ReadonlyArray<string>): AccessToken["fields"] =>
  Predicate.isRecord(body)
    ? Object.fromEntries(
      names.filter((name) => Object.hasOwn(body, name)).map((name) => [name, Redacted.make(body[name])])
    )
    : undefined

/**
 * The refresh token of an answer: what the next token is asked for with,
 * whatever else is wrong with the answer. What is none is left out, for most
 * grants have no use for one.
 */
export const decodeRefreshToken = (body: unknown): Option.Option<Redacted.Redacted> =>
  // RFC 6749 Appendix A.17: the same characters. Some servers send an empty one where they issue none
  Predicate.isRecord(body) ? Either.getRight(readToken(body.refresh_token)) : Option.none()
