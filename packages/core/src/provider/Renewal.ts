/**
 * One renewal: a token that another process stored is adopted before the
 * endpoint is asked, and the processes that share the store take turns at
 * asking.
 *
 * If the store fails, or tokens are not shared, a renewal follows only the
 * endpoint's Schedule.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as AccessToken from "../AccessToken.js"
import * as RetryDelay from "../endpoint/RetryDelay.js"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"
import type * as OAuthMetrics from "../OAuthMetrics.js"
import type { Found } from "../store/SharedTokens.js"
import * as Sharing from "../store/Sharing.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"
import type { ResolvedTokenRequest } from "../TokenRequest.js"
import type { TokenAttempts } from "./TokenAttempts.js"

/** A renewal to be made, and its callbacks. */
export interface Renewal {
  /** The key of the token in the store. */
  readonly key: string
  readonly request: ResolvedTokenRequest
  readonly reason: OAuthMetrics.RenewalReason
  readonly origin: string
  /** `false` if tokens are neither read from the store nor written to it. */
  readonly sharesTokens: boolean
  /** When it must end (epoch milliseconds); an attempt in progress continues. */
  readonly deadline: number
  /** Refuses a token that is of no use. */
  readonly accept: (token: AccessToken.AccessToken) => Effect.Effect<AccessToken.AccessToken, TokenRequestError>
  readonly isAdoptable: (token: AccessToken.AccessToken) => boolean
  /** The store's entry, with the token only if it is worth adopting; `None` if the store failed. */
  readonly look: Effect.Effect<Option.Option<Found>>
  /** Opened when the store changes, to look again. */
  readonly changed: Effect.Latch
  /** The error after the deadline. */
  readonly waitIsOver: () => Failure
  /** The endpoint is about to be asked. */
  readonly onAsk: () => void
  /** Another process renews. */
  readonly onBusy: Sharing.Renewal["onBusy"]
  /** An attempt failed, and none is made before this time (epoch milliseconds). */
  readonly onFailure: (error: TokenRequestError, notBefore: number) => void
}

type Failure = TokenRequestError | TokenProviderError

/** A background renewal that found another process renewing looks again after at least this long (ms). */
const busyInterval = 250

/** Makes renewals over a store and an endpoint. */
export const make = (options: {
  readonly endpoint: Pick<TokenEndpoint["Type"], "retry">
  readonly attempt: TokenAttempts
  readonly fleet: Sharing.Fleet
}): (renewal: Renewal) => Effect.Effect<Sharing.Outcome, Failure> => {
  const { attempt, endpoint, fleet } = options

  return (renewal) =>
    Effect.suspend(() => {
      const { changed, deadline, look, onAsk, onFailure, reason } = renewal
      const delayAfter = RetryDelay.make(endpoint.retry)
      let attempts = 0
      /** When the last attempt failed, and the earliest time of the next (epoch milliseconds). */
      let failedAt = 0
      let notBefore = 0

      const ask = Effect.suspend(() => {
        onAsk()
        attempts++
        return Effect.flatMap(attempt(renewal, attempts), renewal.accept)
      })

      const tryAgain: Sharing.Renewal["tryAgain"] = (error, delay, others = Infinity) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (Option.isNone(delay) || reason === "background") return Effect.fail(error)
          const millis = delay.value
          const earliest = now + Math.min(millis, others)
          if (earliest >= deadline) return Effect.fail(error)
          onFailure(error, earliest)
          failedAt = now
          notBefore = now + millis
          return Effect.succeed(millis)
        })

      const askAlone: Sharing.Renewal["askAlone"] = ask.pipe(
        Effect.map((token) => Sharing.Outcome.Issued({ token, replaces: Option.none(), finish: Effect.void })),
        Effect.catchTag("TokenEndpointError", "DiscoveryError", (error) =>
          Effect.flatMap(delayAfter(error), (delay) =>
            tryAgain(error, delay)))
      )

      const turns = fleet.enter({
        ...renewal,
        ask,
        attempts: () =>
          attempts,
        askAlone,
        delayAfter,
        tryAgain
      })

      /** One look at the store and its consequence: an outcome, or the milliseconds until the next look. */
      const round = Effect.fnUntraced(function*() {
        const found = yield* look
        const stored = Option.flatMap(found, ({ token }) => token)
        if (Option.isSome(stored)) return Sharing.Outcome.Adopted({ token: stored.value })
        const now = yield* Clock.currentTimeMillis
        // A clock that was set back must not prolong it
        if (now >= failedAt && now < notBefore) return notBefore - now
        return yield* Option.isNone(found) ? turns.alone : turns.take(found.value)
      })

      const rounds = Effect.gen(function*() {
        while (true) {
          changed.unsafeClose()
          const result = yield* turns.bound(round())
          if (typeof result !== "number") return result
          if (reason === "background") return Sharing.Outcome.Busy({ again: Math.max(result, busyInterval) })
          const rest = deadline - (yield* Clock.currentTimeMillis)
          // In whole milliseconds: a clock that counts in milliseconds does not advance for less
          yield* Effect.timeoutOption(changed.await, Math.ceil(Math.min(result, rest)))
          if ((yield* Clock.currentTimeMillis) >= deadline) {
            return yield* renewal.waitIsOver()
          }
        }
      })

      return Effect.ensuring(rounds, turns.leave)
    })
}
