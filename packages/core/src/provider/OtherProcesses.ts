/**
 * What a provider learns from the other processes that use its store, and what
 * it tells them: tokens and pauses. Part of a shared store.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AccessToken } from "../AccessToken.js"
import type * as OAuthMetrics from "../OAuthMetrics.js"
import type { Pause } from "../store/FleetNotes.js"
import type { Told } from "../store/Sharing.js"
import * as Adoption from "./Adoption.js"
import * as HeldToken from "./HeldToken.js"
import * as KeyState from "./KeyState.js"
import * as OriginVerdicts from "./OriginVerdicts.js"
import type * as TokenCache from "./TokenCache.js"

/** The other processes, as one provider deals with them. */
export interface OtherProcesses {
  /** An origin accepted or rejected a token: if this begins or ends a pause, the other processes are told. */
  readonly heard: (slot: TokenCache.Slot, origin: string, before: OriginVerdicts.OriginVerdicts) => void
  /**
   * A token was not stored because another process was first: its token is adopted, or replaced if it is not worth
   * adopting.
   */
  readonly overtaken: (
    slot: TokenCache.Slot,
    token: AccessToken,
    reason: OAuthMetrics.RenewalReason
  ) => Effect.Effect<void>
  /** Another process paused renewals for the origin. */
  readonly paused: (slot: TokenCache.Slot, origin: string, pause: Pause) => void
}

/** Makes it for one provider, and starts to listen. */
export type Make = (options: {
  readonly slots: TokenCache.TokenCache
  readonly adoption: Adoption.Adoption
  /** Runs an effect in the background. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}) => OtherProcesses

/** Makes it for one store. */
export const make = ({ isWriting, pauses, tokens, watch }: Told): Make => ({ adoption, fork, now, slots }) => {
  const pause = (slot: TokenCache.Slot, origin: string, pause: Pause) =>
    slot.apply(KeyState.heard(OriginVerdicts.paused(origin, pause, now())))

  /** Another process stored a token: it is adopted before the next request, in the background. */
  const changed = (key: string) =>
    Effect.suspend(() => {
      const slot = slots.find(key)
      if (slot === undefined) return Effect.void
      const flight = KeyState.flightOf(slot.state)
      if (flight !== undefined) {
        flight.changed.unsafeOpen()
        return Effect.void
      }
      // No caller needs this token unless it replaces one, or ends a failure that answers callers
      if (isWriting(key) || !KeyState.isNews(slot.state, now())) return Effect.void
      const before = slot.state.held?.token
      return Effect.map(adoption.look(slot, "expiry"), (seen) => {
        const token = Adoption.tokenOf(seen)
        if (token !== undefined) adopt(slot, token, before)
      })
    })

  /** Adopts a token of another process, unless the held token has changed meanwhile. */
  const adopt = (slot: TokenCache.Slot, token: AccessToken, before: AccessToken | undefined) => {
    if (isHeld(slot, before) && !isHeld(slot, token)) adoption.found(slot, adoption.hold(token, false))
  }

  fork(Effect.interruptible(watch(changed)))

  return {
    heard: (slot, origin, before) => {
      if (pauses === undefined) return
      const { key, state: { verdicts } } = slot
      if (OriginVerdicts.hasRecovered(before, verdicts, origin)) fork(pauses.forget(key, origin))
      const begun = OriginVerdicts.newPause(before, verdicts, origin)
      if (begun === undefined) return
      fork(Effect.flatMap(pauses.count(key, origin, begun), (counted) => {
        // The pause ended here meanwhile
        if (!OriginVerdicts.isPaused(slot.state.verdicts, origin, now())) return pauses.forget(key, origin)
        pause(slot, origin, counted)
        return Effect.void
      }))
    },
    overtaken: Effect.fnUntraced(function*(slot, token, reason) {
      const seen = yield* adoption.look(slot, reason)
      const winner = Adoption.tokenOf(seen)
      if (winner !== undefined) return adopt(slot, winner, token)
      yield* tokens.write(slot.key, token, Option.flatMap(seen, ({ version }) => version))
    }),
    paused: (slot, origin, given) => {
      pause(slot, origin, given)
      slot.habits?.binding?.paused(origin)
    }
  }
}

/** Whether the slot holds this token, or none. */
const isHeld = ({ state: { held } }: TokenCache.Slot, token: AccessToken | undefined): boolean =>
  token === undefined ? held === undefined : HeldToken.is(held, token)
