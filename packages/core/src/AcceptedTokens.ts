/**
 * Which origins have accepted a token since they last rejected it: another
 * answer that does tells the provider nothing new.
 *
 * @since 0.1.0
 */
import type * as AccessToken from "./AccessToken.js"

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
  const accepted = new WeakMap<AccessToken.AccessToken, Set<string>>()
  let lastToken: AccessToken.AccessToken | undefined
  let lastOrigin = ""
  return {
    has: (token, origin) =>
      (token === lastToken && origin === lastOrigin) || (accepted.get(token)?.has(origin) ?? false),
    add: (token, origin) => {
      const origins = accepted.get(token) ?? new Set()
      if (origins.size >= maxOrigins) origins.clear()
      accepted.set(token, origins.add(origin))
      lastToken = token
      lastOrigin = origin
    },
    remove: (token, origin) => {
      accepted.get(token)?.delete(origin)
      lastToken = undefined
    }
  }
}
