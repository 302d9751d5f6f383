/**
 * What a person should know of renewals that fail: when it begins, when it
 * becomes worse, and when it is over. However many requests, keys and attempts
 * there are, the lines are few.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Cooldown from "./Cooldown.js"
import * as ErrorAttributes from "./ErrorAttributes.js"
import type { Slot } from "./TokenSlots.js"

/**
 * What a failed renewal means for those who need the token.
 *
 * @since 0.1.0
 * @category models
 */
export type Consequence = "serves" | "rejected" | "missing"

/**
 * Says what becomes of the renewals of each key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outages {
  /** A renewal failed; without a failure, by a defect of the endpoint. */
  readonly failed: (slot: Slot, consequence: Consequence, failure: Cooldown.Failure | undefined) => void
  /** There is a new token. */
  readonly ended: (slot: Slot) => void
}

/** Of many keys that fail alike one speaks, at most so often (ms). */
const interval = 60_000

const consequences: Record<Consequence, string> = {
  serves: "the token in use serves on until it expires",
  rejected: "and the token in use is rejected",
  missing: "and requests fail without a token"
}

/**
 * Makes it for one provider.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}): Outages => {
  const { fork, now } = options
  /** What was said of the failures that go on. */
  const current = new WeakMap<Slot, string>()
  /** When it was said last, of whichever key. */
  const saidAt = new Map<string, number>()

  return {
    failed: (slot, consequence, failure) => {
      const attributes = failure && ErrorAttributes.make(failure)
      const kind = [consequence, ...Object.values(attributes ?? {})].join(" ")
      // A clock that was set back must not make it silent
      if (current.get(slot) === kind || Math.abs(now() - (saidAt.get(kind) ?? Number.NEGATIVE_INFINITY)) < interval) {
        return
      }
      current.set(slot, kind)
      saidAt.set(kind, now())
      const reason = failure?.message ?? "The token endpoint died"
      // What passes by itself, while nobody is worse off for it, is no error yet
      const isError = consequence !== "serves" || failure === undefined || !Cooldown.isPassing(failure)
      const log = isError ? Effect.logError : Effect.logWarning
      fork(Effect.annotateLogs(log(`Token renewal failed, ${consequences[consequence]}. ${reason}`), {
        "oauth.token.key": slot.request.key,
        ...attributes
      }))
    },
    ended: (slot) => {
      if (!current.delete(slot)) return
      fork(Effect.annotateLogs(Effect.logInfo("Token renewal works again"), "oauth.token.key", slot.request.key))
    }
  }
}
