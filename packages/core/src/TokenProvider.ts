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
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type * as Tracer from "effect/Tracer"
import * as AccessToken from "./AccessToken.js"
import * as Check from "./Check.js"
import { type InvalidOptions, type TokenEndpointError, TokenProviderError } from "./OAuthError.js"
import * as RejectedTokens from "./RejectedTokens.js"
import * as RetryPolicy from "./RetryPolicy.js"
import * as SharedTokens from "./SharedTokens.js"
import { TokenEndpoint } from "./TokenEndpoint.js"
import { fingerprint, type ResolvedTokenRequest, type TokenRequest } from "./TokenRequest.js"
import type { TokenStore } from "./TokenStore.js"

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
    /** Tells what the resource said of a token that `renew` gave, or of one it had rejected before. */
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
  /** How long a caller waits for a token at most. The default is 30 seconds. */
  readonly maxWait?: Duration.DurationInput | undefined
  /** How long one call of the store may take. The default is 500 milliseconds. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /** `false` keeps tokens in this process and out of the store. */
  readonly shareTokens?: boolean | undefined
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
  maxWait: Duration.seconds(30),
  // A healthy Redis answers in a millisecond; half a second bears a pause of its or ours
  storeTimeout: Duration.millis(500),
  capacity: 10_000
}

/** A definite failure is held this many times as long as a passing one, and at most so many times. */
const definiteFactor = 5
const maxDefiniteFactor = 60
/** What a server may ask for with Retry-After once the retries are used up. */
const maxRetryAfter = Duration.toMillis("1 minute")
/** Background failures are spaced by the cool-down, doubled each time up to this many times. */
const maxBackgroundFactor = 16
/** A span that waits for a renewal is linked to it, up to this many. */
const maxLinks = 32
const anyOrigin = ""

/** A token in memory. */
interface Held {
  readonly token: AccessToken.AccessToken
  readonly windows: AccessToken.Windows
  /** Issued to this process, not adopted from the store. */
  readonly own: boolean
  /** The digest under which rejections are kept; computed when it is first needed. */
  readonly fingerprint: () => string
  /** Until here the token is handed out without a further look: the hot path's one comparison. */
  quietUntil: number
}

type FlightPurpose = "background" | "expiry" | "rejection"

/** A renewal under way, which callers wait for. */
interface Flight {
  readonly purpose: FlightPurpose
  readonly origin: string
  readonly landed: Deferred.Deferred<AccessToken.AccessToken, TokenEndpointError | TokenProviderError>
  span: Tracer.Span | undefined
  links: number
  /** Whether it has come to ask the endpoint: a failure without that is the old one, told again. */
  hasAsked: boolean
}

/** A failure that answers for the endpoint for a while. */
interface Cooldown {
  readonly error: TokenEndpointError
  readonly until: number
  /** The credentials that failed, as far as they can change. */
  credentials: Option.Option<string>
  /** When it is next worth looking whether the credentials have changed. */
  checkAt: number
}

/** Everything known about one key. */
interface Slot {
  readonly request: ResolvedTokenRequest
  readonly rejected: RejectedTokens.RejectedTokens
  held: Held | undefined
  flight: Flight | undefined
  cooldown: Cooldown | undefined
  definiteFailures: number
  backgroundFailures: number
  backgroundNotBefore: number
}

/** What a flight brings home. */
interface Landing {
  readonly held: Held
  /** For a token fresh from the endpoint: the version of the entry it replaces. */
  readonly replaces: Option.Option<Option.Option<string>>
}

/**
 * Makes a provider whose renewals end with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options = {}) {
  const { defaultLifetime, expiryLeeway, failureCooldown, maxWait, refreshAhead, storeTimeout } = yield* Effect.all({
    refreshAhead: duration("refreshAhead", options),
    expiryLeeway: duration("expiryLeeway", options),
    defaultLifetime: positiveDuration("defaultLifetime", options),
    failureCooldown: duration("failureCooldown", options),
    maxWait: positiveDuration("maxWait", options),
    storeTimeout: positiveDuration("storeTimeout", options)
  })
  const capacity = yield* Check.positiveInteger("TokenProvider.capacity", options.capacity ?? defaults.capacity)
  const cooldownMillis = Duration.toMillis(failureCooldown)
  const shared = options.shareTokens === false
    ? SharedTokens.none
    : yield* SharedTokens.make({ timeout: storeTimeout, defaultLifetime })
  // Once for this process, so that the processes of a fleet differ from each other
  const jitter = yield* Random.next

  const endpoint = yield* TokenEndpoint
  const clock = yield* Effect.clock
  const now = () => clock.unsafeCurrentTimeMillis()
  const credentials = Effect.timeoutTo(endpoint.credentials, {
    duration: maxWait,
    onSuccess: (credentials) => credentials,
    onTimeout: () => Option.none<string>()
  })

  const fork = yield* FiberSet.makeRuntime<never, void>()
  const flights = new Set<Flight>()
  let closed = false
  // Registered after the fibers, so it runs before they are interrupted: nobody waits for a flight that is gone
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      defaultSlot.held = undefined
      slots.clear()
      for (const flight of flights) Deferred.unsafeDone(flight.landed, Exit.fail(closedError()))
    })
  )

  // ---------------------------------------------------------------------------
  // keys
  // ---------------------------------------------------------------------------

  const makeSlot = (request: ResolvedTokenRequest): Slot => ({
    request,
    rejected: RejectedTokens.make(),
    held: undefined,
    flight: undefined,
    cooldown: undefined,
    definiteFailures: 0,
    backgroundFailures: 0,
    backgroundNotBefore: 0
  })

  const defaultSlot = makeSlot(endpoint.resolve())
  // In the order of their last use
  const slots = new Map<string, Slot>()

  const slotOf = (request: TokenRequest | undefined): Slot => {
    if (request === undefined) return defaultSlot
    const resolved = endpoint.resolve(request)
    if (resolved.key === defaultSlot.request.key) return defaultSlot
    let slot = slots.get(resolved.key)
    if (slot === undefined) {
      slot = makeSlot(resolved)
      for (const [key, candidate] of slots) {
        if (slots.size < capacity) break
        if (candidate.flight === undefined) slots.delete(key)
      }
    } else {
      slots.delete(resolved.key)
    }
    slots.set(resolved.key, slot)
    return slot
  }

  const hold = (token: AccessToken.AccessToken, own: boolean): Held => {
    const windows = AccessToken.windows(token, { refreshAhead, expiryLeeway, defaultLifetime, jitter })
    let digest: string | undefined
    return {
      token,
      windows,
      own,
      fingerprint: () => digest ??= fingerprint(Redacted.value(token.value)),
      quietUntil: windows.refreshAt
    }
  }

  const isAlive = (held: Held | undefined): held is Held => held !== undefined && now() < held.windows.expiresAt

  const isRejected = (slot: Slot, held: Held, origin?: string) => slot.rejected.has(held.fingerprint(), origin)

  /** A token serves until its time has really run out. */
  const usable = (slot: Slot, origin: string): Held | undefined =>
    !closed && isAlive(slot.held) && !isRejected(slot, slot.held, origin) ? slot.held : undefined

  // ---------------------------------------------------------------------------
  // flights
  // ---------------------------------------------------------------------------

  /** A token of the store that is worth taking: still fresh, and not rejected by anyone. */
  const adoptable = (
    slot: Slot,
    found: Option.Option<AccessToken.AccessToken>,
    purpose: FlightPurpose
  ): Held | undefined => {
    if (Option.isNone(found)) return undefined
    const candidate = hold(found.value, false)
    const { freshUntil, refreshAt } = candidate.windows
    const isFresh = now() < (purpose === "background" ? refreshAt : freshUntil)
    return isFresh && !isRejected(slot, candidate) ? candidate : undefined
  }

  /** Stores a token. When somebody else was first, theirs is adopted, or replaced if it is no longer worth that. */
  const share = Effect.fnUntraced(function*(
    slot: Slot,
    held: Held,
    replaces: Option.Option<string>,
    purpose: FlightPurpose
  ) {
    if (yield* shared.write(slot.request.key, held.token, replaces)) return
    const found = yield* shared.read(slot.request.key)
    const winner = adoptable(slot, found.token, purpose)
    if (winner === undefined) {
      yield* shared.write(slot.request.key, held.token, found.version)
    } else if (slot.held === held) {
      keep(slot, winner)
    }
  })

  const keep = (slot: Slot, held: Held) => {
    if (slot.rejected.has(held.fingerprint())) held.quietUntil = Number.NEGATIVE_INFINITY
    const previous = slot.held
    slot.held = held
    slot.backgroundFailures = 0
    slot.backgroundNotBefore = 0
    if (held.own && previous !== undefined && sameValue(previous.token, held.token)) {
      // The endpoint keeps to its token for now: asking again at once would bring it once more
      const { expiresAt, freshUntil } = held.windows
      const end = now() < freshUntil ? freshUntil : Math.min(expiresAt, now() + Duration.toMillis(defaultLifetime))
      slot.backgroundNotBefore = now() + Math.max(0, end - now()) / 2
    }
  }

  /** The work of a flight: adopt before asking, then ask. */
  const obtain = (slot: Slot, flight: Flight): Effect.Effect<Landing, TokenEndpointError> =>
    Effect.gen(function*() {
      yield* checkCooldown(slot)
      const found = yield* shared.read(slot.request.key)
      const adopted = adoptable(slot, found.token, flight.purpose)
      if (adopted !== undefined) return { held: adopted, replaces: Option.none() }
      if (flight.purpose === "rejection") slot.rejected.spend(flight.origin, now())
      flight.hasAsked = true
      const token = yield* flight.purpose === "background"
        ? endpoint.attempt(slot.request)
        : endpoint.request(slot.request)
      return {
        held: hold(token, true),
        replaces: Option.some(found.version)
      }
    })

  const inCooldown = (slot: Slot): Cooldown | undefined =>
    slot.cooldown !== undefined && now() < slot.cooldown.until ? slot.cooldown : undefined

  /** Within a cool-down a flight exists only to see whether the credentials have changed. */
  const checkCooldown = (slot: Slot): Effect.Effect<void, TokenEndpointError> =>
    Effect.suspend(() => {
      const cooldown = inCooldown(slot)
      if (cooldown === undefined) return Effect.void
      return Effect.flatMap(credentials, (credentials) => {
        if (Option.isSome(credentials) && !Equal.equals(credentials, cooldown.credentials)) {
          slot.cooldown = undefined
          slot.definiteFailures = 0
          return Effect.void
        }
        return Effect.fail(cooldown.error)
      })
    })

  const failed = (slot: Slot, flight: Flight, cause: Cause.Cause<TokenEndpointError>): Effect.Effect<void> => {
    const error = Option.getOrUndefined(Cause.failureOption(cause))
    if (flight.purpose === "background") {
      slot.backgroundNotBefore = now() + cooldownOf(error, slot.backgroundFailures, maxBackgroundFactor)
      slot.backgroundFailures++
      const reason = error?.message ?? "The token endpoint died"
      return slot.backgroundFailures > 1
        ? Effect.void
        : Effect.logWarning(`Token renewal failed, the token in use serves on until it expires. ${reason}`)
    }
    // A defect is a bug in a custom endpoint: it is told to those who wait, and held against nobody
    if (error === undefined || !flight.hasAsked) return Effect.void
    const isTransient = RetryPolicy.transient(error)
    const duration = isTransient
      ? cooldownOf(error, 0, 1)
      : Math.min(maxDefiniteFactor, definiteFactor * 2 ** slot.definiteFailures++) * cooldownMillis
    const cooldown: Cooldown = {
      error,
      until: now() + duration,
      credentials: Option.none(),
      checkAt: now() + cooldownMillis
    }
    slot.cooldown = cooldown
    return isTransient ? Effect.void : Effect.map(credentials, (credentials) => {
      cooldown.credentials = credentials
    })
  }

  const cooldownOf = (error: TokenEndpointError | undefined, failures: number, maxFactor: number): number =>
    Math.max(
      cooldownMillis * Math.min(maxFactor, 2 ** failures),
      error?.retryAfter === undefined ? 0 : Math.min(maxRetryAfter, Duration.toMillis(error.retryAfter))
    )

  const succeeded = (slot: Slot, held: Held) => {
    if (closed) return
    slot.cooldown = undefined
    slot.definiteFailures = 0
    keep(slot, held)
  }

  const land = (
    slot: Slot,
    flight: Flight,
    exit: Exit.Exit<AccessToken.AccessToken, TokenEndpointError | TokenProviderError>
  ) => {
    if (slot.flight === flight) slot.flight = undefined
    flights.delete(flight)
    Deferred.unsafeDone(flight.landed, exit)
  }

  const fly = (slot: Slot, flight: Flight): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        flight.span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
        const exit = yield* Effect.exit(restore(Effect.interruptible(obtain(slot, flight))))
        if (Exit.isSuccess(exit)) {
          const { held, replaces } = exit.value
          succeeded(slot, held)
          if (flight.purpose === "rejection" && held.own) {
            slot.rejected.renewed(held.fingerprint(), flight.origin, now())
          }
          land(slot, flight, Exit.succeed(held.token))
          // Nobody waits for this; at the end of a process it is worth one bounded call
          if (Option.isSome(replaces)) yield* share(slot, held, replaces.value, flight.purpose)
          return
        }
        const afterwards = failed(slot, flight, exit.cause)
        // An endpoint that interrupts itself must not interrupt those who wait
        land(slot, flight, Exit.isInterrupted(exit) ? Exit.die(Cause.squash(exit.cause)) : Exit.failCause(exit.cause))
        yield* Effect.interruptible(afterwards)
      })
    ).pipe(
      Effect.withSpan("TokenProvider.renew", {
        root: true,
        captureStackTrace: false,
        attributes: { "oauth.renewal.reason": flight.purpose, "oauth.token.key": slot.request.key }
      }),
      // Whatever else goes wrong, as with a token that is none: the key must not wait for it for ever
      Effect.onError((cause) => Effect.sync(() => land(slot, flight, Exit.failCause(cause))))
    )

  const launch = (slot: Slot, purpose: FlightPurpose, origin: string): Flight => {
    const flight: Flight = {
      purpose,
      origin,
      landed: Deferred.unsafeMake(FiberId.none),
      span: undefined,
      links: 0,
      hasAsked: false
    }
    slot.flight = flight
    flights.add(flight)
    fork(fly(slot, flight))
    return flight
  }

  /** Waits for a flight without any say in it: interrupting the caller does not touch the flight. */
  const join = (flight: Flight, wait: Duration.Duration, deadline: number) =>
    Effect.withFiberRuntime<AccessToken.AccessToken, TokenEndpointError | TokenProviderError>((fiber) => {
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
            Exit.fail(new TokenProviderError({ reason: "MaxWait", waited: wait, retryAfter: failureCooldown }))
        }),
        // A caller in a region that cannot be interrupted has a time limit too
        Effect.interruptible,
        Effect.disconnect,
        Effect.flatten
      )
    })

  // ---------------------------------------------------------------------------
  // callers
  // ---------------------------------------------------------------------------

  /** Joins the flight of this key or starts one, unless a cool-down answers for it. */
  const need = (
    slot: Slot,
    purpose: FlightPurpose,
    origin: string,
    wait: Duration.Duration,
    deadline = now() + Duration.toMillis(wait)
  ): Effect.Effect<AccessToken.AccessToken, TokenEndpointError | TokenProviderError> =>
    Effect.suspend(() => {
      if (closed) return Effect.fail(closedError())
      if (slot.flight !== undefined) {
        const joined = join(slot.flight, wait, deadline)
        // A background flight makes one attempt only: whoever needs a token now asks for himself
        return slot.flight.purpose === "background"
          ? Effect.catchTag(joined, "TokenEndpointError", () => need(slot, purpose, origin, wait, deadline))
          : joined
      }
      const cooldown = inCooldown(slot)
      if (cooldown !== undefined) {
        if (Option.isNone(cooldown.credentials) || now() < cooldown.checkAt) return Effect.fail(cooldown.error)
        cooldown.checkAt = now() + cooldownMillis
      }
      return join(launch(slot, purpose, origin), wait, deadline)
    })

  const acquire = (slot: Slot, origin: string) =>
    Effect.suspend(() => {
      if (closed) return Effect.fail(closedError())
      const held = slot.held
      if (!isAlive(held)) return need(slot, "expiry", origin, maxWait)
      if (isRejected(slot, held, origin)) {
        // With none to be had that this origin takes, it is told by the newest, whose time is not over
        return Effect.map(replace(slot, held.token, origin), (token) =>
          token === held.token && isAlive(slot.held) ? slot.held.token : token)
      }
      // With an endpoint known to fail, or to keep to this token, waiting would gain nothing while it still works
      const isEarly = now() < slot.backgroundNotBefore
      if (now() < held.windows.freshUntil || slot.backgroundFailures > 0 || isEarly) {
        const isDue = now() >= held.windows.refreshAt && !isEarly
        if (isDue && slot.flight === undefined && inCooldown(slot) === undefined) {
          launch(slot, "background", origin)
        }
        return Effect.succeed(held.token)
      }
      const wait = Duration.min(maxWait, Duration.millis((held.windows.expiresAt - now()) / 2))
      return Effect.catchAll(need(slot, "expiry", origin, wait), (error) => {
        const last = usable(slot, origin)
        return last === undefined ? Effect.fail(error) : Effect.succeed(last.token)
      })
    })

  /** Another token for an origin that rejected this one, if that is worth a request. */
  const replace = (
    slot: Slot,
    rejected: AccessToken.AccessToken,
    origin: string
  ): Effect.Effect<AccessToken.AccessToken, TokenEndpointError | TokenProviderError> =>
    Effect.suspend(() => {
      const other = usable(slot, origin)
      if (other !== undefined && !sameValue(other.token, rejected)) return Effect.succeed(other.token)
      // Whatever the origin says of it: a token whose time is over is renewed
      const purpose = isAlive(slot.held) ? "rejection" : "expiry"
      const mayRenew = purpose === "expiry" || slot.flight !== undefined || slot.rejected.mayRenew(origin, now())
      if (!mayRenew) return Effect.succeed(rejected)
      return Effect.map(need(slot, purpose, origin, maxWait), (token) => {
        if (!slot.rejected.has(digestOf(token), origin)) return token
        slot.rejected.unchanged(origin, now())
        return rejected
      })
    })

  return TokenProvider.of({
    peek: (request) => {
      const held = (request === undefined ? defaultSlot : slotOf(request)).held
      return held !== undefined && now() < held.quietUntil ? held.token : undefined
    },
    get: (request, origin = anyOrigin) =>
      Effect.suspend(() => {
        const slot = slotOf(request)
        const held = slot.held
        return held !== undefined && now() < held.quietUntil ? Effect.succeed(held.token) : acquire(slot, origin)
      }),
    renew: (rejected, request, origin = anyOrigin) =>
      Effect.suspend(() => {
        if (closed) return Effect.fail(closedError())
        const slot = slotOf(request)
        slot.rejected.reject(digestOf(rejected), origin, endOf(rejected), now())
        if (slot.held !== undefined && sameValue(slot.held.token, rejected)) {
          slot.held.quietUntil = Number.NEGATIVE_INFINITY
        }
        return replace(slot, rejected, origin)
      }),
    settle: (token, outcome, request, origin = anyOrigin) =>
      Effect.sync(() => {
        const slot = slotOf(request)
        const digest = digestOf(token)
        const held = slot.held !== undefined && sameValue(slot.held.token, token) ? slot.held : undefined
        if (outcome === "accepted") {
          slot.rejected.accept(digest, origin)
          if (held !== undefined && !slot.rejected.has(digest)) held.quietUntil = held.windows.refreshAt
          return
        }
        slot.rejected.reject(digest, origin, endOf(token), now())
        if (held === undefined) return
        held.quietUntil = Number.NEGATIVE_INFINITY
        if (held.own) slot.rejected.fruitless(digest, origin, now())
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

const closedError = () => new TokenProviderError({ reason: "Closed" })

type DurationOption = Exclude<keyof typeof defaults, "capacity">

const duration = (name: DurationOption, options: Options) =>
  Check.duration(`TokenProvider.${name}`, options[name] ?? defaults[name])

const positiveDuration = (name: DurationOption, options: Options) =>
  Check.positiveDuration(`TokenProvider.${name}`, options[name] ?? defaults[name])

const sameValue = (a: AccessToken.AccessToken, b: AccessToken.AccessToken): boolean =>
  a === b || Redacted.value(a.value) === Redacted.value(b.value)

const digestOf = (token: AccessToken.AccessToken): string => fingerprint(Redacted.value(token.value))

const endOf = (token: AccessToken.AccessToken): number =>
  Option.match(token.expiresAt, {
    onNone: () => Number.POSITIVE_INFINITY,
    onSome: (expiresAt) => expiresAt.epochMillis
  })
