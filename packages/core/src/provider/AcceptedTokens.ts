/**
 * Which origins have accepted a token since they last rejected it: another
 * answer that does tells the provider nothing new.
 */
import type * as AccessToken from "../AccessToken.js"
import * as Origin from "../Origin.js"

/** What is remembered of tokens, for as long as anyone holds them. */
export interface AcceptedTokens {
  readonly has: (token: AccessToken.AccessToken, origin: string) => boolean
  readonly add: (token: AccessToken.AccessToken, origin: string) => void
  readonly remove: (token: AccessToken.AccessToken, origin: string) => void
}

/** With `origins: "any"` the number of origins that a token is sent to has no other bound. */
const maxOrigins = 256

/** Nothing is accepted yet. */
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
 * What a provider keeps for its clients beside its public service: one of them
 * may get the 401, and another the answer that clears it. Spread into a service
 * made of another, it stays the same one.
 */
export interface ForClients {
  readonly [acceptedTokens]: AcceptedTokens
}

const acceptedTokens: unique symbol = Symbol("@effect-alf/core/AcceptedTokens")

/** For a new provider. */
export const forClients = (): ForClients => ({ [acceptedTokens]: make() })

/** Those of a provider. With one that an app made itself, a client remembers for itself alone. */
export const of = (provider: object): AcceptedTokens => (provider as Partial<ForClients>)[acceptedTokens] ?? make()
