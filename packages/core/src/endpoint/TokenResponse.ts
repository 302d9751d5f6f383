/**
 * The response of a token endpoint: a token (RFC 6749 §5.1) or an error (RFC
 * 6749 §5.2), parsed as leniently as real servers require.
 */
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import type { AccessToken } from "../AccessToken.js"
import { errorCodes } from "../disclosure/ErrorAttributes.js"
import { oneLine } from "../OAuthError.js"
import * as Field from "./Field.js"

// RFC 6749 Appendix A.12: an access token is printable ASCII; other characters could break out of a header
const printableAscii = /^[\x20-\x7e]+$/

/** No server accepts a larger header; the largest tokens seen (with group claims) are some 30 kB. */
const maxTokenLength = 64 * 1024

/** What is wrong with a text that is no token. */
const faultOfToken = (text: string): string | undefined =>
  text.trim() === ""
    ? "is empty"
    : text.length > maxTokenLength
    ? `is longer than ${maxTokenLength} characters`
    : printableAscii.test(text)
    ? undefined
    : "contains characters that no token may have"

/** The characters that an access token may contain. */
export const AccessTokenValue = Field.check(Field.Text, (text) => faultOfToken(text) ?? true)

/** Reads the value of a field, or says what is wrong with it without showing it. */
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

// Apigee's default is BearerToken
const bearer = /^bearer([ _-]?token)?$/

// Never a part of it: a truncated secret would not be recognized
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
 * A token response (RFC 6749 §5.1). `expires_in` may be a number or a numeric
 * string; missing, `null` and 0 all mean unknown. An absent `token_type` means
 * Bearer. Some servers send the scope as a list.
 */
export interface TokenResponse {
  readonly access_token: Redacted.Redacted
  /** Whether the token is bound to a key, and sent with a proof (RFC 9449 §5). */
  readonly isBound: boolean
  /** In seconds. */
  readonly expires_in: number | undefined
  readonly scope: string | undefined
  /** Each redacted: a server may put anything there. */
  readonly fields: AccessToken["fields"]
  /** What is wrong with unreadable fields, which count as absent. */
  readonly unread: ReadonlyArray<string>
}

/** An error response (RFC 6749 §5.2). */
interface ErrorResponse {
  readonly error: string
  readonly errorDescription: string | undefined
  readonly errorUri: string | undefined
}

/**
 * Reads the error of a response with any status: some servers send it with 200.
 * `clean` removes secrets before anything is truncated.
 */
export const decodeError = (
  body: unknown,
  clean: (text: string) => string = identity
): ErrorResponse | undefined => {
  if (!Predicate.isRecord(body) || !Predicate.isString(body.error) || body.error === "") return undefined
  const { error, error_description, error_uri, ...others } = body
  const line = (text: string) => oneLine(clean(text)) || undefined
  return {
    // A common message reveals nothing of a secret that consists of the same words
    error: errorCodes.find((code) => code === error) ?? oneLine(clean(error)),
    errorDescription: line(reasonsOf({ error_description, ...others })),
    errorUri: Predicate.isString(error_uri) ? line(error_uri) : undefined
  }
}

// Okta's errorSummary, The PHP League's hint, detail of RFC 9457; `error` if it is an object instead of a code
const saysWhy = /(^error|message|msg|summary|hint|detail|reason|description|title|faultstring)s?$/i

/**
 * What a server says about the error, also in fields of its own. Other fields
 * may contain a secret, and the text may echo what the server was sent.
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
 * Reads the token of a response, or says why there is none. The message never
 * contains the value of a field. `bearerTypes` are further names for Bearer,
 * `tokenField` is the server's name for the token, and `fields` are kept too.
 */
export const decode = (
  body: Readonly<Record<string, unknown>>,
  { bearerTypes = [], fields, tokenField = "access_token" }: {
    readonly bearerTypes?: ReadonlyArray<string> | undefined
    readonly fields?: ReadonlyArray<string> | undefined
    readonly tokenField?: string | undefined
  } = {}
): Either.Either<TokenResponse, string> => {
  // Some servers return null, false, 0 or an empty text for no error
  if (Predicate.isTruthy(body.error)) return Either.left("error is not a string")
  const token = body[tokenField] === undefined ? Either.left("is missing") : readToken(body[tokenField])
  if (Either.isLeft(token)) return Either.left(`${tokenField} ${token.left}`)
  const unread: Array<string> = []
  const optional = <A>(name: string, read: Read<A>) =>
    Predicate.isNullable(body[name]) ? undefined : Either.getOrElse(read(body[name]), (fault) => {
      unread.push(`${name} ${fault}`)
      return undefined
    })
  const type = optional("token_type", readType) ?? "bearer"
  const name = type.trim().toLowerCase()
  // RFC 6749 §7.1: a client must not use a token of an unknown type
  return name === "dpop" || bearer.test(name) || bearerTypes.some((type) => type.toLowerCase() === name)
    ? Either.right({
      access_token: token.right,
      isBound: name === "dpop",
      expires_in: optional("expires_in", readSeconds),
      scope: optional("scope", readScope),
      fields: fields && Record.map(Record.filter(body, (_, name) => fields.includes(name)), Redacted.make),
      unread
    })
    : Either.left(`token_type is ${shown(type)}, which this client does not know (bearerTypes)`)
}

/**
 * The refresh token of a response, with which the next token is requested, even
 * if the rest of the response is invalid. An invalid one is omitted, as most
 * grants do not use it.
 */
export const decodeRefreshToken = (body: unknown): Redacted.Redacted | undefined =>
  // RFC 6749 Appendix A.17: the same characters. Some servers send an empty one if they issue none
  Predicate.isRecord(body) ? Either.getOrUndefined(readToken(body.refresh_token)) : undefined
