/**
 * What a JWT says of itself (RFC 7519). It is read and never verified: that is
 * the API's part, which knows the server's keys.
 */
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** The two readable parts of a JWT; of its signature there is nothing here. */
export interface Jwt {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

/** Reads a token that has the form of a signed JWT; `None` for any other. */
export const decode = (token: Redacted.Redacted): Option.Option<Jwt> => {
  const parts = Redacted.value(token).split(".")
  if (parts.length !== 3) return Option.none()
  return Option.all({ header: decodePart(parts[0]), claims: decodePart(parts[1]) })
}

const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))

const decodePart = (part: string): Option.Option<Readonly<Record<string, unknown>>> =>
  Encoding.decodeBase64UrlString(part).pipe(
    Either.getRight,
    Option.flatMap(parseJson),
    Option.filter(Predicate.isReadonlyRecord)
  )

/** A claim that is a date: seconds since 1970 (RFC 7519 §2). */
export const date = ({ claims }: Jwt, name: "iat" | "nbf" | "exp"): Option.Option<DateTime.Utc> => {
  const seconds = claims[name]
  return typeof seconds === "number" ? DateTime.make(seconds * 1000) : Option.none()
}

/**
 * The thumbprint of the key (RFC 9449 §6.1) or certificate (RFC 8705 §3.1) that
 * the token says it is bound to.
 */
export const thumbprint = ({ claims }: Jwt): Option.Option<string> => {
  const { cnf } = claims
  if (!Predicate.isReadonlyRecord(cnf)) return Option.none()
  return Option.filter(Option.fromNullable(cnf.jkt ?? cnf["x5t#S256"]), Predicate.isString)
}
