/**
 * What resources say of tokens, and who else hears of it: the fleet of a
 * renewal that brought nothing, and a person of a server with odd habits.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { AccessToken } from "./AccessToken.js"
import type { BoundedStore } from "./BoundedStore.js"
import * as FleetNotes from "./FleetNotes.js"
import * as HeldToken from "./HeldToken.js"
import * as Origin from "./Origin.js"
import * as RejectedTokens from "./RejectedTokens.js"
import * as ServerHabits from "./ServerHabits.js"
import type { Slot } from "./TokenSlots.js"
import * as TokenSlots from "./TokenSlots.js"

/**
 * Takes reports of tokens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verdicts {
  /** The origin took the token. */
  readonly accepted: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin answered 401 to the token. */
  readonly rejected: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin answered 401 to the token that took the place of a rejected one. */
  readonly rejectedAgain: (slot: Slot, token: AccessToken, origin: string) => void
  /** A renewal for the origin brought nothing that helps there: where that holds further ones, the fleet hears of it. */
  readonly hold: (slot: Slot, origin: string, hold: RejectedTokens.Hold | undefined) => void
}

/** With `origins: "any"` the number of origins that take a token has no other bound. */
const maxOrigins = 64

/**
 * Makes it for one provider.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly store: BoundedStore
  readonly notes: FleetNotes.FleetNotes
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}): Verdicts => {
  const { fork, notes, now, store } = options

  const hold: Verdicts["hold"] = (slot, origin, hold) => {
    if (hold === undefined || !store.isShared) return
    const key = FleetNotes.holdKey(slot.request.key, origin)
    fork(Effect.flatMap(notes.countHold(key, hold), (counted) => {
      // It has ended here in the meantime
      if (!slot.rejected?.isHeld(origin, now())) return notes.forget(key)
      slot.rejected.hold(origin, counted, now())
      return Effect.void
    }))
  }

  const rejected: Verdicts["rejected"] = (slot, token, origin) => {
    const known = TokenSlots.known(slot, token)
    const digest = known?.digest ?? HeldToken.digestOf(token, slot.held)
    const life = HeldToken.life(token)
    const rejected = slot.rejected ??= RejectedTokens.make()
    if (known !== undefined && !rejected.has(digest, origin)) {
      const habit = (slot.habits ??= ServerHabits.make()).rejected(known, life, origin, now())
      if (habit !== undefined) {
        fork(Effect.annotateLogs(Effect.logWarning(habits[habit]), "oauth.token.key", slot.request.key))
      }
    }
    rejected.reject(digest, origin, life.expiresAt, now())
    if (slot.held !== undefined && HeldToken.is(slot.held, token)) slot.held.quietUntil = Number.NEGATIVE_INFINITY
  }

  return {
    hold,
    rejected,
    rejectedAgain: (slot, token, origin) => {
      rejected(slot, token, origin)
      const { held } = slot
      if (held === undefined || !held.isOwn || !HeldToken.is(held, token)) return
      hold(slot, origin, slot.rejected?.fruitless(held.digest, origin, now()))
    },
    accepted: (slot, token, origin) => {
      const { held, rejected } = slot
      const known = TokenSlots.known(slot, token)
      const hasEnded = rejected?.accept(known?.digest ?? HeldToken.digestOf(token, held), origin) === true
      if (hasEnded && store.isShared) fork(notes.forget(FleetNotes.holdKey(slot.request.key, origin)))
      if (known === undefined) return
      known.acceptedBy = Origin.add(known.acceptedBy, origin, maxOrigins)
      slot.habits?.accepted(known, origin, now())
      if (known === held && rejected?.has(held.digest) !== true) held.quietUntil = held.refreshAt
    }
  }
}

const habits: Record<ServerHabits.Habit, string> = {
  BoundTokens: "Tokens that other processes were issued are rejected here, as if they were bound to the process that " +
    "asked for them: this process no longer shares its tokens",
  OneActiveToken: "Tokens that worked are rejected long before their end: the server seems to keep one active token " +
    "for each client, so that two scopes or two stores end each other's tokens"
}
