/**
 * How secrets are taken out of what comes from outside: a server may echo what
 * it was sent, in any form, and no text of its answer is shown unread.
 */
import * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** Takes secrets out of a text. */
export type Clean = (text: string) => string

const redacted = "<redacted>"
const secretHeaders = ["set-cookie", "cookie", "authorization", "proxy-authorization", "dpop"]

/**
 * So many characters in a row are a part of a secret and of nothing else: its
 * beginning alone is taken out too. Less of it tells nothing.
 */
const enough = 8

/** Behind this a text is left out; as is one that is escaped more often. */
const maxLength = 8192
const maxEscapes = 16
/** Base64 of base64, and once more. */
const maxEncodings = 3

/**
 * Makes the `Clean` of some secrets, in whatever form each may be echoed: it
 * compares what is left of a text and of them without escapes and encodings.
 * The words that hold a part of one are taken out; where a secret may go over
 * several, the whole text is.
 */
export const make = (secrets: ReadonlyArray<string>): Clean => {
  const given = secrets.map((secret) => secret.trim().replace(/^(basic|bearer|dpop) /i, "")).filter(Predicate.isTruthy)
  if (given.length === 0) return identity
  const words = given.some((secret) => /\s/.test(secret)) ? /^[^]*$/ : /\S+/g
  // Worked out when there is a text: most answers show none
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

/** Tells whether a text holds a part of one of the secrets. */
const makeHolds = (secrets: ReadonlyArray<string>): Holds => {
  const parts = new Set<string>()
  for (const secret of secrets) {
    const plain = normalize(unescapeAll(secret) ?? secret)
    for (let at = 0; at === 0 || at <= plain.length - enough; at++) parts.add(plain.slice(at, at + enough))
  }
  const lengths = new Set(Array.from(parts, (part) => part.length))
  const holds = (text: string, depth: number): boolean => {
    const unescaped = unescapeAll(text)
    if (unescaped === undefined) return true
    const plain = normalize(unescaped)
    for (const length of lengths) {
      for (let at = 0; at <= plain.length - length; at++) if (parts.has(plain.slice(at, at + length))) return true
    }
    return depth > 0 && decodings(unescaped).some((inner) => holds(inner, depth - 1))
  }
  return (text) => holds(text, maxEncodings)
}

/** Without what is written otherwise where a text is quoted, in a form or in lines, and in small letters. */
const normalize = (text: string): string => text.replace(/[\s+\\"'`<>]+/g, "").toLowerCase()

const beyondAscii = /[\u0080-\ud7ff\ue000-\u{10ffff}]+/gu

// Percent-encoding, also of itself and of addresses; what a backslash escapes, or several where it was escaped too; HTML
const escapes =
  /(?:%(?:25)*|(?<!\\)\\+x)([0-7][\da-f])|(?:%|(?<!\\)\\+)u([\da-f]{4})|&#x([\da-f]{1,6});?|&#(\d{1,7});?|&(amp;)|&[a-z]+;/gi

/** The text without escapes, whose characters beyond ASCII are percent-encoded, however they were written. */
const unescapeAll = (text: string, rounds = maxEscapes): string | undefined => {
  const plain = text.replace(beyondAscii, encodeURI).replace(
    escapes,
    (_, byte?: string, unit?: string, hex?: string, decimal?: string, ampersand?: string) => {
      const code = decimal === undefined ? Number.parseInt(byte ?? unit ?? hex ?? "", 16) : Number(decimal)
      return code <= 0x10_ff_ff ? String.fromCodePoint(code) : ampersand === undefined ? "" : "&"
    }
  )
  return plain === text ? plain : rounds === 0 ? undefined : unescapeAll(plain, rounds - 1)
}

const decoder = new TextDecoder()

/** What the text says if it is base64 or hex, wherever in it that begins: of what is neither, hardly anything. */
const decodings = (text: string): ReadonlyArray<string> => {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/").replace(/[^a-z0-9+/]+/gi, "")
  const hex = text.replace(/[^a-f0-9]+/gi, "")
  return [0, 1, 2, 3].flatMap((start) => {
    const part = base64.slice(start)
    return [
      Uint8Array.from(atob(part.slice(0, part.length - (part.length % 4 === 1 ? 1 : 0))), (byte) => byte.charCodeAt(0)),
      Uint8Array.from(hex.slice(start).match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
    ].flatMap((bytes) => decoder.decode(bytes).match(/[^\p{Cc}\ufffd]{4,}/gu)?.join(" ") ?? [])
  })
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

/** The values of an app's own headers that platform knows for secrets. */
export const secretsOf = (headers: Headers.Headers): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    FiberRef.get(Headers.currentRedactedNames),
    (names) =>
      Object.values(Headers.redact(headers, names)).flatMap((value) =>
        Redacted.isRedacted(value) ? Redacted.value(value) : []
      )
  )
