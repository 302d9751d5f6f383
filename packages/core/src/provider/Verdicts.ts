/**
 * What resources say of tokens, and who else hears of it: the fleet of a
 * renewal that brought nothing, and a person of a server with odd habits.
 */
import * as Effect from "effect/Effect"
import type { AccessToken } from "../AccessToken.js"
import type { BoundedStore } from "../store/BoundedStore.js"
import * as FleetNotes from "../store/FleetNotes.js"
import * as HeldToken from "./HeldToken.js"
import * as KeyState from "./KeyState.js"
import * as RejectedTokens from "./RejectedTokens.js"
import * as ServerHabits from "./ServerHabits.js"
import type { Slot } from "./TokenCache.js"

/** Takes reports of tokens. */
export interface Verdicts {
  /** The origin took the token. */
  readonly accepted: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin answered 401 to the token. */
  readonly rejected: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin answered 401 to the token that took the place of a rejected one. */
  readonly rejectedAgain: (slot: Slot, token: AccessToken, origin: string) => void
  /** The endpoint is asked because of the origin's 401. */
  readonly asked: (slot: Slot, origin: string) => void
  /** A renewal for the origin brought this token. */
  readonly renewed: (slot: Slot, origin: string, digest: string) => void
  /** A renewal for the origin brought the token that it rejects. */
  readonly unchanged: (slot: Slot, origin: string) => void
  /** The fleet holds renewals for the origin. */
  readonly held: (slot: Slot, origin: string, hold: FleetNotes.Hold) => void
}

/** Makes it for one provider. */
export const make = (options: {
  readonly store: BoundedStore
  readonly notes: FleetNotes.FleetNotes
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}): Verdicts => {
  const { fork, notes, now, store } = options

  /** A renewal for the origin brought nothing that helps there: where that holds further ones, the fleet hears of it. */
  const hold = (slot: Slot, origin: string, hold: FleetNotes.Hold | undefined) => {
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
    const { state } = slot
    const known = KeyState.known(state, token)
    const digest = known?.digest ?? HeldToken.digestOf(token, state.held)
    const life = HeldToken.life(token)
    const rejected = slot.rejected ??= RejectedTokens.make()
    if (known !== undefined && !rejected.has(digest, origin)) {
      const habit = (slot.habits ??= ServerHabits.make()).rejected(known, life, origin, now())
      if (habit !== undefined) {
        fork(Effect.annotateLogs(Effect.logWarning(habits[habit]), "oauth.token.key", slot.request.key))
      }
    }
    rejected.reject(digest, origin, life.expiresAt, now())
    if (known === state.held) slot.apply(KeyState.doubted)
  }

  return {
    rejected,
    rejectedAgain: (slot, token, origin) => {
      rejected(slot, token, origin)
      const { held } = slot.state
      if (held === undefined || !held.isOwn || !HeldToken.is(held, token)) return
      hold(slot, origin, slot.rejected?.fruitless(held.digest, origin, now()))
    },
    accepted: (slot, token, origin) => {
      const { rejected, state } = slot
      const known = KeyState.known(state, token)
      const hasEnded = rejected?.accept(known?.digest ?? HeldToken.digestOf(token, state.held), origin) === true
      if (hasEnded && store.isShared) fork(notes.forget(FleetNotes.holdKey(slot.request.key, origin)))
      if (known === undefined) return
      slot.apply(KeyState.accepted(known, origin, rejected?.has(known.digest) === true))
      slot.habits?.accepted(known, origin, now())
    },
    asked: (slot, origin) => slot.rejected?.spend(origin, now()),
    renewed: (slot, origin, digest) => hold(slot, origin, slot.rejected?.renewed(digest, origin, now())),
    unchanged: (slot, origin) => hold(slot, origin, slot.rejected?.unchanged(origin, now())),
    held: (slot, origin, hold) => {
      slot.rejected?.hold(origin, hold, now())
      slot.habits?.held(origin)
    }
  }
}

const habits: Record<ServerHabits.Habit, string> = {
  BoundTokens: "Tokens that other processes were issued are rejected here, as if they were bound to the process that " +
    "asked for them: this process no longer shares its tokens",
  OneActiveToken: "Tokens that worked are rejected long before their end: the server seems to keep one active token " +
    "for each client, so that two scopes or two stores end each other's tokens"
}
