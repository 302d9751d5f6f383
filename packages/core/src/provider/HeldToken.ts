/** A token in the memory of a provider, and how long it may be served. */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as AccessToken from "../AccessToken.js"
import type { Token } from "../store/TokenBinding.js"
import type * as ServerHabits from "./ServerHabits.js"

/** Times are epoch milliseconds. */
export interface HeldToken extends AccessToken.Windows, Token {
  readonly token: AccessToken.AccessToken
}

/** Takes a token into memory. */
export const make = (
  token: AccessToken.AccessToken,
  options: Parameters<typeof AccessToken.windows>[1] & { readonly isOwn: boolean }
): HeldToken => {
  // A value that is no token fails here, before anyone sends it
  Redacted.value(token.value)
  // Field by field: V8 keeps a separate shape for each object that is made by spreading
  const { expiresAt, freshUntil, refreshAt } = AccessToken.windows(token, options)
  return { refreshAt, freshUntil, expiresAt, token, value: token.value, isOwn: options.isOwn }
}

/** Whether there is a token that has not expired. */
export const isAlive = (self: HeldToken | undefined, now: number): self is HeldToken =>
  self !== undefined && now < self.expiresAt

/** What identifies a token: its value, which is a secret. */
export const identity = ({ value }: Pick<AccessToken.AccessToken, "value">): string => Redacted.value(value)

/** Whether this is the held token. */
export const is = (self: HeldToken | undefined, token: AccessToken.AccessToken): self is HeldToken =>
  self !== undefined && (self.token === token || identity(self) === identity(token))

/**
 * The issued token if it equals the held one: its known expiry stays. Only
 * after that does another stated expiry count.
 */
export const again = (
  self: HeldToken | undefined,
  token: AccessToken.AccessToken,
  now: number
): AccessToken.AccessToken =>
  !is(self, token) || endOf(token) <= self.expiresAt || (now >= self.expiresAt && Option.isSome(token.expiresAt))
    ? token
    : new AccessToken.AccessToken({ ...token, expiresAt: self.token.expiresAt })

/** What is kept of a token that was replaced. */
export const replaced = ({ isOwn, value }: HeldToken): Token => ({ value, isOwn })

/** The lifetime of a token; an unknown expiry is infinite. */
export const life = (token: AccessToken.AccessToken): ServerHabits.Life => ({
  obtainedAt: token.obtainedAt.epochMillis,
  expiresAt: endOf(token)
})

const endOf = ({ expiresAt }: AccessToken.AccessToken): number =>
  Option.isSome(expiresAt) ? expiresAt.value.epochMillis : Infinity
