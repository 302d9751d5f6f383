/**
 * How secrets are taken out of what comes from outside: a server may echo what
 * it was sent, in any form, and no text of its answer is shown unread.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as Encoding from "effect/Encoding"
import { identity } from "effect/Function"
import { escape as escapeRegExp } from "effect/RegExp"

/**
 * Takes secrets out of a text.
 *
 * @since 0.1.0
 * @category models
 */
export type Clean = (text: string) => string

const redacted = "<redacted>"
const secretHeaders = ["set-cookie", "cookie", "authorization", "proxy-authorization", "dpop"]

/**
 * Makes the `Clean` of some secrets, in whatever form each may be echoed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (secrets: ReadonlyArray<string>): Clean => {
  const forms = new Set(secrets.flatMap(formsOf).filter((form) => form !== ""))
  if (forms.size === 0) return identity
  const longestFirst = Array.from(forms).sort((a, b) => b.length - a.length)
  const long = longestFirst.filter((form) => form.length > maxPatternLength)
  const pattern = new RegExp(longestFirst.slice(long.length).map(escapeRegExp).join("|") || "$^", "g")
  return (text) => long.reduce((text, form) => text.replaceAll(form, redacted), text).replace(pattern, redacted)
}

/** An engine takes no pattern without an end. */
const maxPatternLength = 4_096

/** Every text form in which a secret could be echoed back. */
const formsOf = (secret: string): ReadonlyArray<string> =>
  Array.from(new Set([secret, secret.trim()])).flatMap((secret) => {
    const form = new URLSearchParams({ "": secret }).toString().slice(1)
    const percent = form.replaceAll("+", "%20")
    return [
      secret,
      form,
      percent,
      // As encodeURIComponent does it
      percent.replaceAll(/%(21|27|28|29|7E)/g, decodeURIComponent),
      JSON.stringify(secret).slice(1, -1),
      Encoding.encodeBase64(secret)
    ]
  })

/**
 * The headers of an answer as an error may show them: without cookies and
 * authorization, whatever they hold.
 *
 * @since 0.1.0
 * @category combinators
 */
export const headers = (headers: Headers.Headers, clean: Clean): Headers.Headers =>
  Headers.fromInput(
    Object.entries(headers).map(([name, value]) =>
      [name, secretHeaders.includes(name) ? redacted : clean(value)] as const
    )
  )

/**
 * Matches the headers that a span must not show. It shows those of both
 * directions, before anything here has seen them.
 *
 * @since 0.1.0
 * @category constants
 */
export const notHarmless = /^(?!(accept|accept-encoding|content-(type|length|encoding)|date|retry-after)$)/i
