/**
 * Which token a key holds: one issued to this process, or one that another
 * process stored. Reads and writes the store, and passes the tokens to the
 * transitions of the key's state.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as AccessToken from "../AccessToken.js"
import * as OAuthMetrics from "../OAuthMetrics.js"
import type { Found } from "../store/SharedTokens.js"
import type { Fleet } from "../store/Sharing.js"
import * as HeldToken from "./HeldToken.js"
import * as KeyState from "./KeyState.js"
import type { Acceptances } from "./OriginVerdicts.js"
import type { RenewalLog } from "./RenewalLog.js"
import * as TokenCache from "./TokenCache.js"

/** Puts tokens into the slots of a provider. */
export interface Adoption {
  readonly hold: (token: AccessToken.AccessToken, isOwn: boolean) => HeldToken.HeldToken
  /** A token that was issued, with an expiry no later than the known one. */
  readonly again: (slot: TokenCache.Slot, token: AccessToken.AccessToken) => AccessToken.AccessToken
  /** Whether a stored token is worth adopting. */
  readonly isAdoptable: (
    slot: TokenCache.Slot,
    token: AccessToken.AccessToken,
    reason: OAuthMetrics.RenewalReason
  ) => boolean
  /** The store's entry, with the token only if it is worth adopting; `None` if the store failed or is left alone. */
  readonly look: (
    slot: TokenCache.Slot,
    reason: OAuthMetrics.RenewalReason
  ) => Effect.Effect<Option.Option<Found>>
  /** The token that the renewal in progress obtained: the endpoint works. */
  readonly take: (slot: TokenCache.Slot, held: HeldToken.HeldToken) => void
  /** A token that was obtained otherwise, perhaps during a renewal. */
  readonly found: (slot: TokenCache.Slot, held: HeldToken.HeldToken) => void
}

/**
 * What remains of the longest token request's weight after each later one: a
 * single slow response is forgotten after a few.
 */
const requestMemory = 0.8

/** Makes it for the slots of a provider and the tokens of its fleet. */
export const make = (
  options: Parameters<typeof AccessToken.windows>[1] & {
    readonly slots: TokenCache.TokenCache
    readonly fleet: Pick<Fleet, "isShared" | "tokens">
    readonly acceptances: Acceptances
    readonly log: RenewalLog
    readonly defaultLifetime: Duration.Duration
    /** Epoch milliseconds. */
    readonly now: () => number
    readonly update: OAuthMetrics.Update
  }
): Adoption => {
  const { acceptances, defaultLifetime, fleet: { isShared, tokens }, now, log, slots, update } = options

  /** How long token requests of this process take (ms): the longest one, which counts less with each later one. */
  let request = 0
  const hold: Adoption["hold"] = (token, isOwn) => {
    if (isOwn) request = Math.max(now() - token.obtainedAt.epochMillis, request * requestMemory)
    return HeldToken.make(token, { ...options, isOwn, requestDuration: Duration.millis(request) })
  }

  const again: Adoption["again"] = ({ state }, token) => HeldToken.again(state.held, token, now())

  const isAdoptable: Adoption["isAdoptable"] = (slot, token, reason) =>
    KeyState.isWorthTaking(slot.state, hold(again(slot, token), false), reason, now())

  const look: Adoption["look"] = (slot, reason) =>
    Effect.map(
      TokenCache.sharesTokens(slot) ? tokens.read(slot.key) : Effect.succeedNone,
      Option.map(({ token, version }) => ({
        token: Option.filter(Option.map(token, (token) => again(slot, token)), (token) =>
          isAdoptable(slot, token, reason)),
        version
      }))
    )

  const takeBy = (transition: typeof KeyState.obtained): Adoption["take"] => (slot, held) => {
    if (slots.isClosed()) return
    const before = slot.state.held
    if (HeldToken.is(before, held.token)) acceptances.renewed(before.token, held.token)
    slot.apply(transition(held, { isShared, defaultLifetime: Duration.toMillis(defaultLifetime) }, now()))
    log.ended(slot)
    measure(update, held.expiresAt - now())
  }

  return {
    hold,
    again,
    isAdoptable,
    look,
    take: takeBy(KeyState.obtained),
    found: takeBy(KeyState.found)
  }
}

/** What remains of a token, which may not expire. */
export const measure = (update: OAuthMetrics.Update, remaining: number): void => {
  if (Number.isFinite(remaining)) update(OAuthMetrics.timeToExpiry, remaining / 1000)
}

/** The token found in the store. */
export const tokenOf = (seen: Option.Option<Found>): AccessToken.AccessToken | undefined =>
  Option.getOrUndefined(Option.flatMap(seen, ({ token }) => token))
