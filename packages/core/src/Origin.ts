/**
 * Where a token may go: origins (RFC 6454), how a relative address is joined to
 * one, and which of them are safe to send a secret to.
 *
 * @since 0.1.0
 */

const loopback = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * Whether what is sent to this address is protected on its way: https, or
 * plain http that does not leave the machine.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSecure = (url: URL): boolean =>
  url.protocol === "https:" || (url.protocol === "http:" && loopback.test(url.hostname))

const absolute = /^[a-z][a-z0-9+.-]*:[/\\]{2}/i

/**
 * Whether an address names its own origin. Anything else is joined to a base
 * as text, which cannot change the base's origin.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAbsolute = (url: string): boolean => absolute.test(url)

/**
 * Joins a relative address to a base with exactly one slash between them. As
 * the base ends its authority with that slash, no text after it can lead to
 * another origin: neither `@evil.com`, nor `//evil.com`, nor `/\evil.com`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const join = (base: string, url: string): string => {
  if (url === "") return base
  const first = url.charCodeAt(0)
  if (first === questionMark || first === hash) return base + url
  const open = base.charCodeAt(base.length - 1) === slash
  return first === slash
    ? open ? base + url.slice(1) : base + url
    : open
    ? base + url
    : `${base}/${url}`
}

const slash = 0x2f
const questionMark = 0x3f
const hash = 0x23
const backslash = 0x5c

/**
 * Whether an address begins with an origin, by comparing text alone: the
 * cheap answer for addresses written as the origin is. `false` means: parse it.
 *
 * @since 0.1.0
 * @category predicates
 */
export const startsWith = (url: string, origin: string): boolean => {
  if (!url.startsWith(origin)) return false
  const next = url.charCodeAt(origin.length)
  return Number.isNaN(next) || next === slash || next === questionMark || next === hash || next === backslash
}

/**
 * The origin of an absolute http or https address, `undefined` for any other.
 * In a browser `https:evil.com` is relative to the page, here it would not be:
 * what two readers could take for different addresses is none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const parse = (url: string): URL | undefined => {
  if (!isAbsolute(url) || !URL.canParse(url)) return undefined
  const parsed = new URL(url)
  return parsed.protocol === "https:" || parsed.protocol === "http:" ? parsed : undefined
}

/**
 * No origin.
 *
 * @since 0.1.0
 * @category lists
 */
export const none: ReadonlyArray<string> = []

/** Most tokens go to one origin, and those of most apps to the same: it has one list for all of them. */
let alone: ReadonlyArray<string> = none

/**
 * A list with one more origin. Beyond `most` it begins anew.
 *
 * @since 0.1.0
 * @category lists
 */
export const add = (origins: ReadonlyArray<string>, origin: string, most: number): ReadonlyArray<string> => {
  if (origins.includes(origin)) return origins
  if (origins.length > 0 && origins.length < most) return origins.concat(origin)
  return alone[0] === origin ? alone : alone = [origin]
}
