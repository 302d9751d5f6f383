/**
 * How secrets are taken out of what comes from outside: a server may echo what
 * it was sent, in any form, and no text of its answer is shown unread.
 */
import * as Headers from "@effect/platform/Headers"
import * as Encoding from "effect/Encoding"
import { identity } from "effect/Function"
import { escape as escapeRegExp } from "effect/RegExp"

/** Takes secrets out of a text. */
export type Clean = (text: string) => string

const redacted = "<redacted>"
const secretHeaders = ["set-cookie", "cookie", "authorization", "proxy-authorization", "dpop"]

/**
 * Makes the `Clean` of some secrets, in whatever form each may be echoed. The
 * forms are worked out when there is a text: most answers show none.
 */
export const make = (secrets: ReadonlyArray<string>): Clean => {
  const given = secrets.filter((secret) => secret !== "")
  if (given.length === 0) return identity
  let pattern: RegExp | undefined
  return (text) => text.replace(pattern ??= patternOf(given), redacted)
}

const patternOf = (secrets: ReadonlyArray<string>): RegExp => {
  const patterns = new Set(secrets.flatMap(patternsOf).filter((pattern) => pattern !== ""))
  return new RegExp(Array.from(patterns).sort((a, b) => b.length - a.length).join("|"), "gi")
}

// An engine takes no pattern without an end: a secret that is longer is known by its beginning, and ends with the word
const maxPatternLength = 1_024

const patternsOf = (secret: string): ReadonlyArray<string> =>
  secret.length <= maxPatternLength
    ? formsOf(secret).map(escapeRegExp)
    : formsOf(secret.slice(0, maxPatternLength)).map((form) => `${escapeRegExp(form)}\\S*`)

/** Every text form in which a secret could be echoed back. */
const formsOf = (secret: string): ReadonlyArray<string> =>
  Array.from(new Set([secret, secret.trim()])).flatMap((secret) => {
    const form = new URLSearchParams({ "": secret }).toString().slice(1)
    const percent = form.replaceAll("+", "%20")
    // As encodeURIComponent does it
    const component = percent.replaceAll(/%(21|27|28|29|7E)/g, decodeURIComponent)
    const json = JSON.stringify(secret).slice(1, -1)
    const bytes = new TextEncoder().encode(secret)
    return [
      secret,
      form,
      percent,
      component,
      // Where a form is a part of the address that a redirect leads to
      encodeURIComponent(form),
      encodeURIComponent(component),
      json,
      JSON.stringify(json).slice(1, -1),
      json.replaceAll("/", "\\/"),
      secret.replaceAll(/[^a-z0-9]/gi, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`),
      secret.replaceAll(/[&<>"']/g, (char) => htmlEntities[char] ?? char),
      Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""),
      // Of two letters it could be a part of any word
      ...bytes.length < 4 ? [] : [0, 1, 2].flatMap((offset) => base64At(bytes, offset))
    ]
  })

const htmlEntities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

/**
 * A secret's base64, so many bytes into a text, without what comes before it:
 * at the end of the text, and (less the last bits) amid it.
 */
const base64At = (bytes: Uint8Array, offset: number): ReadonlyArray<string> => {
  const within = new Uint8Array(offset + bytes.length)
  within.set(bytes, offset)
  const start = Math.ceil(offset * 4 / 3)
  const end = Math.floor(within.length * 4 / 3)
  return [Encoding.encodeBase64(within), Encoding.encodeBase64Url(within)].flatMap((text) => [
    text.slice(start),
    text.slice(start).replace(/=+$/, ""),
    text.slice(start, end)
  ])
}

/**
 * The headers of an answer as an error may show them: without cookies and
 * authorization, whatever they hold.
 */
export const headers = (headers: Headers.Headers, clean: Clean): Headers.Headers =>
  Headers.fromInput(
    Object.entries(headers).map(([name, value]) =>
      [clean(name), secretHeaders.includes(name) ? redacted : clean(value)] as const
    )
  )
