/**
 * How one renewal goes: what another process has stored is adopted before the
 * endpoint is asked, and the processes of a fleet take turns at asking. A turn
 * is a lease of the store, and covers one attempt.
 *
 * Where the store is not shared, or fails, a renewal is on its own and keeps to
 * the Schedule of the endpoint alone.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import type * as AccessToken from "../AccessToken.js"
import { type TokenEndpointError, TokenProviderError } from "../OAuthError.js"
import * as OAuthMetrics from "../OAuthMetrics.js"
import * as RetryPolicy from "../RetryPolicy.js"
import type { BoundedStore } from "../store/BoundedStore.js"
import * as FleetNotes from "../store/FleetNotes.js"
import { type Found, randomName, type SharedTokens } from "../store/SharedTokens.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"
import type { ResolvedTokenRequest } from "../TokenRequest.js"
import type { TokenAttempts } from "./TokenAttempts.js"

/** A renewal to be made, and what its maker wants to hear of it. */
export interface Renewal {
  readonly request: ResolvedTokenRequest
  readonly reason: OAuthMetrics.RenewalReason
  readonly origin: string
  /** `false` leaves the store out of it. */
  readonly sharesTokens: boolean
  /** When it must have come to an end (epoch milliseconds); an attempt under way goes on. */
  readonly deadline: number
  readonly isAdoptable: (token: AccessToken.AccessToken) => boolean
  /** Opened when the store has changed: it is looked at again. */
  readonly changed: Effect.Latch
  /** The endpoint is about to be asked. */
  readonly onAsk: () => void
  /** Other processes are at it. */
  readonly onBusy: () => void
  /** An attempt failed, and is made again if there is time. */
  readonly onFailure: (error: TokenEndpointError) => void
}

/**
 * What a renewal brings:
 *
 * - `Adopted`: the token of the store.
 * - `Issued`: a new token, to be written in place of the version `replaces`.
 *   Once it is written, `finish` passes the turn on.
 * - `Held`: nothing, for the fleet holds renewals for this origin.
 * - `Busy`: nothing, for another process is at it and nobody here waits.
 */
export type Outcome = Data.TaggedEnum<{
  Adopted: { readonly token: AccessToken.AccessToken }
  Issued: {
    readonly token: AccessToken.AccessToken
    readonly replaces: Option.Option<string>
    readonly finish: Effect.Effect<void>
  }
  Held: { readonly hold: FleetNotes.Note }
  Busy: { readonly again: number }
}>

/** Makes outcomes. */
export const Outcome = Data.taggedEnum<Outcome>()

type Failure = TokenEndpointError | TokenProviderError

/** A lease is extended so often while its attempt runs that one lost extension does not end it. */
const extensions = 3
/** A process that waits for its turn looks this often, unless it is told before (ms). */
const pollInterval = { min: 100, max: 300 }
/** A background renewal that found another process at it looks again after this at the earliest (ms). */
const busyInterval = 250
/** The longest pace of the fleet (ms): whoever waits for a token must still see an attempt within `maxWait`. */
const maxPace = 5_000
/** The process that failed lets the others try first: theirs may be the better network. */
const patience = 1.5
/** The others come one after the other, within this part of the pace. */
const paceJitter = 0.2
/** Beyond this many failures in a row no Schedule is followed any further. */
const maxSteps = 30

/** How far a renewal has come. */
interface Progress {
  attempts: number
  /** When the last attempt failed (epoch milliseconds). */
  failedAt: number
  /** Before this it makes no attempt (epoch milliseconds). */
  notBefore: number
  /** Since when another process has the turn (epoch milliseconds). */
  waitingSince: number | undefined
  readonly delayAfter: (error: TokenEndpointError) => Effect.Effect<Option.Option<number>>
}

/** Makes renewals over a store and an endpoint. */
export const make = (options: {
  readonly endpoint: Pick<TokenEndpoint["Type"], "retry">
  readonly attempt: TokenAttempts
  readonly store: BoundedStore
  readonly tokens: SharedTokens
  readonly notes: FleetNotes.FleetNotes
  readonly leaseDuration: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly maxWait: Duration.Duration
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly update: OAuthMetrics.Update
}): (renewal: Renewal) => Effect.Effect<Outcome, Failure> => {
  const { attempt, endpoint, failureCooldown, fork, leaseDuration, maxWait, notes, store, tokens, update } = options

  const ask = (renewal: Renewal, progress: Progress) =>
    Effect.suspend(() => {
      renewal.onAsk()
      progress.attempts++
      return attempt(renewal, progress.attempts)
    })

  /** How long until this process tries again, if it does; `pace` is what it asks of the others. */
  const tryAgain = (
    { onFailure, reason }: Renewal,
    progress: Progress,
    error: TokenEndpointError,
    own: Option.Option<number>,
    pace: number
  ) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (Option.isNone(own) || reason === "background") return Effect.fail(error)
      onFailure(error)
      const millis = Math.max(own.value, pace * patience)
      progress.failedAt = now
      progress.notBefore = now + millis
      return Effect.succeed(millis)
    })

  const askAlone = (renewal: Renewal, progress: Progress) =>
    ask(renewal, progress).pipe(
      Effect.map((token) => Outcome.Issued({ token, replaces: Option.none(), finish: Effect.void })),
      Effect.catchTag("TokenEndpointError", (error) =>
        Effect.flatMap(progress.delayAfter(error), (own) => tryAgain(renewal, progress, error, own, 0)))
    )

  /** A failed attempt slows the whole fleet down, and this process more than the others. */
  const slowDown = Effect.fnUntraced(function*(
    renewal: Renewal,
    progress: Progress,
    error: TokenEndpointError,
    pace: Option.Option<FleetNotes.Found>
  ) {
    const own = yield* progress.delayAfter(error)
    if (!store.isShared) return yield* tryAgain(renewal, progress, error, own, 0)
    // A definite answer is for the process that got it: another may have other credentials
    if (Option.isNone(own) && !RetryPolicy.transient(error)) return yield* error
    const count = Option.match(pace, { onNone: () => 1, onSome: ({ count }) => count + 1 })
    const delay = count === progress.attempts ? own : yield* nthDelay(endpoint.retry, error, count)
    const remaining = Math.min(
      maxPace,
      Math.max(
        Option.getOrElse(delay, () => Duration.toMillis(failureCooldown)),
        Option.isNone(own) ? Duration.toMillis(failureCooldown) : 0,
        Duration.toMillis(error.retryAfter ?? Duration.zero)
      )
    )
    const replaces = Option.map(pace, ({ version }) => version)
    yield* notes.write(FleetNotes.paceKey(renewal.request.key), { count, remaining }, replaces)
    return yield* tryAgain(renewal, progress, error, own, remaining)
  })

  /** Keeps the lease while an effect runs. One that the store has lost, as in a failover, is taken anew. */
  const extending = (key: string, owner: string) => <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    const extend = Effect.flatMap(
      store.extendLease(key, owner, leaseDuration),
      (extended) =>
        Option.contains(extended, false) ? store.acquireLease(key, owner, leaseDuration) : Effect.succeed(extended)
    )
    const interval = Duration.millis(Duration.toMillis(leaseDuration) / extensions)
    return Effect.raceFirst(effect, Effect.forever(Effect.delay(extend, interval)))
  }

  /** A renewal in the background does not wait. */
  const endWait = ({ reason }: Renewal, progress: Progress) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const { waitingSince } = progress
      if (waitingSince === undefined) return
      progress.waitingSince = undefined
      if (reason !== "background") update(OAuthMetrics.leaseWaitDuration, (now - waitingSince) / 1000)
    })

  /** With the lease in hand. */
  const useTurn = Effect.fnUntraced(function*(renewal: Renewal, progress: Progress, owner: string, found: Found) {
    const { isAdoptable, request: { key } } = renewal
    // Whoever had the turn before may have stored a token since, or failed
    const seen = Option.getOrElse(yield* tokens.read(key), () => found)
    const stored = Option.filter(seen.token, isAdoptable)
    if (Option.isSome(stored)) return Outcome.Adopted({ token: stored.value })
    const pace = yield* notes.read(FleetNotes.paceKey(key))
    if (Option.isSome(pace) && isInForce(pace.value)) {
      renewal.onBusy()
      return pace.value.remaining * (1 + paceJitter * (yield* Random.next))
    }
    const forget = Option.match(pace, {
      onNone: () => Effect.void,
      onSome: ({ version }) => notes.remove(FleetNotes.paceKey(key), version)
    })
    return yield* extending(key, owner)(ask(renewal, progress)).pipe(
      Effect.map((token) =>
        Outcome.Issued({
          token,
          replaces: seen.version,
          finish: Effect.zipRight(store.releaseLease(key, owner), forget)
        })
      ),
      Effect.catchTag("TokenEndpointError", (error) => slowDown(renewal, progress, error, pace))
    )
  })

  /** One look at the store and what follows from it: an outcome, or the milliseconds until the next look. */
  const round = Effect.fnUntraced(function*(renewal: Renewal, progress: Progress) {
    const { isAdoptable, origin, reason, request: { key }, sharesTokens } = renewal
    const found = sharesTokens ? yield* tokens.read(key) : Option.none()
    const stored = Option.flatMap(found, ({ token }) => Option.filter(token, isAdoptable))
    if (Option.isSome(stored)) return Outcome.Adopted({ token: stored.value })

    const now = yield* Clock.currentTimeMillis
    // A clock that was set back must not make it last
    if (now >= progress.failedAt && now < progress.notBefore) return progress.notBefore - now
    if (Option.isNone(found)) return yield* askAlone(renewal, progress)
    const hold = reason === "rejection" ? yield* notes.read(FleetNotes.holdKey(key, origin)) : Option.none()
    if (Option.isSome(hold) && isInForce(hold.value)) return Outcome.Held({ hold: hold.value })

    const owner = yield* randomName
    const release = store.releaseLease(key, owner)
    const granted = yield* Effect.onInterrupt(store.acquireLease(key, owner, leaseDuration), () => release)
    if (Option.isNone(granted)) {
      // It may have been granted all the same
      fork(release)
      return yield* askAlone(renewal, progress)
    }
    if (!granted.value) {
      progress.waitingSince ??= yield* Clock.currentTimeMillis
      renewal.onBusy()
      return yield* Random.nextRange(pollInterval.min, pollInterval.max)
    }
    yield* endWait(renewal, progress)
    return yield* Effect.onExit(useTurn(renewal, progress, owner, found.value), (exit) => {
      if (Exit.isInterrupted(exit)) return release
      return Exit.isSuccess(exit) && isIssued(exit.value) ? Effect.void : Effect.sync(() => fork(release))
    })
  })

  const rounds = Effect.fnUntraced(function*(renewal: Renewal, progress: Progress) {
    const { changed, deadline, reason } = renewal
    while (true) {
      changed.unsafeClose()
      const result = yield* round(renewal, progress)
      if (typeof result !== "number") return result
      if (reason === "background") return Outcome.Busy({ again: Math.max(result, busyInterval) })
      const rest = deadline - (yield* Clock.currentTimeMillis)
      // In whole milliseconds: a clock that counts in these stands still for less
      yield* Effect.timeoutOption(changed.await, Duration.millis(Math.ceil(Math.min(result, rest))))
      if ((yield* Clock.currentTimeMillis) >= deadline) {
        return yield* new TokenProviderError({ reason: "MaxWait", waited: maxWait, retryAfter: failureCooldown })
      }
    }
  })

  return (renewal) =>
    Effect.suspend(() => {
      const progress: Progress = {
        attempts: 0,
        failedAt: 0,
        notBefore: 0,
        waitingSince: undefined,
        delayAfter: makeDriver(endpoint.retry)
      }
      return Effect.ensuring(rounds(renewal, progress), endWait(renewal, progress))
    })
}

const isInForce = (note: FleetNotes.Note): boolean => note.remaining > 0

const isIssued = (result: Outcome | number): boolean => typeof result !== "number" && result._tag === "Issued"

/** Drives a Schedule by hand: how long to wait after each failure, in milliseconds; `None` when it is over. */
const makeDriver = (schedule: Schedule.Schedule<unknown, TokenEndpointError>) => {
  let state: unknown = schedule.initial
  return Effect.fnUntraced(function*(error: TokenEndpointError) {
    const now = yield* Clock.currentTimeMillis
    const [next, , decision] = yield* schedule.step(now, error, state)
    if (ScheduleDecision.isDone(decision)) return Option.none<number>()
    state = next
    return Option.some(Math.max(0, ScheduleIntervals.start(decision.intervals) - now))
  })
}

/** The last delay that a Schedule asks for in so many failures, wherever it ends. */
const nthDelay = Effect.fnUntraced(function*(
  schedule: Schedule.Schedule<unknown, TokenEndpointError>,
  error: TokenEndpointError,
  n: number
) {
  const delayAfter = makeDriver(schedule)
  let last = Option.none<number>()
  for (let step = 0; step < Math.min(n, maxSteps); step++) {
    const delay = yield* delayAfter(error)
    if (Option.isNone(delay)) break
    last = delay
  }
  return last
})
