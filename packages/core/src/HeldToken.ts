/**
 * A token in the memory of a provider, and how long it may be handed out.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as AccessToken from "./AccessToken.js"
import { fingerprint } from "./Fingerprint.js"

/**
 * Times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldToken extends AccessToken.Windows {
  readonly token: AccessToken.AccessToken
  /** Issued to this process, not adopted from the store. */
  readonly isOwn: boolean
  /** The digest under which it is known where it must not be shown; computed once for each token. */
  readonly digest: () => string
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
): HeldToken => new Held(token, AccessToken.windows(token, options), options.isOwn)

// One for each key: it is to be small
class Held implements HeldToken {
  readonly token: AccessToken.AccessToken
  readonly isOwn: boolean
  readonly refreshAt: number
  readonly freshUntil: number
  readonly expiresAt: number
  quietUntil: number
  #digest: string | undefined

  constructor(
    token: AccessToken.AccessToken,
    { expiresAt, freshUntil, refreshAt }: AccessToken.Windows,
    isOwn: boolean
  ) {
    this.token = token
    this.isOwn = isOwn
    this.refreshAt = refreshAt
    this.freshUntil = freshUntil
    this.expiresAt = expiresAt
    this.quietUntil = refreshAt
  }

  digest(): string {
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
 * A token as it is known where it must not be shown, and its time. Its digest is
 * taken from where it is held: every 401 asks for it, and every first answer of
 * an origin, and it costs more than all else that is done about them.
 *
 * @since 0.1.0
 * @category accessors
 */
export const describe = (
  token: AccessToken.AccessToken,
  { held, replaced }: { readonly held?: HeldToken | undefined; readonly replaced?: HeldToken | undefined } = {}
) => ({
  digest: token === held?.token
    ? held.digest()
    : token === replaced?.token
    ? replaced.digest()
    : fingerprint(Redacted.value(token.value)),
  obtainedAt: token.obtainedAt.epochMillis,
  expiresAt: Option.match(token.expiresAt, {
    onNone: () => Number.POSITIVE_INFINITY,
    onSome: (expiresAt) => expiresAt.epochMillis
  })
})
