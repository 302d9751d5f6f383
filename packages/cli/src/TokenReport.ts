/** A token as it may be shown: everything but its value and its signature. */
import * as AccessToken from "@effect-alf/core/AccessToken"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as JwtClaims from "./JwtClaims.js"
import type { Style } from "./Style.js"

/** For a person. */
export const toText = (token: AccessToken.AccessToken, now: DateTime.Utc, style: Style["Type"]): string => {
  const jwt = JwtClaims.decode(token.value)
  const lines: Array<readonly [name: string, value: string]> = [
    ["token", `${style.dim("<redacted>")} ${Redacted.value(token.value).length} characters; --reveal shows it`],
    ["type", token.tokenType],
    ["scope", printable(Option.getOrElse(token.scope, () => "as requested"))],
    ["expires", sayExpiry(token, now)],
    ...Option.match(thumbprintOf(token, jwt), {
      onNone: () => [],
      onSome: (thumbprint) => [["bound to", printable(thumbprint)] as const]
    }),
    ["kind", Option.isSome(jwt) ? "a JWT" : "opaque: only the server can read it"]
  ]
  const text = lines.map(([name, value]) => `${name.padEnd(9)} ${value}`)
  return Option.match(jwt, {
    onNone: () => text,
    onSome: (jwt) => [
      ...text,
      "",
      style.bold("Read from the token; nothing of it is verified:"),
      ...claimLines(jwt.header),
      ...claimLines(jwt.claims)
    ]
  }).join("\n")
}

const dates = ["exp", "iat", "nbf", "auth_time"]

const claimLines = (claims: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  const width = Math.max(0, ...Object.keys(claims).map((name) => name.length))
  return Object.entries(claims).map(([name, value]) => {
    const date = dates.includes(name) && typeof value === "number" ? DateTime.make(value * 1000) : Option.none()
    const said = typeof value === "string" ? value : JSON.stringify(value)
    return `  ${printable(name.padEnd(width))}  ${printable(said)}${
      Option.isSome(date) ? ` (${formatDate(date.value)})` : ""
    }`
  })
}

// A token is written by somebody else: it must not move the cursor of who looks at it
// eslint-disable-next-line no-control-regex
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?")

/** `2026-11-26 20:15:00 UTC` */
const formatDate = (date: DateTime.Utc): string =>
  DateTime.formatIso(date).replace("T", " ").replace(/(\.\d+)?Z$/, " UTC")

const sayExpiry = (token: AccessToken.AccessToken, now: DateTime.Utc): string =>
  Option.match(token.expiresAt, {
    onNone: () => "not known: the server does not say",
    onSome: (expiresAt) => {
      const seconds = Math.round((expiresAt.epochMillis - now.epochMillis) / 1000)
      const distance = Duration.format(Duration.seconds(Math.abs(seconds)))
      return `${seconds > 0 ? `in ${distance}` : `${distance} ago`}, ${formatDate(expiresAt)}`
    }
  })

const thumbprintOf = (token: AccessToken.AccessToken, jwt: Option.Option<JwtClaims.Jwt>): Option.Option<string> =>
  Option.orElse(
    Option.fromNullable(token.proofKey?.thumbprint),
    () => Option.flatMap(jwt, JwtClaims.thumbprint)
  )

/**
 * The same as a value for `JSON.stringify`; the token itself only when it is to
 * be revealed.
 */
export const toJson = (
  token: AccessToken.AccessToken,
  now: DateTime.Utc,
  options: { readonly reveal: boolean }
): Readonly<Record<string, unknown>> => {
  const jwt = JwtClaims.decode(token.value)
  return {
    token: options.reveal ? Redacted.value(token.value) : "<redacted>",
    type: token.tokenType,
    scope: Option.getOrNull(token.scope),
    obtainedAt: DateTime.formatIso(token.obtainedAt),
    expiresAt: Option.getOrNull(Option.map(token.expiresAt, DateTime.formatIso)),
    expiresInSeconds: Option.getOrNull(
      Option.map(AccessToken.remaining(token, now), (remaining) => Math.round(Duration.toSeconds(remaining)))
    ),
    thumbprint: Option.getOrNull(thumbprintOf(token, jwt)),
    jwt: Option.getOrNull(Option.map(jwt, ({ claims, header }) => ({ verified: false, header, claims })))
  }
}
