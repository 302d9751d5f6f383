/**
 * What a token endpoint answers: the token (RFC 6749 §5.1) or an error
 * (RFC 6749 §5.2), read with the tolerance that servers need and no more.
 */
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { oneLine } from "../OAuthError.js"
import * as Field from "./Field.js"

// RFC 6749 Appendix A.12: an access token is printable ASCII; anything else could break out of a header
const printableAscii = /^[\x20-\x7e]+$/

/** No server takes a header of this size; the largest tokens seen (with group claims) are some 30 kB. */
const maxTokenLength = 64 * 1024

/** The characters that an access token may have. */
export const AccessTokenValue = Field.check(Field.Text, (value) =>
  value.trim() === ""
    ? "is empty"
    : value.length > maxTokenLength
    ? `is longer than ${maxTokenLength} characters`
    : printableAscii.test(value) || "holds characters that no token may have")

// RFC 6749 §7.1: a client must not use a token of a type it does not understand
const TokenType = Field.check(
  Field.Text,
  (value) => ["bearer", "dpop"].includes(value.toLowerCase()) || `is ${shown(value)}, which this client does not know`
)

// Never a part of it: a secret that was cut would not be recognized as one
const shown = (value: string): string => value.length > 40 ? `${value.length} characters long` : `"${oneLine(value)}"`

const decimal = /^\s*[+-]?\d+(\.\d+)?\s*$/

const Seconds = Field.check(
  Schema.transform(
    Field.is(
      Schema.Union(Schema.Number, Schema.String.pipe(Schema.filter((value) => decimal.test(value)))),
      "is not a number of seconds"
    ),
    Schema.Number,
    { strict: true, decode: Number, encode: (value) => value }
  ),
  (value) => value >= 0 || "is negative"
)

/**
 * A token response of RFC 6749 §5.1. `expires_in` may be a number or a numeric
 * string; missing, `null` and 0 all mean that the server does not say. An
 * absent `token_type` means Bearer.
 */
export const TokenResponse = Schema.Struct({
  access_token: Field.required(Schema.Redacted(AccessTokenValue)),
  token_type: Schema.optional(Schema.NullOr(TokenType)),
  expires_in: Schema.optional(Schema.NullOr(Seconds)),
  scope: Schema.optional(Schema.NullOr(Field.texts("is not a string")))
})

/** What is read from it. */
export type TokenResponse = typeof TokenResponse.Type

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
  const line = (value: unknown) => typeof value === "string" && value !== "" ? oneLine(clean(value)) : undefined
  return Option.some({
    error: oneLine(clean(body.error)),
    errorDescription: line(body.error_description),
    errorUri: line(body.error_uri)
  })
}

/**
 * Reads the token out of an answer, or says which field is wrong. What the
 * field holds is never part of the message.
 */
export const decode = (body: unknown): Either.Either<TokenResponse, string> => {
  if (!Predicate.isRecord(body)) return Either.left("the JSON is not an object")
  if (Predicate.isNotNullable(body.error) && body.error !== "") return Either.left("error is not a string")
  return decodeResponse(body)
}

const decodeResponse = Field.decode(TokenResponse)

/** The token's lifetime in seconds, where the server said it. */
export const lifetime = (self: TokenResponse): Option.Option<number> =>
  Option.filter(Option.fromNullable(self.expires_in), (seconds) => seconds > 0)

/**
 * Whether the token is bound to a key, and sent with a proof of it (RFC 9449
 * §5).
 */
export const isBound = (self: TokenResponse): boolean => self.token_type?.toLowerCase() === "dpop"

/** The granted scope as one string. */
export const scope = (self: TokenResponse): Option.Option<string> =>
  Option.map(Option.fromNullable(self.scope), (scope) => typeof scope === "string" ? scope : scope.join(" "))

/**
 * The refresh token of an answer: what the next token is asked for with,
 * whatever else is wrong with the answer. What is none is left out, for most
 * grants have no use for one.
 */
export const decodeRefreshToken = (body: unknown): Option.Option<Redacted.Redacted> =>
  Option.map(decodeRefreshTokenField(body), ({ refresh_token }) => refresh_token)

// RFC 6749 Appendix A.17: the same characters. Some servers send an empty one where they issue none
const decodeRefreshTokenField = Schema.decodeUnknownOption(
  Schema.Struct({ refresh_token: Schema.Redacted(AccessTokenValue) })
)
