/**
 * Which token a key holds: one that was issued to this process, or one that
 * another has stored. What is worth taking from the store is said here.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as AccessToken from "./AccessToken.js"
import * as HeldToken from "./HeldToken.js"
import * as OAuthMetrics from "./OAuthMetrics.js"
import type { Outages } from "./Outages.js"
import type { Purpose } from "./Renewal.js"
import type { SharedTokens } from "./SharedTokens.js"
import * as TokenSlots from "./TokenSlots.js"

/**
 * Takes tokens into the slots of a provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Adoption {
  readonly hold: (token: AccessToken.AccessToken, isOwn: boolean) => HeldToken.HeldToken
  /** A token serves until its time has really run out. */
  readonly isAlive: (held: HeldToken.HeldToken | undefined) => held is HeldToken.HeldToken
  readonly isRejected: (slot: TokenSlots.Slot, held: HeldToken.HeldToken, origin?: string) => boolean
  /** The token that can be sent to this origin. */
  readonly usable: (slot: TokenSlots.Slot, origin: string) => HeldToken.HeldToken | undefined
  /** A token of the store is worth taking if it is still fresh, and neither rejected by anyone nor replaced here. */
  readonly isAdoptable: (slot: TokenSlots.Slot, token: AccessToken.AccessToken, purpose: Purpose) => boolean
  /** The token of the store, if it is worth taking. */
  readonly find: (slot: TokenSlots.Slot, purpose: Purpose) => Effect.Effect<HeldToken.HeldToken | undefined>
  /** The token that a renewal brought; the endpoint works. */
  readonly take: (slot: TokenSlots.Slot, held: HeldToken.HeldToken) => void
  /** Stores a token. When somebody else was first, theirs is adopted, or replaced if it is no longer worth that. */
  readonly share: (
    slot: TokenSlots.Slot,
    held: HeldToken.HeldToken,
    replaces: Option.Option<string>,
    purpose: Purpose
  ) => Effect.Effect<void>
  /** Another process has stored a token: it is adopted before the next request, and nobody waits for that. */
  readonly changed: (key: string) => Effect.Effect<void>
}

/**
 * Makes it for the slots of a provider and the tokens of its fleet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Parameters<typeof AccessToken.windows>[1] & {
    readonly slots: TokenSlots.TokenSlots
    readonly tokens: SharedTokens
    /** Whether other processes write to the store as well. */
    readonly isShared: boolean
    readonly outages: Outages
    readonly defaultLifetime: Duration.Duration
    /** Epoch milliseconds. */
    readonly now: () => number
    readonly update: OAuthMetrics.Update
  }
): Adoption => {
  const { defaultLifetime, isShared, now, outages, slots, tokens, update } = options

  const hold: Adoption["hold"] = (token, isOwn) => HeldToken.make(token, { ...options, isOwn })

  const isAlive: Adoption["isAlive"] = (held): held is HeldToken.HeldToken => HeldToken.isAlive(held, now())

  const isRejected: Adoption["isRejected"] = (slot, held, origin) => slot.rejected?.has(held.digest, origin) === true

  const isWorthTaking = (slot: TokenSlots.Slot, candidate: HeldToken.HeldToken, purpose: Purpose): boolean => {
    const { freshUntil, refreshAt } = candidate
    const isFresh = now() < (purpose === "background" ? refreshAt : freshUntil)
    const isOld = slot.replaced !== undefined && slot.replaced.digest === candidate.digest
    return isFresh && !isOld && !isRejected(slot, candidate)
  }

  const read = (slot: TokenSlots.Slot, purpose: Purpose) =>
    Effect.map(tokens.read(slot.request.key), (found) => {
      const held = Option.map(Option.flatMap(found, ({ token }) => token), (token) => hold(token, false))
      return {
        version: Option.flatMap(found, ({ version }) => version),
        held: Option.getOrUndefined(Option.filter(held, (held) => isWorthTaking(slot, held, purpose)))
      }
    })

  const keep = (slot: TokenSlots.Slot, held: HeldToken.HeldToken) => {
    if (isRejected(slot, held)) held.quietUntil = Number.NEGATIVE_INFINITY
    const previous = slot.held
    slot.held = held
    slot.backgroundFailures = 0
    slot.backgroundNotBefore = 0
    if (previous === undefined) return
    if (!HeldToken.is(previous, held.token)) {
      // A store of this process alone has missed no write, and an app may have very many keys in it
      slot.replaced = isShared ? HeldToken.replaced(previous) : undefined
      return
    }
    held.acceptedBy = previous.acceptedBy
    if (held.isOwn) {
      // The endpoint keeps to its token for now: asking again at once would bring it once more
      const { expiresAt, freshUntil } = held
      const end = now() < freshUntil ? freshUntil : Math.min(expiresAt, now() + Duration.toMillis(defaultLifetime))
      slot.backgroundNotBefore = now() + Math.max(0, end - now()) / 2
    }
    held.isOwn ||= previous.isOwn
  }

  const take: Adoption["take"] = (slot, held) => {
    if (slots.isClosed()) return
    slot.cooldown = undefined
    slot.failure = undefined
    keep(slot, held)
    outages.ended(slot)
    const remaining = held.expiresAt - now()
    if (Number.isFinite(remaining)) update(OAuthMetrics.timeToExpiry, remaining / 1000)
  }

  return {
    hold,
    isAlive,
    isRejected,
    usable: (slot, origin) =>
      !slots.isClosed() && isAlive(slot.held) && !isRejected(slot, slot.held, origin) ? slot.held : undefined,
    isAdoptable: (slot, token, purpose) => isWorthTaking(slot, hold(token, false), purpose),
    find: (slot, purpose) => Effect.map(read(slot, purpose), ({ held }) => held),
    take,
    share: Effect.fnUntraced(function*(slot, held, replaces, purpose) {
      slot.isWriting = true
      const written = yield* tokens.write(slot.request.key, held.token, replaces)
      slot.isWriting = false
      if (written) return
      const winner = yield* read(slot, purpose)
      if (winner.held === undefined) {
        yield* tokens.write(slot.request.key, held.token, winner.version)
      } else if (slot.held === held && !HeldToken.is(winner.held, held.token)) {
        keep(slot, winner.held)
      }
    }),
    changed: (key) =>
      Effect.suspend(() => {
        const slot = slots.find(key)
        if (slot?.flight !== undefined) {
          slot.flight.changed.unsafeOpen()
          return Effect.void
        }
        if (slot === undefined || slot.isWriting || !TokenSlots.sharesTokens(slot)) return Effect.void
        const { held } = slot
        // Without a token, and without a failure that it could end, nobody waits for this one
        if (held === undefined && slot.cooldown?.failure(now()) === undefined) return Effect.void
        return Effect.map(read(slot, "expiry"), (found) => {
          if (found.held === undefined || slot.held !== held) return
          if (held === undefined || !HeldToken.is(found.held, held.token)) take(slot, found.held)
        })
      })
  }
}
