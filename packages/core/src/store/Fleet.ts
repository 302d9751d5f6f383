/**
 * How the processes of a fleet share a store: they read and write tokens within
 * time limits, and take turns at asking the endpoint. A turn is a lease of the
 * store and covers one attempt.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { fingerprint } from "../disclosure/Fingerprint.js"
import * as RetryDelay from "../endpoint/RetryDelay.js"
import { TokenProviderError, type TokenRequestError } from "../OAuthError.js"
import * as OAuthMetrics from "../OAuthMetrics.js"
import * as BoundedStore from "./BoundedStore.js"
import * as FleetNotes from "./FleetNotes.js"
import * as SharedTokens from "./SharedTokens.js"
import * as Sharing from "./Sharing.js"
import * as TokenBinding from "./TokenBinding.js"

/** A lease is extended this often per duration, so that one lost extension does not end it. */
const extensions = 3
/** The longest pace of the fleet (ms): a waiting caller must see an attempt within `maxWait`. */
const maxPace = 5_000
/** The other processes follow one after the other, within this share of the pace. */
const paceJitter = 0.2
/** The error of a caller whose wait ends within the pace. */
const paused = "another process has failed, and no process requests a token again within this time"

/** The failed process lets others try first: their network may be better. */
const courtesy = 1.5
/** After this share of its wait, plus jitter so that not all act at once, a process asks without the lease. */
const patience = { atLeast: 0.5, jitter: 0.25 }

/** Makes it; `isShared` says whether other processes follow leases and notes. */
export const make = (isShared: boolean, others: Sharing.Others): Sharing.Sharing =>
  Sharing.make({
    isShared,
    keyOf: fingerprint,
    nameOf: identity,
    join: (store, options) =>
      Effect.map(
        BoundedStore.make(store, { timeout: options.storeTimeout }),
        (store) => join(store, isShared, others, options)
      )
  })

/** What one process of the fleet does. */
const join = (
  store: BoundedStore.BoundedStore,
  isShared: boolean,
  others: Sharing.Others,
  options: Sharing.Options
): Sharing.Fleet => {
  const { defaultLifetime, endpoint: { proofKey, retry }, failureCooldown, fork, leaseDuration, storeTimeout, update } =
    options
  const notes = isShared ? FleetNotes.make(store) : FleetNotes.none
  /** Keys whose new token the other processes wait for. */
  const awaited = new Set<string>()

  /** Extends the lease during an effect. A lease that the store lost, as in a failover, is acquired again. */
  const extending = (key: string, owner: string) => <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    const extend = Effect.flatMap(
      store.extendLease(key, owner, leaseDuration),
      (extended) =>
        Option.contains(extended, false) ? store.acquireLease(key, owner, leaseDuration) : Effect.succeed(extended)
    )
    const interval = Duration.millis(Duration.toMillis(leaseDuration) / extensions)
    return Effect.raceFirst(effect, Effect.forever(Effect.delay(extend, interval)))
  }

  /** An attempt may last longer than callers wait: it ends when another process has stored a token. */
  const untilStored = <A, E>(
    { flight: { changed }, look }: Sharing.Renewal,
    interval: Duration.DurationInput,
    asking: Effect.Effect<A, E>
  ) => {
    const next = Effect.zipRight(
      Effect.timeoutOption(changed.await, interval),
      Effect.suspend(() => {
        // Before the look: a change during it is seen by the next one
        changed.unsafeClose()
        return look
      })
    )
    const stored = Effect.flatMap(next, Option.flatMap(({ token }) => token)).pipe(
      Effect.eventually,
      Effect.map((token) => Sharing.Outcome.Adopted({ token }))
    )
    return BoundedStore.unbounded(Effect.raceFirst(asking, stored))
  }

  /** A failed attempt slows down the whole fleet, and this process more than the others. */
  const slowDown = Effect.fnUntraced(function*(
    { delayAfter, flight, key, tryAgain }: Sharing.Renewal,
    error: TokenRequestError,
    pace: Option.Option<FleetNotes.Found>
  ) {
    const own = yield* delayAfter(error)
    if (!isShared) return yield* tryAgain(error, own)
    // A definite error concerns only this process: another may have other credentials
    if (Option.isNone(own) && !error.isTransient) return yield* error
    const count = Option.match(pace, { onNone: () => 1, onSome: ({ count }) => count + 1 })
    const delay = count === flight.attempts ? own : yield* RetryDelay.nth(retry, error, count)
    const asked = Duration.toMillis(error.retryAfter ?? Duration.zero)
    const remaining = Math.min(
      maxPace,
      Math.max(
        Option.getOrElse(delay, () => Duration.toMillis(failureCooldown)),
        Option.isNone(own) ? Duration.toMillis(failureCooldown) : 0,
        asked
      )
    )
    const replaces = Option.map(pace, ({ version }) => version)
    yield* notes.write(FleetNotes.paceKey(key), { count, remaining }, replaces)
    // Before the server's `Retry-After` no process gets a token
    const behind = Option.map(own, (own) => Math.max(own, remaining * courtesy))
    return yield* tryAgain(error, behind, Math.max(remaining, asked))
  })

  /** Takes a turn: with the lease, or without it if its holder obtains no token. */
  const useTurn = Effect.fnUntraced(function*(
    renewal: Sharing.Renewal,
    owner: string,
    found: SharedTokens.Found,
    isGranted: boolean
  ) {
    const { ask, deadline, flight: { reason }, key, onBusy } = renewal
    // The previous holder may have stored a token since, or failed
    const [look, pace] = yield* Effect.all([renewal.look, notes.read(FleetNotes.paceKey(key))], { concurrency: 2 })
    const seen = Option.getOrElse(look, () => found)
    if (Option.isSome(seen.token)) return Sharing.Outcome.Adopted({ token: seen.token.value })
    if (Option.isSome(pace) && isInForce(pace.value)) {
      const { remaining } = pace.value
      const notBefore = (yield* Clock.currentTimeMillis) + remaining
      if (reason !== "background" && notBefore >= deadline) {
        return yield* new TokenProviderError({
          reason: "MaxWait",
          description: paused,
          retryAfter: Duration.millis(remaining)
        })
      }
      onBusy(notBefore)
      return remaining * (1 + paceJitter * (yield* Random.next))
    }
    const forget = Option.match(pace, {
      onNone: () => Effect.void,
      onSome: ({ version }) => notes.remove(FleetNotes.paceKey(key), version)
    })
    const asking = extending(key, owner)(ask).pipe(
      Effect.map((token) =>
        Sharing.Outcome.Issued({
          token,
          replaces: seen.version,
          finish: Effect.suspend(() => {
            awaited.delete(key)
            return Effect.zipRight(store.releaseLease(key, owner), forget)
          })
        })
      ),
      Effect.catchTag("TokenEndpointError", "DiscoveryError", (error) => slowDown(renewal, error, pace))
    )
    return yield* untilStored(renewal, isGranted ? leaseDuration : Sharing.maxPollInterval, asking)
  })

  const enter = (renewal: Sharing.Renewal): Sharing.Turns => {
    const { deadline, flight: { origin, reason }, key, onBusy } = renewal
    const alone = untilStored(renewal, Sharing.maxPollInterval, renewal.askAlone)
    /** Since when another process has the turn (epoch milliseconds). */
    let waitingSince: number | undefined
    let patienceEnds = Infinity
    let wasRefused = false

    /** A background renewal does not wait. */
    const endWait = Effect.map(Clock.currentTimeMillis, (now) => {
      if (waitingSince === undefined) return
      // A clock that was set back must not reduce the sum
      if (reason !== "background") update(OAuthMetrics.leaseWaitDuration, Math.max(0, now - waitingSince) / 1000)
      waitingSince = undefined
    })

    /** Another process has the turn. */
    const wait = Effect.fnUntraced(function*() {
      if (waitingSince !== undefined) return
      waitingSince = yield* Clock.currentTimeMillis
      const part = patience.atLeast + patience.jitter * (yield* Random.next)
      patienceEnds = waitingSince + part * (deadline - waitingSince)
    })

    /**
     * The holder of the lease obtains no token. One process of the fleet at a time asks without the lease, unless the
     * endpoint has just failed. So does a process whose claim the store refuses twice although no other process claims.
     */
    const claims = Effect.fnUntraced(function*() {
      if (reason === "background" || (yield* Clock.currentTimeMillis) < patienceEnds) return false
      const pace = yield* notes.read(FleetNotes.paceKey(key))
      if (Option.exists(pace, ({ count, remaining }) => count > 0 && remaining > -maxPace)) return false
      const claim = yield* notes.read(FleetNotes.claimKey(key))
      if (Option.exists(claim, isInForce)) return wasRefused = false
      const note = { count: 1, remaining: Duration.toMillis(leaseDuration) }
      const isClaimed = yield* notes.write(FleetNotes.claimKey(key), note, Option.map(claim, ({ version }) => version))
      const isLast = isClaimed || wasRefused
      wasRefused = !isClaimed
      return isLast
    })

    return {
      // Once another process has the turn, the token waits for that process and not for the store
      bound: (round) =>
        Effect.suspend(() => waitingSince === undefined ? BoundedStore.bounded(storeTimeout)(round) : round),
      leave: endWait,
      take: Effect.fnUntraced(function*(look) {
        if (Option.isNone(look)) return yield* alone
        const pause = reason === "rejection" ? yield* notes.read(FleetNotes.pauseKey(key, origin)) : Option.none()
        if (Option.isSome(pause) && isInForce(pause.value)) return Sharing.Outcome.Paused({ pause: pause.value })

        const owner = yield* SharedTokens.randomName
        const release = store.releaseLease(key, owner)
        const granted = yield* Effect.onInterrupt(store.acquireLease(key, owner, leaseDuration), () => release)
        if (Option.isNone(granted)) {
          // It may have been granted anyway
          fork(release)
          return yield* alone
        }
        if (!granted.value) {
          yield* wait()
          onBusy()
          if (!(yield* claims())) return yield* Sharing.pollInterval
        }
        yield* endWait
        return yield* Effect.onExit(useTurn(renewal, owner, look.value, granted.value), (exit) => {
          if (Exit.isInterrupted(exit)) return release
          return Effect.sync(() => {
            if (Exit.isSuccess(exit) && isIssued(exit.value)) awaited.add(key)
            else fork(release)
          })
        })
      })
    }
  }

  const stored = SharedTokens.make(store, { defaultLifetime, proofKey })
  const writing = new Set<string>()
  const tokens: SharedTokens.SharedTokens = {
    read: stored.read,
    write: (key, token, replaces) =>
      Effect.suspend(() => {
        writing.add(key)
        return Effect.ensuring(
          stored.write(key, token, replaces, awaited.has(key)),
          Effect.sync(() => writing.delete(key))
        )
      })
  }

  return {
    isShared,
    isFailing: store.isFailing,
    tokens,
    remove: store.remove,
    makeBinding: TokenBinding.make,
    enter,
    others: others({
      tokens,
      pauses: isShared
        ? {
          count: (key, origin, atLeast) => notes.countPause(FleetNotes.pauseKey(key, origin), atLeast),
          forget: (key, origin) => notes.forget(FleetNotes.pauseKey(key, origin))
        }
        : undefined,
      isWriting: (key) => writing.has(key),
      watch: (changed) => Stream.runForEach(store.changes, changed)
    })
  }
}

const isInForce = (note: FleetNotes.Note): boolean => note.remaining > 0

const isIssued = (result: Sharing.Outcome | number): boolean => typeof result !== "number" && result._tag === "Issued"
