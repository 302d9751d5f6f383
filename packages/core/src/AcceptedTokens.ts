/**
 * Which origins have accepted a token since they last rejected it: another
 * answer that does tells the provider nothing new.
 *
 * @since 0.1.0
 */
import type * as AccessToken from "./AccessToken.js"
import * as Origin from "./Origin.js"
import type { TokenProvider } from "./TokenProvider.js"

/**
 * What is remembered of tokens, for as long as anyone holds them.
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
  return {
    has: (token, origin) =>
      (token === lastToken && origin === lastOrigin) || accepted.get(token)?.includes(origin) === true,
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

/**
 * What the clients of a provider remember together: one of them may get the
 * 401, and another the answer that clears it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (provider: TokenProvider["Type"]): AcceptedTokens => {
  const accepted = ofProvider.get(provider) ?? make()
  ofProvider.set(provider, accepted)
  return accepted
}

const ofProvider = new WeakMap<TokenProvider["Type"], AcceptedTokens>()
