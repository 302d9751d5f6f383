/**
 * What is told of tokens, by those who use them and by the renewals that origins
 * have caused: it goes into the state of the key, to the fleet when renewals are
 * paused, and to a person when the server shows an odd habit.
 */
import * as Effect from "effect/Effect"
import type { AccessToken } from "../AccessToken.js"
import type { Hold } from "../store/FleetNotes.js"
import type { Fleet } from "../store/Sharing.js"
import * as HeldToken from "./HeldToken.js"
import * as KeyState from "./KeyState.js"
import * as OriginVerdicts from "./OriginVerdicts.js"
import * as ServerHabits from "./ServerHabits.js"
import type { Slot } from "./TokenCache.js"

/** Takes reports of tokens. */
export interface Reports {
  /** The origin took the token. */
  readonly accepted: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin rejected the token. */
  readonly rejected: (slot: Slot, token: AccessToken, origin: string) => void
  /** The origin rejected the token that took the place of a rejected one. */
  readonly rejectedAgain: (slot: Slot, token: AccessToken, origin: string) => void
  /** The endpoint is asked because of the origin's 401. */
  readonly asked: (slot: Slot, origin: string) => void
  /** A renewal for the origin brought this token. */
  readonly renewed: (slot: Slot, origin: string, identity: string) => void
  /** A renewal for the origin brought the token that it rejects. */
  readonly unchanged: (slot: Slot, origin: string) => void
  /** The fleet has paused renewals for the origin. */
  readonly paused: (slot: Slot, origin: string, pause: Hold) => void
}

/** Makes it for one provider. */
export const make = (options: {
  readonly fleet: Pick<Fleet, "holds" | "makeBinding">
  readonly acceptances: OriginVerdicts.Acceptances
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}): Reports => {
  const { acceptances, fleet: { holds, makeBinding }, fork, now } = options

  const hear = (slot: Slot, verdict: OriginVerdicts.Transition) => slot.apply(KeyState.heard(verdict))

  /** Where a renewal that brought nothing pauses further ones, the fleet hears of it. */
  const fruitless = (slot: Slot, origin: string, verdict: OriginVerdicts.Transition) => {
    const before = slot.state.verdicts
    hear(slot, verdict)
    const pause = OriginVerdicts.newPause(before, slot.state.verdicts, origin)
    if (pause === undefined || holds === undefined) return
    const { key } = slot
    fork(Effect.flatMap(holds.count(key, origin, pause), (counted) => {
      // It has ended here in the meantime
      if (!OriginVerdicts.isPaused(slot.state.verdicts, origin, now())) return holds.forget(key, origin)
      hear(slot, OriginVerdicts.paused(origin, counted, now()))
      return Effect.void
    }))
  }

  const rejected: Reports["rejected"] = (slot, token, origin) => {
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
    hear(slot, OriginVerdicts.rejected(identity, origin, life.expiresAt, now()))
  }

  return {
    rejected,
    rejectedAgain: (slot, token, origin) => {
      rejected(slot, token, origin)
      const { held } = slot.state
      if (held === undefined || !held.isOwn || !HeldToken.is(held, token)) return
      fruitless(slot, origin, OriginVerdicts.fruitless(HeldToken.identity(held), origin, now()))
    },
    accepted: (slot, token, origin) => {
      const { verdicts } = slot.state
      const known = KeyState.known(slot.state, token)
      acceptances.accepted(token, origin)
      // Most keys never see a 401: nothing is to be cleared
      if (verdicts !== OriginVerdicts.none) {
        hear(slot, OriginVerdicts.accepted(HeldToken.identity(token), origin))
      }
      const hasEnded = OriginVerdicts.standing(verdicts, origin)._tag !== "Trusted"
      if (hasEnded && holds !== undefined) fork(holds.forget(slot.key, origin))
      if (known !== undefined) slot.habits?.accepted(known, origin, now())
    },
    asked: (slot, origin) => hear(slot, OriginVerdicts.asked(origin, now())),
    renewed: (slot, origin, identity) => fruitless(slot, origin, OriginVerdicts.renewed(identity, origin, now())),
    unchanged: (slot, origin) => fruitless(slot, origin, OriginVerdicts.unchanged(origin, now())),
    paused: (slot, origin, pause) => {
      hear(slot, OriginVerdicts.paused(origin, pause, now()))
      slot.habits?.held(origin)
    }
  }
}
