/**
 * A token in the memory of a provider, and how long it may be handed out.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as AccessToken from "./AccessToken.js"
import { fingerprint } from "./Fingerprint.js"
import * as Origin from "./Origin.js"
import type * as ServerHabits from "./ServerHabits.js"

/**
 * Times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldToken extends AccessToken.Windows, ServerHabits.Token {
  readonly token: AccessToken.AccessToken
  /** Until here it is handed out without a further look: the hot path's one comparison. */
  quietUntil: number
}

/**
 * Takes a token into memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  token: AccessToken.AccessToken,
  options: Parameters<typeof AccessToken.windows>[1] & { readonly isOwn: boolean }
): HeldToken => {
  // What is no token fails here, before anyone sends it
  Redacted.value(token.value)
  return new Held(token, AccessToken.windows(token, options), options.isOwn)
}

// One for each key: it is to be small
class Held implements HeldToken {
  readonly token: AccessToken.AccessToken
  isOwn: boolean
  acceptedBy: ReadonlyArray<string> = Origin.none
  readonly refreshAt: number
  readonly freshUntil: number
  quietUntil: number
  #digest: string | undefined

  constructor(token: AccessToken.AccessToken, { freshUntil, refreshAt }: AccessToken.Windows, isOwn: boolean) {
    this.token = token
    this.isOwn = isOwn
    this.refreshAt = refreshAt
    this.freshUntil = freshUntil
    this.quietUntil = refreshAt
  }

  get expiresAt(): number {
    return endOf(this.token)
  }

  /** Computed when it is first needed, and once: it costs more than all else that is done about a token. */
  get digest(): string {
    return this.#digest ??= fingerprint(Redacted.value(this.token.value))
  }
}

/**
 * Whether there is a token whose time has not run out.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAlive = (self: HeldToken | undefined, now: number): self is HeldToken =>
  self !== undefined && now < self.expiresAt

/**
 * Whether this is the held token: its identity is its value.
 *
 * @since 0.1.0
 * @category predicates
 */
export const is = (self: HeldToken, token: AccessToken.AccessToken): boolean =>
  self.token === token || Redacted.value(self.token.value) === Redacted.value(token.value)

/**
 * What is kept of a token when another takes its place.
 *
 * @since 0.1.0
 * @category constructors
 */
export const replaced = ({ acceptedBy, digest, isOwn }: HeldToken): ServerHabits.Token => ({
  digest,
  isOwn,
  acceptedBy
})

/**
 * The time of a token; an unknown end is never.
 *
 * @since 0.1.0
 * @category accessors
 */
export const life = (token: AccessToken.AccessToken): ServerHabits.Life => ({
  obtainedAt: token.obtainedAt.epochMillis,
  expiresAt: endOf(token)
})

/**
 * The digest of a token, taken from where it is held: every 401 asks for it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const digestOf = (token: AccessToken.AccessToken, held: HeldToken | undefined): string =>
  token === held?.token ? held.digest : fingerprint(Redacted.value(token.value))

const endOf = ({ expiresAt }: AccessToken.AccessToken): number =>
  Option.isSome(expiresAt) ? expiresAt.value.epochMillis : Number.POSITIVE_INFINITY
