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
export interface HeldToken {
  readonly token: AccessToken.AccessToken
  readonly windows: AccessToken.Windows
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

class Held implements HeldToken {
  readonly token: AccessToken.AccessToken
  readonly windows: AccessToken.Windows
  readonly isOwn: boolean
  quietUntil: number

  constructor(token: AccessToken.AccessToken, windows: AccessToken.Windows, isOwn: boolean) {
    this.token = token
    this.windows = windows
    this.isOwn = isOwn
    this.quietUntil = windows.refreshAt
  }

  digest(): string {
    return digestOf(this.token)
  }
}

/**
 * Whether there is a token whose time has not run out.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAlive = (self: HeldToken | undefined, now: number): self is HeldToken =>
  self !== undefined && now < self.windows.expiresAt

/**
 * Whether this is the held token: its identity is its value.
 *
 * @since 0.1.0
 * @category predicates
 */
export const is = (self: HeldToken, token: AccessToken.AccessToken): boolean =>
  self.token === token || Redacted.value(self.token.value) === Redacted.value(token.value)

/**
 * A token as it is known where it must not be shown, and its time.
 *
 * @since 0.1.0
 * @category accessors
 */
export const describe = (token: AccessToken.AccessToken) => ({
  digest: digestOf(token),
  obtainedAt: token.obtainedAt.epochMillis,
  expiresAt: Option.match(token.expiresAt, {
    onNone: () => Number.POSITIVE_INFINITY,
    onSome: (expiresAt) => expiresAt.epochMillis
  })
})

/** Every 401 and every first answer asks for it, and it costs more than all else that is done about them. */
const digests = new WeakMap<AccessToken.AccessToken, string>()

const digestOf = (token: AccessToken.AccessToken): string => {
  let digest = digests.get(token)
  if (digest === undefined) {
    digest = fingerprint(Redacted.value(token.value))
    digests.set(token, digest)
  }
  return digest
}
