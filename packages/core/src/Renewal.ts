/**
 * How one renewal goes: what another process has stored is adopted before the
 * endpoint is asked, and the processes of a fleet take turns at asking. A turn
 * is a lease of the store, and covers one attempt.
 *
 * Where the store is not shared, or fails, a renewal is on its own: the whole
 * Schedule of the endpoint runs in this process.
 *
 * @since 0.1.0
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
import type * as AccessToken from "./AccessToken.js"
import type { BoundedStore } from "./BoundedStore.js"
import * as FleetNotes from "./FleetNotes.js"
import { type TokenEndpointError, TokenProviderError } from "./OAuthError.js"
import * as RetryPolicy from "./RetryPolicy.js"
import { type Found, randomName, type SharedTokens } from "./SharedTokens.js"
import type { TokenEndpoint } from "./TokenEndpoint.js"
import type { ResolvedTokenRequest } from "./TokenRequest.js"

/**
 * Why there is a renewal: ahead of the expiry while nobody waits, because a
 * token is needed, or because an origin answered 401.
 *
 * @since 0.1.0
 * @category models
 */
export type Purpose = "background" | "expiry" | "rejection"

/**
 * A renewal to be made, and what its maker wants to hear of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Renewal {
  readonly request: ResolvedTokenRequest
  readonly purpose: Purpose
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
  /** An attempt failed that is made again. */
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
 *
 * @since 0.1.0
 * @category models
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

/**
 * Makes outcomes.
 *
 * @since 0.1.0
 * @category constructors
 */
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

/**
 * Makes renewals over a store and an endpoint.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly endpoint: TokenEndpoint["Type"]
  readonly store: BoundedStore
  readonly tokens: SharedTokens
  readonly notes: FleetNotes.FleetNotes
  readonly leaseDuration: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly maxWait: Duration.Duration
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => void
}): (renewal: Renewal) => Effect.Effect<Outcome, Failure> => {
  const { endpoint, failureCooldown, fork, leaseDuration, maxWait, notes, store, tokens } = options

  const askAlone = (renewal: Renewal): Effect.Effect<Outcome, Failure> =>
    Effect.suspend(() => {
      renewal.onAsk()
      return Effect.map(
        renewal.purpose === "background" ? endpoint.attempt(renewal.request) : endpoint.request(renewal.request),
        (token) => Outcome.Issued({ token, replaces: Option.none(), finish: Effect.void })
      )
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

  /** A failed attempt slows the whole fleet down, and this process more than the others; says how long. */
  const slowDown = Effect.fnUntraced(function*(
    { onFailure, purpose, request }: Renewal,
    pace: Option.Option<FleetNotes.Found>,
    attempts: number,
    error: TokenEndpointError
  ) {
    const own = yield* nthDelay(endpoint.retry, error, attempts)
    // A definite answer is for the process that got it: another may have other credentials
    if (own.isOver && !RetryPolicy.transient(error)) return yield* error
    const count = Option.match(pace, { onNone: () => 1, onSome: ({ count }) => count + 1 })
    const ofFleet = yield* nthDelay(endpoint.retry, error, count)
    const asked = error.retryAfter ?? (ofFleet.millis === undefined ? failureCooldown : Duration.zero)
    const remaining = Math.min(maxPace, Math.max(ofFleet.millis ?? 0, Duration.toMillis(asked)))
    yield* notes.write(
      FleetNotes.paceKey(request.key),
      { count, remaining },
      Option.map(pace, ({ version }) => version)
    )
    if (own.isOver || purpose === "background") return yield* error
    onFailure(error)
    return Math.max(own.millis ?? 0, remaining * patience)
  })

  /** With the lease in hand. */
  const useTurn = Effect.fnUntraced(function*(
    renewal: Renewal,
    owner: string,
    found: Found,
    pace: Option.Option<FleetNotes.Found>,
    attempts: number
  ) {
    const { isAdoptable, onAsk, purpose, request } = renewal
    // Whoever had the turn before may have stored a token since
    const seen = Option.getOrElse(yield* tokens.read(request.key), () => found)
    const stored = Option.filter(seen.token, isAdoptable)
    if (Option.isSome(stored)) return Outcome.Adopted({ token: stored.value })
    onAsk()
    const isOneAttempt = store.isShared || purpose === "background"
    const ask = isOneAttempt ? endpoint.attempt(request, attempts) : endpoint.request(request)
    const forget = Option.match(pace, {
      onNone: () => Effect.void,
      onSome: ({ version }) => notes.remove(FleetNotes.paceKey(request.key), version)
    })
    return yield* extending(request.key, owner)(ask).pipe(
      Effect.map((token) =>
        Outcome.Issued({
          token,
          replaces: seen.version,
          finish: Effect.zipRight(store.releaseLease(request.key, owner), forget)
        })
      ),
      Effect.catchAll((error) => store.isShared ? slowDown(renewal, pace, attempts, error) : Effect.fail(error))
    )
  })

  /** One look at the store and what follows from it: an outcome, or the milliseconds until the next look. */
  const round = Effect.fnUntraced(function*(renewal: Renewal, nextAttempt: () => number) {
    const { isAdoptable, origin, purpose, request: { key } } = renewal
    const found = yield* tokens.read(key)
    if (Option.isNone(found)) return yield* askAlone(renewal)
    const stored = Option.filter(found.value.token, isAdoptable)
    if (Option.isSome(stored)) return Outcome.Adopted({ token: stored.value })

    const hold = purpose === "rejection" ? yield* notes.read(FleetNotes.holdKey(key, origin)) : Option.none()
    if (Option.isSome(hold) && isInForce(hold.value)) return Outcome.Held({ hold: hold.value })
    const pace = yield* notes.read(FleetNotes.paceKey(key))
    if (Option.isSome(pace) && isInForce(pace.value)) {
      return pace.value.remaining * (1 + paceJitter * (yield* Random.next))
    }

    const owner = yield* randomName
    const granted = yield* store.acquireLease(key, owner, leaseDuration)
    const release = store.releaseLease(key, owner)
    if (Option.isNone(granted)) {
      // It may have been granted all the same
      fork(release)
      return yield* askAlone(renewal)
    }
    return granted.value
      ? yield* useTurn(renewal, owner, found.value, pace, nextAttempt()).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) && isIssued(exit.value) ? Effect.void : release)
      )
      : yield* Random.nextRange(pollInterval.min, pollInterval.max)
  })

  return Effect.fnUntraced(function*(renewal) {
    if (!renewal.sharesTokens) return yield* askAlone(renewal)
    const { changed, deadline, purpose } = renewal
    let attempts = 0
    while (true) {
      changed.unsafeClose()
      const result = yield* round(renewal, () => ++attempts)
      if (typeof result !== "number") return result
      if (purpose === "background") return Outcome.Busy({ again: Math.max(result, busyInterval) })
      const rest = deadline - (yield* Clock.currentTimeMillis)
      yield* Effect.timeoutOption(changed.await, Duration.millis(Math.min(result, rest)))
      if ((yield* Clock.currentTimeMillis) >= deadline) {
        return yield* new TokenProviderError({ reason: "MaxWait", waited: maxWait, retryAfter: failureCooldown })
      }
    }
  })
}

const isInForce = (note: FleetNotes.Note): boolean => note.remaining > 0

const isIssued = (result: Outcome | number): boolean => typeof result !== "number" && result._tag === "Issued"

/**
 * What a Schedule says after the nth failure: whether it is over, and the last
 * delay it has asked for.
 */
const nthDelay = Effect.fnUntraced(function*(
  schedule: Schedule.Schedule<unknown, TokenEndpointError>,
  error: TokenEndpointError,
  n: number
) {
  const now = yield* Clock.currentTimeMillis
  let state: unknown = schedule.initial
  let millis: number | undefined
  for (let step = 0; step < Math.min(n, maxSteps); step++) {
    const [next, , decision] = yield* schedule.step(now, error, state)
    if (ScheduleDecision.isDone(decision)) return { isOver: true, millis }
    state = next
    millis = ScheduleIntervals.start(decision.intervals) - now
  }
  return { isOver: false, millis }
})
