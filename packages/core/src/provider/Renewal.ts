/**
 * One renewal: a token that another process stored is adopted before the
 * endpoint is asked, and the processes that share the store take turns at
 * asking.
 *
 * If the store fails, or tokens are not shared, a renewal follows only the
 * endpoint's Schedule.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as AccessToken from "../AccessToken.js"
import * as RetryDelay from "../endpoint/RetryDelay.js"
import { TokenEndpointError, TokenProviderError } from "../OAuthError.js"
import * as Sharing from "../store/Sharing.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"
import * as Adoption from "./Adoption.js"
import type { Failure } from "./Cooldown.js"
import * as HeldToken from "./HeldToken.js"
import type { Flight } from "./KeyState.js"
import * as OriginVerdicts from "./OriginVerdicts.js"
import type { Reports } from "./Reports.js"
import type { TokenAttempts } from "./TokenAttempts.js"
import type { Slot } from "./TokenCache.js"
import * as TokenCache from "./TokenCache.js"

/** Renews the token of a key, and notes in the flight how that goes. */
export type Renewal = (slot: Slot, flight: Flight) => Effect.Effect<Sharing.Outcome, Failure>

/** Options of renewals. */
export interface Options {
  readonly maxWait: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly endpoint: Pick<TokenEndpoint["Type"], "address" | "retry">
  readonly attempt: TokenAttempts
  readonly adoption: Pick<Adoption.Adoption, "again" | "isAdoptable" | "look">
  readonly reports: Pick<Reports, "heard">
  readonly fleet: Sharing.Fleet
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** A background renewal that found another process renewing looks again after at least this long (ms). */
const busyInterval = 250

/** The error of callers whose wait ends. The endpoint's error tells more than that the wait timed out. */
export const waitIsOver = ({ lastError, waitsFor }: Flight, { failureCooldown, maxWait, now }: Options): Failure =>
  lastError ?? new TokenProviderError({
    reason: "MaxWait",
    waited: maxWait,
    description: waitsFor && `${waitsFor.what} after ${Duration.format(now() - waitsFor.since)}`,
    retryAfter: failureCooldown
  })

/** Makes the renewals of one provider. */
export const make = (options: Options): Renewal => {
  const { adoption, attempt, endpoint, fleet, maxWait, now, reports } = options

  return (slot, flight) => {
    const { callers, changed, origin, reason } = flight
    const { key, request } = slot
    const look = adoption.look(slot, reason)
    const delayAfter = RetryDelay.make(endpoint.retry)
    /** When it must end (epoch milliseconds); an attempt in progress continues. */
    const deadline = now() + Duration.toMillis(maxWait)
    /** The earliest time of the next attempt (epoch milliseconds). */
    let notBefore = 0

    const waits = (what: string, notBefore = 0) => {
      if (flight.waitsFor?.what !== what) flight.waitsFor = { what, since: now() }
      callers.nothingBefore(notBefore)
    }

    const accept = (given: AccessToken.AccessToken) => {
      const token = adoption.again(slot, given)
      return token === given || now() < HeldToken.life(token).expiresAt
        ? Effect.succeed(token)
        : new TokenEndpointError({
          reason: "InvalidResponse",
          endpoint: endpoint.address,
          status: 200,
          description: "the token is the same as before, and it has expired",
          // A server that returns the same token until it expires returns another one then
          retryAfter: Duration.zero
        })
    }

    const ask = Effect.suspend(() => {
      const number = ++flight.attempts
      waits(`attempt ${number} at ${endpoint.address} is still running`)
      if (reason === "rejection") reports.heard(slot, origin, OriginVerdicts.asked(origin, now()))
      return Effect.flatMap(
        attempt({
          key,
          request,
          deadline,
          sharesTokens: TokenCache.sharesTokens(slot),
          isAdoptable: (token) => adoption.isAdoptable(slot, token, reason),
          attempt: number
        }),
        accept
      )
    })

    const tryAgain: Sharing.Renewal["tryAgain"] = (error, delay, others = Infinity) =>
      Effect.suspend((): ReturnType<Sharing.Renewal["tryAgain"]> => {
        if (Option.isNone(delay) || reason === "background") return error
        const failedAt = now()
        const earliest = failedAt + Math.min(delay.value, others)
        if (earliest >= deadline) return error
        flight.lastError = error
        flight.failedAt = failedAt
        callers.nothingBefore(earliest)
        notBefore = failedAt + delay.value
        return Effect.succeed(delay.value)
      })

    const askAlone: Sharing.Renewal["askAlone"] = ask.pipe(
      Effect.map((token) => Sharing.Outcome.Issued({ token, replaces: Option.none(), finish: Effect.void })),
      Effect.catchTag(
        "TokenEndpointError",
        "DiscoveryError",
        (error) => Effect.flatMap(delayAfter(error), (delay) => tryAgain(error, delay))
      )
    )

    const turns = fleet.enter({
      key,
      flight,
      deadline,
      look,
      ask,
      askAlone,
      delayAfter,
      tryAgain,
      onBusy: (notBefore) =>
        waits(`another process is requesting a token from ${endpoint.address}, and has not stored one`, notBefore)
    })

    /** One look at the store and its consequence: an outcome, or the milliseconds until the next look. */
    const round = Effect.flatMap(look, (found): typeof askAlone => {
      const stored = Adoption.tokenOf(found)
      if (stored !== undefined) return Effect.succeed(Sharing.Outcome.Adopted({ token: stored }))
      const { failedAt = 0 } = flight
      const at = now()
      // A clock that was set back must not prolong it
      if (at >= failedAt && at < notBefore) return Effect.succeed(notBefore - at)
      return turns.take(found)
    })

    const rounds = Effect.gen(function*() {
      while (true) {
        changed.unsafeClose()
        const result = yield* turns.bound(round)
        if (typeof result !== "number") return result
        if (reason === "background") return Sharing.Outcome.Busy({ again: Math.max(result, busyInterval) })
        // In whole milliseconds: a clock that counts in milliseconds does not advance for less
        yield* Effect.timeoutOption(changed.await, Math.ceil(Math.min(result, deadline - now())))
        if (now() >= deadline) return yield* waitIsOver(flight, options)
      }
    })

    return Effect.ensuring(rounds, turns.leave)
  }
}
