/**
 * Removes secrets from text that comes from outside: a server may echo what it
 * was sent, in any encoding, so no text of a response is shown unchecked.
 */
import * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** Removes secrets from a text. */
export type Clean = (text: string) => string

const redacted = "<redacted>"
const secretHeaders = ["set-cookie", "cookie", "authorization", "proxy-authorization", "dpop"]

/**
 * This many consecutive characters of a secret occur nowhere else, so that even
 * a truncated secret is removed. Fewer reveal nothing.
 */
const enough = 8

/** A text is omitted beyond this length, or if it is escaped more often than this. */
const maxLength = 8192
const maxEscapes = 16
/** Base64 of base64, and once more. */
const maxEncodings = 3

/**
 * Makes the `Clean` of some secrets, in whatever encoding they are echoed:
 * compares text and secrets without escapes and encodings. Removes the words
 * that contain part of a secret; if a secret may span several words, removes
 * the whole text.
 */
export const make = (secrets: ReadonlyArray<string>): Clean => {
  const given = secrets.map((secret) => secret.trim().replace(/^(basic|bearer|dpop) /i, "")).filter(Predicate.isTruthy)
  if (given.length === 0) return identity
  const words = given.some((secret) => /\s/.test(secret)) ? /^[^]*$/ : /\S+/g
  // Computed at the first text: most responses show none
  let holds: Holds | undefined
  return (text) => {
    const hasPart = holds ??= makeHolds(given)
    const start = text.length > maxLength ? text.slice(0, text.lastIndexOf(" ", maxLength) + 1) + redacted : text
    if (!hasPart(start)) return start
    const rest = start.replace(words, (word) => hasPart(word) ? redacted : word)
    return hasPart(rest) ? redacted : rest
  }
}

type Holds = (text: string) => boolean

/** Checks whether a text contains part of a secret. */
const makeHolds = (secrets: ReadonlyArray<string>): Holds => {
  const parts = new Set<string>()
  for (const secret of secrets) {
    const plain = normalize(unescapeAll(secret) ?? secret)
    for (let at = 0; at === 0 || at <= plain.length - enough; at++) parts.add(plain.slice(at, at + enough))
  }
  const lengths = new Set(Array.from(parts, (part) => part.length))
  const holds = (text: string, depth = maxEncodings): boolean => {
    const unescaped = unescapeAll(text)
    if (unescaped === undefined) return true
    const plain = normalize(unescaped)
    for (const length of lengths) {
      for (let at = 0; at <= plain.length - length; at++) if (parts.has(plain.slice(at, at + length))) return true
    }
    return depth > 0 && decodings(unescaped).some((inner) => holds(inner, depth - 1))
  }
  return holds
}

/** In lower case, and without characters that quoting, forms or line breaks change. */
const normalize = (text: string): string => text.replace(/[\s+\\"'`<>]+/g, "").toLowerCase()

const beyondAscii = /[\u0080-\ud7ff\ue000-\u{10ffff}]+/gu

// Percent-encoding (repeated, or of URLs), backslash escapes (repeated), HTML
const escapes =
  /(?:%(?:25)*|(?<!\\)\\+x)([0-7][\da-f])|(?:%|(?<!\\)\\+)u([\da-f]{4})|&#x([\da-f]{1,6});?|&#(\d{1,7});?|&(amp;)|&[a-z]+;/gi

/** The text without escapes; characters beyond ASCII are percent-encoded, however they were written. */
const unescapeAll = (text: string, rounds = maxEscapes): string | undefined => {
  const plain = text.replace(beyondAscii, encodeURI).replace(
    escapes,
    (_, byte?: string, unit?: string, hex?: string, decimal?: string, ampersand?: string) => {
      const code = Number(decimal ?? `0x${byte ?? unit ?? hex ?? ""}`)
      return code <= 0x10_ff_ff ? String.fromCodePoint(code) : ampersand === undefined ? "" : "&"
    }
  )
  return plain === text ? plain : rounds === 0 ? undefined : unescapeAll(plain, rounds - 1)
}

const decoder = new TextDecoder()

/** The decoded text if it is base64 or hex, starting at any position; hardly anything if it is neither. */
const decodings = (text: string): ReadonlyArray<string> => {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/").replace(/[^\w+/]+/g, "")
  const hex = text.replace(/[^\da-f]+/gi, "")
  return [0, 1, 2, 3].flatMap((start) => {
    const part = base64.slice(start)
    return [
      Uint8Array.from(atob(part.slice(0, part.length % 4 === 1 ? -1 : undefined)), (byte) => byte.charCodeAt(0)),
      Uint8Array.from(hex.slice(start).match(/../g) ?? [], (byte) => Number(`0x${byte}`))
    ].flatMap((bytes) => decoder.decode(bytes).match(/[^\p{Cc}\ufffd]{4,}/gu)?.join(" ") ?? [])
  })
}

/** The headers of a response as an error may show them: without cookies and authorization. */
export const headers = (headers: Headers.Headers, clean: Clean): Headers.Headers =>
  Headers.fromInput(
    Object.entries(headers).map(([name, value]) =>
      [clean(name), secretHeaders.includes(name) ? redacted : clean(value)] as const
    )
  )

/** The values of an app's own headers that platform lists as secret. */
export const secretsOf = (headers: Headers.Headers): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    FiberRef.get(Headers.currentRedactedNames),
    (names) =>
      Object.values(Headers.redact(headers, names)).filter((value) => Redacted.isRedacted(value)).map(Redacted.value)
  )
