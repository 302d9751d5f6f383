/**
 * The only place with policy: when a token is reused, renewed, adopted from the
 * store or refused. However many callers need a token, one token request is
 * under way.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type * as AccessToken from "./AccessToken.js"
import * as BoundedStore from "./BoundedStore.js"
import * as Check from "./Check.js"
import * as ClosingRevocation from "./ClosingRevocation.js"
import * as Cooldown from "./Cooldown.js"
import * as FleetNotes from "./FleetNotes.js"
import * as HeldToken from "./HeldToken.js"
import { type InvalidOptions, type TokenEndpointError, TokenProviderError } from "./OAuthError.js"
import * as RefreshTokens from "./RefreshTokens.js"
import type * as RejectedTokens from "./RejectedTokens.js"
import * as Renewal from "./Renewal.js"
import type * as ServerHabits from "./ServerHabits.js"
import * as SharedTokens from "./SharedTokens.js"
import { TokenEndpoint } from "./TokenEndpoint.js"
import type { TokenRequest } from "./TokenRequest.js"
import * as TokenSlots from "./TokenSlots.js"
import { TokenStore } from "./TokenStore.js"

/**
 * Gives tokens to whoever needs one: `AuthedHttpClient`, or a client of its
 * own kind such as gRPC or a WebSocket.
 *
 * `origin` says which resource a token is for, so that one that rejects good
 * tokens does not disturb the others. It may be left out where there is one
 * resource.
 *
 * @since 0.1.0
 * @category tags
 */
export class TokenProvider extends Context.Tag("@effect-alf/core/TokenProvider")<
  TokenProvider,
  {
    /** The token in memory if it can be used without any further work; `undefined` means: `get` it. */
    readonly peek: (request?: TokenRequest, origin?: string) => AccessToken.AccessToken | undefined
    /** A token that can be sent now. Waits only when there is none. */
    readonly get: (
      request?: TokenRequest,
      origin?: string
    ) => Effect.Effect<AccessToken.AccessToken, TokenEndpointError | TokenProviderError>
    /**
     * A token to use in place of one that the resource rejected with 401. It is
     * the rejected one itself when there is no other to be had at present.
     */
    readonly renew: (
      rejected: AccessToken.AccessToken,
      request?: TokenRequest,
      origin?: string
    ) => Effect.Effect<AccessToken.AccessToken, TokenEndpointError | TokenProviderError>
    /**
     * Tells what the resource said of a token: of one that `renew` gave always,
     * of any other when it is accepted for the first time or again.
     */
    readonly settle: (
      token: AccessToken.AccessToken,
      outcome: "accepted" | "rejected",
      request?: TokenRequest,
      origin?: string
    ) => Effect.Effect<void>
  }
>() {}

/**
 * Every option has a default that suits most servers.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * How long before its expiry a token is renewed in the background, at most a
   * fifth of its lifetime. The default is 5 minutes.
   */
  readonly refreshAhead?: Duration.DurationInput | undefined
  /**
   * How long before its expiry a token is no longer handed out without a try to
   * renew it, at most a tenth of its lifetime. The default is 10 seconds.
   */
  readonly expiryLeeway?: Duration.DurationInput | undefined
  /** When a token is renewed whose lifetime the server did not say. The default is 1 hour. */
  readonly defaultLifetime?: Duration.DurationInput | undefined
  /**
   * For how long a failed token request answers the next callers too: this long
   * after a failure that may pass by itself; five times as long, doubling to
   * sixty times, after a definite one. The default is 1 second.
   */
  readonly failureCooldown?: Duration.DurationInput | undefined
  /** How long a caller waits for a token at most. The default is 10 seconds. */
  readonly maxWait?: Duration.DurationInput | undefined
  /** How long one call of the store may take. The default is 500 milliseconds. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /**
   * For how long the right to ask the endpoint is taken; it is extended while
   * the attempt runs. A process that dies with it holds up the others for so
   * long. The default is 3 seconds.
   */
  readonly leaseDuration?: Duration.DurationInput | undefined
  /** `false` keeps tokens in this process and out of the store. */
  readonly shareTokens?: boolean | undefined
  /**
   * Revokes the tokens of this process when its layer's scope ends, as the function that `TokenRevocation.make` brings
   * does. Tokens of a shared store are left to the others. By default tokens expire by themselves.
   */
  readonly revokeOnClose?: ((token: AccessToken.AccessToken) => Effect.Effect<void, unknown>) | undefined
  /** How many different tokens are kept in memory. The default is 10,000. */
  readonly capacity?: number | undefined
}

const defaults = {
  // Azure and Google renew at about this distance: it outlasts an outage that pages somebody
  refreshAhead: Duration.minutes(5),
  // Covers a slow request on its way to the resource
  expiryLeeway: Duration.seconds(10),
  defaultLifetime: Duration.hours(1),
  failureCooldown: Duration.seconds(1),
  // Outlasts the retries of RetryPolicy.standard while the endpoint answers; most gateways wait longer
  maxWait: Duration.seconds(10),
  // A healthy Redis answers in a millisecond; half a second bears a pause of its or ours
  storeTimeout: Duration.millis(500),
  // A third of it bears a lost extension and a pause of the process; a caller can wait for three
  leaseDuration: Duration.seconds(3),
  capacity: 10_000
}

/** Background failures are spaced by the cool-down, doubled each time up to this many times. */
const maxBackgroundFactor = 16
/** A span that waits for a renewal is linked to it, up to this many. */
const maxLinks = 32
const anyOrigin = ""

type Failure = Cooldown.Failure

/** Why a caller waits, and until when. */
interface Need {
  readonly purpose: Renewal.Purpose
  readonly origin: string
  /** Epoch milliseconds. */
  readonly deadline: number
}

/**
 * Makes a provider whose renewals end with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options = {}) {
  const settings = yield* Effect.all({
    refreshAhead: duration("refreshAhead", options),
    expiryLeeway: duration("expiryLeeway", options),
    defaultLifetime: positiveDuration("defaultLifetime", options),
    failureCooldown: duration("failureCooldown", options),
    maxWait: positiveDuration("maxWait", options),
    storeTimeout: positiveDuration("storeTimeout", options),
    leaseDuration: positiveDuration("leaseDuration", options)
  })
  const { defaultLifetime, failureCooldown, maxWait, storeTimeout } = settings
  const capacity = yield* Check.positiveInteger("TokenProvider.capacity", options.capacity ?? defaults.capacity)
  const cooldownMillis = Duration.toMillis(failureCooldown)
  const endpoint = yield* TokenEndpoint
  const { proofKey } = endpoint
  // A token whose key no other process has is of no use to any
  const isShared = options.shareTokens !== false && proofKey?.isShared !== false
  const store = isShared ? yield* BoundedStore.make({ timeout: storeTimeout }) : BoundedStore.none
  const shared = SharedTokens.make(store, { defaultLifetime, proofKey })
  const notes = store.isShared ? FleetNotes.make(store) : FleetNotes.none
  // Once for this process, so that the processes of a fleet differ from each other
  const jitter = yield* Random.next

  const clock = yield* Effect.clock
  const now = () => clock.unsafeCurrentTimeMillis()
  const credentials = Effect.timeoutTo(endpoint.credentials, {
    duration: maxWait,
    onSuccess: (credentials) => credentials,
    onTimeout: () => Option.none<string>()
  })

  // Before the fibers, so that it ends after them
  const refreshTokens = yield* RefreshTokens.make({
    ...settings,
    endpoint,
    store: options.shareTokens === false ? undefined : yield* TokenStore
  })

  const fork = yield* FiberSet.makeRuntime<never, void>()
  const flights = new Set<TokenSlots.Flight>()
  let closed = false
  // Registered after the fibers, so it runs before they are interrupted: nobody waits for a flight that is gone
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      const own = Array.from(slots.all()).flatMap(({ held, request: { key } }) =>
        isAlive(held) && held.isOwn ? [[key, held] as const] : []
      )
      slots.clear()
      for (const flight of flights) Deferred.unsafeDone(flight.landed, Exit.fail(closedError()))
      const { revokeOnClose: revoke } = options
      return revoke === undefined || store.isShared
        ? Effect.void
        : ClosingRevocation.make({ held: own, store, tokens: shared, revoke })
    })
  )

  const slots = TokenSlots.make(endpoint, { capacity, failureCooldown: cooldownMillis })

  const hold = (token: AccessToken.AccessToken, isOwn: boolean): HeldToken.HeldToken =>
    HeldToken.make(token, { ...settings, jitter, isOwn })

  const isAlive = (held: HeldToken.HeldToken | undefined): held is HeldToken.HeldToken => HeldToken.isAlive(held, now())

  const isRejected = (slot: TokenSlots.Slot, held: HeldToken.HeldToken, origin?: string) =>
    slot.rejected.has(held.digest(), origin)

  /** A token serves until its time has really run out. */
  const usable = (slot: TokenSlots.Slot, origin: string): HeldToken.HeldToken | undefined =>
    !closed && isAlive(slot.held) && !isRejected(slot, slot.held, origin) ? slot.held : undefined

  // ---------------------------------------------------------------------------
  // flights
  // ---------------------------------------------------------------------------

  const renew = Renewal.make({
    ...settings,
    endpoint,
    attempt: refreshTokens.attempt,
    store,
    tokens: shared,
    notes,
    fork
  })

  /** A token of the store is worth taking if it is still fresh, and neither rejected by anyone nor replaced here. */
  const isAdoptable = (slot: TokenSlots.Slot, candidate: HeldToken.HeldToken, purpose: Renewal.Purpose): boolean => {
    const { freshUntil, refreshAt } = candidate.windows
    const isFresh = now() < (purpose === "background" ? refreshAt : freshUntil)
    const isOld = slot.replaced !== undefined && HeldToken.is(slot.replaced, candidate.token)
    return isFresh && !isOld && !isRejected(slot, candidate)
  }

  const readAdoptable = (slot: TokenSlots.Slot, purpose: Renewal.Purpose) =>
    Effect.map(shared.read(slot.request.key), (found) => {
      const held = Option.map(Option.flatMap(found, ({ token }) => token), (token) => hold(token, false))
      return {
        version: Option.flatMap(found, ({ version }) => version),
        held: Option.getOrUndefined(Option.filter(held, (held) => isAdoptable(slot, held, purpose)))
      }
    })

  /** Stores a token. When somebody else was first, theirs is adopted, or replaced if it is no longer worth that. */
  const share = Effect.fnUntraced(function*(
    slot: TokenSlots.Slot,
    held: HeldToken.HeldToken,
    replaces: Option.Option<string>,
    purpose: Renewal.Purpose
  ) {
    slot.isWriting = true
    const written = yield* shared.write(slot.request.key, held.token, replaces)
    slot.isWriting = false
    if (written) return
    const winner = yield* readAdoptable(slot, purpose)
    if (winner.held === undefined) {
      yield* shared.write(slot.request.key, held.token, winner.version)
    } else if (slot.held === held && !HeldToken.is(winner.held, held.token)) {
      keep(slot, winner.held)
    }
  })

  const keep = (slot: TokenSlots.Slot, held: HeldToken.HeldToken) => {
    if (slot.rejected.has(held.digest())) held.quietUntil = Number.NEGATIVE_INFINITY
    const previous = slot.held
    slot.held = held
    if (previous !== undefined && !HeldToken.is(previous, held.token)) slot.replaced = previous
    slot.backgroundFailures = 0
    slot.backgroundNotBefore = 0
    if (held.isOwn && previous !== undefined && HeldToken.is(previous, held.token)) {
      // The endpoint keeps to its token for now: asking again at once would bring it once more
      const { expiresAt, freshUntil } = held.windows
      const end = now() < freshUntil ? freshUntil : Math.min(expiresAt, now() + Duration.toMillis(defaultLifetime))
      slot.backgroundNotBefore = now() + Math.max(0, end - now()) / 2
    }
  }

  /** Another process has stored a token: it is adopted before the next request, and nobody waits for that. */
  const adoptChange = (key: string) =>
    Effect.suspend(() => {
      const slot = slots.find(key)
      if (slot?.flight !== undefined) {
        slot.flight.changed.unsafeOpen()
        return Effect.void
      }
      if (slot === undefined || slot.isWriting || !slot.habits.sharesTokens()) return Effect.void
      const { held } = slot
      // Without a token, and without a failure that it could end, nobody waits for this one
      if (held === undefined && slot.cooldown.failure(now()) === undefined) return Effect.void
      return Effect.map(readAdoptable(slot, "expiry"), (found) => {
        if (found.held === undefined || slot.held !== held) return
        if (held === undefined || !HeldToken.is(found.held, held.token)) succeeded(slot, found.held)
      })
    })

  const obtain = Effect.fnUntraced(function*(slot: TokenSlots.Slot, flight: TokenSlots.Flight) {
    const { changed, origin, purpose } = flight
    flight.span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
    if (slot.cooldown.failure(now()) !== undefined) {
      const stored = yield* lookAround(slot, purpose)
      if (stored !== undefined) return Renewal.Outcome.Adopted({ token: stored.token })
      const failure = slot.cooldown.failure(now())
      flight.isAnswered = failure !== undefined
      if (failure !== undefined) return yield* failure
    }
    return yield* renew({
      request: slot.request,
      purpose,
      origin,
      sharesTokens: slot.habits.sharesTokens(),
      deadline: now() + Duration.toMillis(maxWait),
      isAdoptable: (token) => isAdoptable(slot, hold(token, false), purpose),
      changed,
      onAsk: () => {
        if (purpose === "rejection") slot.rejected.spend(origin, now())
      },
      onFailure: (error) => {
        flight.lastError = error
        flight.failedAt = now()
      }
    })
  })

  /** What ends a cool-down early: a token of another process, or other credentials. */
  const lookAround = Effect.fnUntraced(function*(slot: TokenSlots.Slot, purpose: Renewal.Purpose) {
    const stored = store.isShared ? (yield* readAdoptable(slot, purpose)).held : undefined
    if (stored === undefined && slot.cooldown.mayChange()) slot.cooldown.look(yield* credentials)
    return stored
  })

  const failed = (slot: TokenSlots.Slot, flight: TokenSlots.Flight, failure: Failure | undefined) => {
    const { failedAt, isAnswered, purpose } = flight
    if (isAnswered) return Effect.void
    const isServed = purpose === "background" || (purpose === "expiry" && isAlive(slot.held))
    const said = isServed ? spaceOut(slot, failure) : Effect.void
    // A defect is a bug in a custom endpoint: it is told to those who wait, and held against nobody
    if (purpose === "background" || failure === undefined) return said
    slot.cooldown.begin(failure, now(), failedAt)
    return Cooldown.isPassing(failure) ? said : Effect.zipRight(said, Effect.map(credentials, slot.cooldown.failedWith))
  }

  /** A token in use serves on while it cannot be renewed, and the tries become fewer. */
  const spaceOut = (slot: TokenSlots.Slot, failure: Failure | undefined): Effect.Effect<void> => {
    const factor = Math.min(maxBackgroundFactor, 2 ** slot.backgroundFailures)
    slot.backgroundNotBefore = now() + Cooldown.waitAfter(failure, factor * cooldownMillis)
    slot.backgroundFailures++
    const reason = failure?.message ?? "The token endpoint died"
    return slot.backgroundFailures > 1
      ? Effect.void
      : Effect.logWarning(`Token renewal failed, the token in use serves on until it expires. ${reason}`)
  }

  const succeeded = (slot: TokenSlots.Slot, held: HeldToken.HeldToken) => {
    if (closed) return
    slot.cooldown.end()
    keep(slot, held)
  }

  const land = (
    slot: TokenSlots.Slot,
    flight: TokenSlots.Flight,
    exit: Exit.Exit<AccessToken.AccessToken | undefined, Failure>
  ) => {
    if (slot.flight === flight) slot.flight = undefined
    flights.delete(flight)
    Deferred.unsafeDone(flight.landed, exit)
  }

  /** Nobody else is told of such a token: what it is bound to is only likely, and a 401 says otherwise. */
  const adoptRebound = (slot: TokenSlots.Slot, held: HeldToken.HeldToken) => {
    if (slot.held === undefined && slot.flight === undefined) succeeded(slot, held)
  }

  const arrive = (slot: TokenSlots.Slot, flight: TokenSlots.Flight, outcome: Renewal.Outcome): Effect.Effect<void> => {
    const { origin, purpose } = flight
    switch (outcome._tag) {
      case "Adopted":
        succeeded(slot, hold(outcome.token, false))
        land(slot, flight, Exit.succeed(outcome.token))
        return Effect.void
      case "Issued":
        return Effect.ensuring(
          Effect.suspend(() => {
            const held = hold(outcome.token, true)
            slot.habits.issued(held.digest())
            succeeded(slot, held)
            // What tokens are bound to has changed on the way, most likely before the server saw it
            const isCurrent = endpoint.isCurrent(slot.request)
            if (!isCurrent) adoptRebound(slots.of(slot.source), held)
            if (purpose === "rejection") {
              shareHold(slot, origin, slot.rejected.renewed(held.digest(), origin, now()))
            }
            land(slot, flight, Exit.succeed(held.token))
            // Nobody waits for this; at the end of a process it is worth its bounded calls
            return isCurrent && slot.habits.sharesTokens()
              ? share(slot, held, outcome.replaces, purpose)
              : Effect.void
          }),
          outcome.finish
        )
      case "Held":
        slot.rejected.hold(origin, outcome.hold, now())
        slot.habits.held(origin)
        land(slot, flight, Exit.succeed(undefined))
        return Effect.void
      case "Busy":
        slot.backgroundNotBefore = now() + outcome.again
        land(slot, flight, Exit.succeed(undefined))
        return Effect.void
    }
  }

  const fly = (slot: TokenSlots.Slot, flight: TokenSlots.Flight): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const exit = yield* obtain(slot, flight).pipe(
          // What the endpoint said says more than that the wait is over
          Effect.mapError((failure) => isWaitOver(failure) ? flight.lastError ?? failure : failure),
          Effect.withSpan("TokenProvider.renew", {
            root: true,
            captureStackTrace: false,
            attributes: { "oauth.renewal.reason": flight.purpose, "oauth.token.key": slot.request.key }
          }),
          Effect.interruptible,
          restore,
          Effect.exit
        )
        if (Exit.isSuccess(exit)) return yield* arrive(slot, flight, exit.value)
        const afterwards = failed(slot, flight, Option.getOrUndefined(Cause.failureOption(exit.cause)))
        // An endpoint that interrupts itself must not interrupt those who wait
        land(slot, flight, Exit.isInterrupted(exit) ? Exit.die(Cause.squash(exit.cause)) : Exit.failCause(exit.cause))
        yield* Effect.interruptible(afterwards)
      })
    ).pipe(
      // Whatever else goes wrong, as with a token that is none: the key must not wait for it for ever
      Effect.onError((cause) => Effect.sync(() => land(slot, flight, Exit.failCause(cause))))
    )

  const launch = (slot: TokenSlots.Slot, purpose: Renewal.Purpose, origin: string): TokenSlots.Flight => {
    const flight: TokenSlots.Flight = {
      purpose,
      origin,
      landed: Deferred.unsafeMake(FiberId.none),
      changed: Effect.unsafeMakeLatch(),
      span: undefined,
      links: 0,
      lastError: undefined,
      failedAt: undefined,
      isAnswered: false
    }
    slot.flight = flight
    flights.add(flight)
    fork(fly(slot, flight))
    return flight
  }

  /** Waits for a flight without any say in it: interrupting the caller does not touch the flight. */
  const join = (flight: TokenSlots.Flight, deadline: number) =>
    Effect.withFiberRuntime<AccessToken.AccessToken | undefined, Failure>((fiber) => {
      const span = fiber.currentSpan
      if (span !== undefined && flight.span !== undefined && flight.links < maxLinks) {
        flight.links++
        flight.span.addLinks([{ _tag: "SpanLink", span, attributes: {} }])
      }
      return Effect.exit(Deferred.await(flight.landed)).pipe(
        Effect.timeoutTo({
          duration: Duration.millis(deadline - now()),
          onSuccess: (exit) => exit,
          onTimeout: () =>
            Exit.fail(
              flight.lastError ??
                new TokenProviderError({ reason: "MaxWait", waited: maxWait, retryAfter: failureCooldown })
            )
        }),
        // A caller in a region that cannot be interrupted has a time limit too
        Effect.interruptible,
        Effect.disconnect,
        Effect.flatten
      )
    })

  // ---------------------------------------------------------------------------
  // what resources say
  // ---------------------------------------------------------------------------

  /** The fleet hears of a fruitless renewal, and this process of those that others have counted. */
  const shareHold = (slot: TokenSlots.Slot, origin: string, hold: RejectedTokens.Hold | undefined) => {
    if (hold === undefined || !store.isShared) return
    const key = FleetNotes.holdKey(slot.request.key, origin)
    fork(Effect.flatMap(notes.countHold(key, hold), (counted) => {
      // It has ended here in the meantime
      if (slot.rejected.mayRenew(origin, now())) return notes.forget(key)
      slot.rejected.hold(origin, counted, now())
      return Effect.void
    }))
  }

  const endHold = (slot: TokenSlots.Slot, origin: string) => {
    if (store.isShared) fork(notes.forget(FleetNotes.holdKey(slot.request.key, origin)))
  }

  const say = (slot: TokenSlots.Slot, habit: ServerHabits.Habit | undefined) => {
    if (habit !== undefined) fork(Effect.logWarning(`${habits[habit]} (token key ${slot.request.key})`))
  }

  const accept = (slot: TokenSlots.Slot, token: AccessToken.AccessToken, origin: string) => {
    const described = HeldToken.describe(token)
    if (slot.rejected.accept(described.digest, origin)) endHold(slot, origin)
    slot.habits.accepted(described, origin, now())
    const { held } = slot
    if (held === undefined || !HeldToken.is(held, token) || slot.rejected.has(described.digest)) return
    held.quietUntil = held.windows.refreshAt
  }

  const reject = (slot: TokenSlots.Slot, token: AccessToken.AccessToken, origin: string) => {
    const described = HeldToken.describe(token)
    if (!slot.rejected.has(described.digest, origin)) {
      say(slot, slot.habits.rejected(described, origin, now()))
    }
    slot.rejected.reject(described.digest, origin, described.expiresAt, now())
    if (slot.held !== undefined && HeldToken.is(slot.held, token)) slot.held.quietUntil = Number.NEGATIVE_INFINITY
  }

  // ---------------------------------------------------------------------------
  // callers
  // ---------------------------------------------------------------------------

  /** Joins the flight of this key or starts one, unless a cool-down answers for it. `undefined` when that brought nothing. */
  const fetch = (slot: TokenSlots.Slot, call: Need): Effect.Effect<AccessToken.AccessToken | undefined, Failure> =>
    Effect.suspend(() => {
      if (closed) return Effect.fail(closedError())
      if (slot.flight !== undefined) {
        const joined = join(slot.flight, call.deadline)
        // A background flight makes one attempt only: whoever needs a token now asks for himself
        return slot.flight.purpose === "background"
          ? Effect.catchTag(joined, "TokenEndpointError", () => Effect.succeed(undefined))
          : joined
      }
      const failure = slot.cooldown.failure(now())
      const mayEnd = store.isShared || slot.cooldown.mayChange()
      return failure === undefined || (mayEnd && slot.cooldown.mayLook(now()))
        ? join(launch(slot, call.purpose, call.origin), call.deadline)
        : Effect.fail(failure)
    })

  const need = (slot: TokenSlots.Slot, call: Need): Effect.Effect<AccessToken.AccessToken, Failure> =>
    Effect.flatMap(fetch(slot, call), (token) => token === undefined ? need(slot, call) : Effect.succeed(token))

  const acquire = (slot: TokenSlots.Slot, origin: string): Effect.Effect<AccessToken.AccessToken, Failure> =>
    Effect.suspend(() => {
      if (closed) return Effect.fail(closedError())
      const held = slot.held
      if (!isAlive(held)) return need(slot, waiting("expiry", origin))
      if (isRejected(slot, held, origin)) {
        // With none to be had that this origin takes, it is told by the newest, whose time is not over
        return Effect.map(
          replace(slot, held.token, origin),
          (token) => token === held.token && isAlive(slot.held) ? slot.held.token : token
        )
      }
      // With an endpoint known to fail, or to keep to this token, waiting would gain nothing while it still works
      const isEarly = now() < slot.backgroundNotBefore
      if (now() < held.windows.freshUntil || slot.backgroundFailures > 0 || isEarly) {
        const isDue = now() >= held.windows.refreshAt && !isEarly
        if (isDue && slot.flight === undefined && slot.cooldown.failure(now()) === undefined) {
          launch(slot, "background", origin)
        }
        return Effect.succeed(held.token)
      }
      const call = waiting("expiry", origin)
      const half = now() + (held.windows.expiresAt - now()) / 2
      return Effect.catchAll(need(slot, { ...call, deadline: Math.min(call.deadline, half) }), (failure) => {
        const last = usable(slot, origin)
        if (last !== undefined) return Effect.succeed(last.token)
        // The wait has outlasted the old token, and the new one is under way
        return slot.flight === undefined ? Effect.fail(failure) : need(slot, call)
      })
    })

  /** Another token for an origin that rejected this one, if that is worth a request. */
  const replace = (
    slot: TokenSlots.Slot,
    rejected: AccessToken.AccessToken,
    origin: string,
    call = waiting("rejection", origin)
  ): Effect.Effect<AccessToken.AccessToken, Failure> =>
    Effect.suspend(() => {
      const other = usable(slot, origin)
      if (other !== undefined && !HeldToken.is(other, rejected)) return Effect.succeed(other.token)
      // Whatever the origin says of it: a token whose time is over is renewed
      const purpose = isAlive(slot.held) ? "rejection" : "expiry"
      if (purpose === "rejection" && !slot.rejected.mayRenew(origin, now())) return Effect.succeed(rejected)
      return Effect.flatMap(fetch(slot, { ...call, purpose }), (token) => {
        if (token === undefined) return replace(slot, rejected, origin, call)
        if (!slot.rejected.has(HeldToken.describe(token).digest, origin)) return Effect.succeed(token)
        shareHold(slot, origin, slot.rejected.unchanged(origin, now()))
        return Effect.succeed(rejected)
      })
    })

  const waiting = (purpose: Renewal.Purpose, origin: string): Need => ({
    purpose,
    origin,
    deadline: now() + Duration.toMillis(maxWait)
  })

  fork(Effect.interruptible(Stream.runForEach(store.changes, adoptChange)))

  return TokenProvider.of({
    peek: (request) => {
      const held = slots.of(request).held
      return held !== undefined && now() < held.quietUntil ? held.token : undefined
    },
    get: (request, origin = anyOrigin) =>
      Effect.suspend(() => {
        const slot = slots.of(request)
        const held = slot.held
        return held !== undefined && now() < held.quietUntil ? Effect.succeed(held.token) : acquire(slot, origin)
      }),
    renew: (rejected, request, origin = anyOrigin) =>
      Effect.suspend(() => {
        if (closed) return Effect.fail(closedError())
        const slot = slots.of(request)
        reject(slot, rejected, origin)
        return replace(slot, rejected, origin)
      }),
    settle: (token, outcome, request, origin = anyOrigin) =>
      Effect.sync(() => {
        const slot = slots.of(request)
        if (outcome === "accepted") return accept(slot, token, origin)
        reject(slot, token, origin)
        const { held } = slot
        if (held === undefined || !held.isOwn || !HeldToken.is(held, token)) return
        shareHold(slot, origin, slot.rejected.fruitless(held.digest(), origin, now()))
      })
  })
})

/**
 * A function, never a constant: layers are memoized by reference, and two
 * providers must not share one memory by accident.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<TokenProvider, InvalidOptions, TokenEndpoint | TokenStore> => Layer.scoped(TokenProvider, make(options))

const isWaitOver = (failure: Failure): boolean => failure._tag === "TokenProviderError" && failure.reason === "MaxWait"

const closedError = () => new TokenProviderError({ reason: "Closed" })

type DurationOption = Exclude<keyof typeof defaults, "capacity">

const duration = (name: DurationOption, options: Options) =>
  Check.duration(`TokenProvider.${name}`, options[name] ?? defaults[name])

const positiveDuration = (name: DurationOption, options: Options) =>
  Check.positiveDuration(`TokenProvider.${name}`, options[name] ?? defaults[name])

const habits: Record<ServerHabits.Habit, string> = {
  BoundTokens: "Tokens that other processes were issued are rejected here, as if they were bound to the process that " +
    "asked for them: this process no longer shares its tokens",
  OneActiveToken: "Tokens that worked are rejected long before their end: the server seems to keep one active token " +
    "for each client, so that two scopes or two stores end each other's tokens"
}
