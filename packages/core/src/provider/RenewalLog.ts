/**
 * What operators need to know of failing renewals: when failing starts, gets
 * worse and ends. Logs few lines, however many requests, keys and attempts
 * there are.
 */
import * as Effect from "effect/Effect"
import * as ErrorAttributes from "../disclosure/ErrorAttributes.js"
import type * as Cooldown from "./Cooldown.js"
import type { Slot } from "./TokenCache.js"

/** What a failed renewal means for callers that need the token. */
type Consequence = "serves" | "rejected" | "missing"

/** The key whose renewals are logged. */
type Subject = Pick<Slot, "name" | "request">

/** Logs the renewals of each key. */
export interface RenewalLog {
  /** A renewal failed. */
  readonly failed: (slot: Subject, consequence: Consequence, failure: Cooldown.Failure) => void
  /** There is a new token. */
  readonly ended: (slot: Subject) => void
}

/** Of many keys that fail alike, one is logged per interval (ms). */
const interval = 60_000

const beginnings: Record<Consequence, string> = {
  serves: "Token renewal failed; the current token is used until it expires",
  rejected: "Token renewal failed, and the current token is rejected",
  // Whether or not there was a token before
  missing: "No token is available: requests fail"
}

const endOf = (kind: string): string =>
  kind.startsWith("missing") ? "A token is available again" : "Token renewal works again"

/** Makes it for one provider. */
export const make = (options: {
  /** Runs an effect in the background. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** Epoch milliseconds. */
  readonly now: () => number
}): RenewalLog => {
  const { fork, now } = options
  /** What was logged of failures that continue, whatever their tokens would be bound to. */
  const current = new Map<string, string>()
  /** When a message was last logged, for any key. */
  const saidAt = new Map<string, number>()

  return {
    failed: (slot, consequence, failure) => {
      const attributes = ErrorAttributes.make(failure)
      const kind = [consequence, ...Object.values(attributes)].join(" ")
      const subject = subjectOf(slot)
      // A clock that was set back must not silence the log
      if (
        current.get(subject) === kind ||
        Math.abs(now() - (saidAt.get(kind) ?? -Infinity)) < interval
      ) {
        return
      }
      current.set(subject, kind)
      saidAt.set(kind, now())
      // A transient failure is no error as long as callers are not affected
      const isError = consequence !== "serves" || !failure.isTransient
      const log = isError ? Effect.logError : Effect.logWarning
      fork(Effect.annotateLogs(log(`${beginnings[consequence]}. ${failure.message}`), {
        "oauth.token.key": slot.name,
        ...attributes
      }))
    },
    ended: (slot) => {
      // The usual case: nothing to look up
      if (current.size === 0) return
      const subject = subjectOf(slot)
      const said = current.get(subject)
      if (said === undefined) return
      current.delete(subject)
      fork(Effect.annotateLogs(Effect.logInfo(endOf(said)), "oauth.token.key", slot.name))
    }
  }
}

/** The key without what tokens are bound to, which may change while the endpoint is unavailable. */
const subjectOf = ({ request: { grant, params } }: Subject): string => JSON.stringify([grant.type, grant.id, params])
