/**
 * Which origins have accepted a token since they last rejected it: another
 * answer that does tells the provider nothing new.
 *
 * @since 0.1.0
 */
import type * as AccessToken from "./AccessToken.js"
import * as Origin from "./Origin.js"

/**
 * What a client remembers of its tokens, for as long as anyone holds them.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcceptedTokens {
  readonly has: (token: AccessToken.AccessToken, origin: string) => boolean
  readonly add: (token: AccessToken.AccessToken, origin: string) => void
  readonly remove: (token: AccessToken.AccessToken, origin: string) => void
}

/** With `origins: "any"` the number of origins that a token is sent to has no other bound. */
const maxOrigins = 256

/**
 * Nothing is accepted yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): AcceptedTokens => {
  const accepted = new WeakMap<AccessToken.AccessToken, ReadonlyArray<string>>()
  let lastToken: AccessToken.AccessToken | undefined
  let lastOrigin = ""
  const has = (token: AccessToken.AccessToken, origin: string) => accepted.get(token)?.includes(origin) === true
  return {
    has: (token, origin) => (token === lastToken && origin === lastOrigin) || has(token, origin),
    add: (token, origin) => {
      const origins = accepted.get(token) ?? Origin.none
      const known = Origin.add(origins, origin, maxOrigins)
      if (known !== origins) accepted.set(token, known)
      lastToken = token
      lastOrigin = origin
    },
    remove: (token, origin) => {
      const origins = accepted.get(token)
      if (origins !== undefined) accepted.set(token, origins.filter((other) => other !== origin))
      lastToken = undefined
    }
  }
}
