/**
 * Reports on tokens, from callers and from renewals that origins caused. Each
 * report changes the state of the key, reaches other processes, and is logged
 * if the server shows an unusual habit.
 */
import * as Effect from "effect/Effect"
import type { AccessToken } from "../AccessToken.js"
import type { Fleet } from "../store/Sharing.js"
import * as HeldToken from "./HeldToken.js"
import * as KeyState from "./KeyState.js"
import * as OriginVerdicts from "./OriginVerdicts.js"
import type { OtherProcesses } from "./OtherProcesses.js"
import * as ServerHabits from "./ServerHabits.js"
import type { Slot } from "./TokenCache.js"

/** Takes reports on tokens. */
export interface Reports {
  /** The origin accepted the token. */
  readonly accepted: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin rejected the token, and a renewal may help. */
  readonly doubted: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin also rejected the replacement of a rejected token. */
  readonly rejected: (slot: Slot, token: AccessToken, origin: string) => void
  /** The result of a renewal for the origin. */
  readonly heard: (slot: Slot, origin: string, verdict: OriginVerdicts.Transition) => void
}

/** Makes it for one provider. */
export const make = (options: {
  readonly fleet: Pick<Fleet, "makeBinding">
  readonly others: OtherProcesses | undefined
  readonly acceptances: OriginVerdicts.Acceptances
  /** Runs an effect in the background. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}): Reports => {
  const { acceptances, fleet: { makeBinding }, fork, now, others } = options

  const heard: Reports["heard"] = (slot, origin, verdict) => {
    const before = slot.state.verdicts
    slot.apply(KeyState.heard(verdict))
    others?.heard(slot, origin, before)
  }

  const doubted: Reports["doubted"] = (slot, token, origin) => {
    const { verdicts } = slot.state
    const known = KeyState.known(slot.state, token)
    const identity = HeldToken.identity(token)
    const life = HeldToken.life(token)
    if (known !== undefined && !OriginVerdicts.has(verdicts, identity, origin)) {
      const hasWorked = acceptances.hasWorked(token, origin)
      const habit = (slot.habits ??= ServerHabits.make(makeBinding?.())).rejected(
        known,
        life,
        origin,
        hasWorked,
        now()
      )
      if (habit !== undefined) {
        fork(Effect.annotateLogs(Effect.logWarning(habit), "oauth.token.key", slot.name))
      }
    }
    acceptances.rejected(token, origin)
    heard(slot, origin, OriginVerdicts.rejected(identity, origin, life.expiresAt, now()))
  }

  return {
    doubted,
    rejected: (slot, token, origin) => {
      doubted(slot, token, origin)
      const { held } = slot.state
      if (!HeldToken.is(held, token) || !held.isOwn) return
      heard(slot, origin, OriginVerdicts.fruitless(HeldToken.identity(held), origin, now()))
    },
    accepted: (slot, token, origin) => {
      const known = KeyState.known(slot.state, token)
      acceptances.accepted(token, origin)
      // Most keys never see a 401: there is nothing to clear
      if (slot.state.verdicts !== OriginVerdicts.none) {
        heard(slot, origin, OriginVerdicts.accepted(HeldToken.identity(token), origin))
      }
      if (known !== undefined) slot.habits?.binding?.accepted(known, origin, now())
    },
    heard
  }
}
