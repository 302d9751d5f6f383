/**
 * The token store as a fleet uses it: it never fails. Every call has a time
 * limit, a failed store is left alone for a while, and each problem is logged
 * once.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { constVoid, type LazyArg } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as ErrorAttributes from "../disclosure/ErrorAttributes.js"
import * as Redaction from "../disclosure/Redaction.js"
import { describeCause, TokenStoreError } from "../OAuthError.js"
import * as OAuthMetrics from "../OAuthMetrics.js"

/** `TokenStore.Entry`, as used here. */
export interface Entry {
  readonly version: string
  readonly payload: string
  readonly timeToLive: Duration.Duration
}

/** `TokenStore`, as used here. */
export interface Driver {
  readonly get: (key: string) => Effect.Effect<Option.Option<Entry>, TokenStoreError>
  readonly set: (
    key: string,
    entry: Entry,
    replaces: Option.Option<string>
  ) => Effect.Effect<boolean, TokenStoreError>
  readonly remove: (key: string, version: string) => Effect.Effect<boolean, TokenStoreError>
  readonly acquireLease: LeaseMethod
  readonly extendLease: LeaseMethod
  readonly releaseLease: (key: string, owner: string) => Effect.Effect<void, TokenStoreError>
  readonly changes: Stream.Stream<string, TokenStoreError>
}

type LeaseMethod = (
  key: string,
  owner: string,
  duration: Duration.Duration
) => Effect.Effect<boolean, TokenStoreError>

/** The methods of a `TokenStore`. Each returns `None` if the store failed or is left alone. */
export interface BoundedStore {
  /** Whether the last calls failed, before the store was left alone. */
  readonly isFailing: () => boolean
  /**
   * An entry that the store cannot read counts as absent. `decode` is part of the call: if it throws, the call fails.
   */
  readonly get: <A>(
    key: string,
    decode: (entry: Entry) => A
  ) => Effect.Effect<Option.Option<Option.Option<A>>>
  readonly set: (
    key: string,
    entry: Entry,
    replaces: Option.Option<string>,
    options?: SetOptions
  ) => Effect.Effect<Option.Option<boolean>>
  readonly remove: (key: string, version: string) => Effect.Effect<Option.Option<boolean>>
  readonly acquireLease: (
    key: string,
    owner: string,
    duration: Duration.Duration
  ) => Effect.Effect<Option.Option<boolean>>
  readonly extendLease: (
    key: string,
    owner: string,
    duration: Duration.Duration
  ) => Effect.Effect<Option.Option<boolean>>
  /** Made even while the store is left alone: an unused lease delays other processes. */
  readonly releaseLease: (key: string, owner: string) => Effect.Effect<void>
  /** Continues whatever happens; changes during an outage of the store are missing. */
  readonly changes: Stream.Stream<string>
  /** Logs once that the entry of a key cannot be read. */
  readonly reportUnreadable: (key: string, description: string) => Effect.Effect<void>
}

/** How an entry is written. */
interface SetOptions {
  /** Secrets that no message may show. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted> | undefined
  /** Other processes wait for this entry: it is written even while the store is left alone. */
  readonly isAwaited?: boolean | undefined
}

/** How long a failed store is left alone. */
const cooldown = Duration.toMillis("5 seconds")

/** The share of the time limit that one call of a slow store may take: a token needs three in sequence. */
const slowShare = 1 / 3

/** The time left for calls that are awaited together, in milliseconds. */
const allowance = FiberRef.unsafeMake<{ left: number } | undefined>(undefined)

/** Subtracts the time of a call from what is left. Of calls at the same time, only the longest counts. */
const spending = (allowance: { left: number }, most: number): Time => {
  let rest = allowance.left
  return {
    limit: Math.min(most, rest),
    spend: (millis) => {
      rest -= millis
      allowance.left = Math.max(0, Math.min(allowance.left, rest))
    }
  }
}

/** Limits all calls of an effect together to the limit of one. */
export const bounded =
  (timeout: Duration.Duration) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => Effect.locally(effect, allowance, { left: Duration.toMillis(timeout) }))

/** Gives each call of an effect its own limit. */
export const unbounded: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.locally(
  allowance,
  undefined
)

/** The time of a call is counted in so many steps. */
const steps = 10

/** The kind of each method: a rare method is healthy again with the usual one of its kind. */
const kinds = {
  get: "read",
  set: "write",
  remove: "write",
  acquireLease: "lease"
} as const

type Method = keyof typeof kinds

/** How many unreadable keys are remembered; beyond this, repeated messages do no harm. */
const maxReported = 1_000

// A connection that returns is found soon; after a long outage attempts are as rare as other calls
const resubscribe = Schedule.exponential("200 millis").pipe(
  Schedule.jittered,
  Schedule.modifyDelay((_, delay) => Duration.min(delay, cooldown))
)

/** Wraps a store. */
export const make = (store: Driver, options: {
  /** The limit of one call. */
  readonly timeout: Duration.Duration
}): Effect.Effect<BoundedStore> =>
  Effect.map(OAuthMetrics.makeUpdate, (update) => {
    const call = makeCall(options.timeout, update)
    const timeout = Duration.toMillis(options.timeout)

    // A call timed out: until one succeeds, each call gets only a share of the limit
    let isSlow = false

    // What failed at the last call: a store may be readable and not writable
    const down = new Set<string>()
    let failedAt = -Infinity
    // Keys whose entry could not be read, so that each is logged once
    const unreadable = new Set<string>()

    const failed = (method: Method, error: TokenStoreError) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const isKnown = down.size > 0
        failedAt = now
        isSlow ||= error.reason === "Timeout"
        down.add(kinds[method])
        return isKnown
          ? Effect.void
          : annotate(
            error,
            Effect.logWarning(
              `${error.message}. Until the store is available again, tokens are cached in this process only`
            )
          )
      })

    const worked = (method: Method) =>
      Effect.suspend(() => {
        isSlow = false
        return down.delete(kinds[method]) && down.size === 0
          ? Effect.logInfo("Token store is available again")
          : Effect.void
      })

    const ask = <A>(
      method: Method,
      effect: LazyArg<Effect.Effect<A, TokenStoreError>>,
      { isAwaited, secrets }: SetOptions = {}
    ): Effect.Effect<Option.Option<A>> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        // A clock that was set back must not prolong it
        if (!isAwaited && now >= failedAt && now < failedAt + cooldown) {
          update(OAuthMetrics.tokenStoreOperations(method, "skipped"), 1)
          return Effect.succeedNone
        }
        return Effect.flatMap(FiberRef.get(allowance), (allowance = { left: timeout }) =>
          call(method, effect, secrets, spending(allowance, isSlow ? timeout * slowShare : timeout)).pipe(
            Effect.zipLeft(worked(method)),
            Effect.asSome,
            Effect.catchAll((error) => Effect.as(failed(method, error), Option.none()))
          ))
      })

    const reportUnreadable = (key: string, description: string) =>
      Effect.suspend(() => {
        if (unreadable.has(key)) {
          return Effect.void
        }
        if (unreadable.size >= maxReported) {
          unreadable.clear()
        }
        unreadable.add(key)
        return Effect.logWarning(`Token store entry ${key} counts as absent: ${description}`)
      })

    // Since when there are no notices, and whether that was logged
    let silentSince: number | undefined
    let isSilenceSaid = false

    const heard = Effect.suspend(() => {
      const wasSaid = isSilenceSaid
      silentSince = undefined
      isSilenceSaid = false
      return wasSaid ? Effect.logInfo("Token store reports changes again") : Effect.void
    })

    /** A store that is down has its own warning. */
    const silent = (cause: Cause.Cause<TokenStoreError>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const error = toStoreError("changes", cause)
        update(OAuthMetrics.tokenStoreOperations("changes", error), 1)
        silentSince ??= now
        if (isSilenceSaid || down.size > 0 || now - silentSince < cooldown) {
          return Effect.void
        }
        isSilenceSaid = true
        return annotate(
          error,
          Effect.logWarning(`${error.message}. Tokens of other processes are read from the store when they are needed`)
        )
      })

    return {
      isFailing: () =>
        down.size > 0,
      get: (key, decode) =>
        ask("get", () =>
          Effect.catchIf(
            Effect.map(store.get(key), Option.map(decode)),
            (error) => error.reason === "InvalidEntry",
            (error) => Effect.as(reportUnreadable(key, error.description), Option.none())
          )),
      set: (key, entry, replaces, options) =>
        ask("set", () => yesOrNo("set", store.set(key, entry, replaces)), options),
      remove: (key, version) => ask("remove", () => yesOrNo("remove", store.remove(key, version))),
      acquireLease: (key, owner, duration) =>
        ask("acquireLease", () => yesOrNo("acquireLease", store.acquireLease(key, owner, duration))),
      // Retried before the lease expires, whatever happens: one lost call says nothing about the store
      extendLease: (key, owner, duration) =>
        Effect.option(call("extendLease", () => yesOrNo("extendLease", store.extendLease(key, owner, duration)))),
      releaseLease: (key, owner) => Effect.ignore(call("releaseLease", () => store.releaseLease(key, owner))),
      changes: Stream.suspend(() => store.changes).pipe(
        Stream.tap(() => heard),
        Stream.tapErrorCause(silent),
        Stream.catchAllCause(() => Stream.fail("lost")),
        // A stream that ended is as good as lost
        Stream.concat(Stream.fail("lost")),
        Stream.retry(resubscribe),
        Stream.orDie
      ),
      reportUnreadable
    }
  })

/** How long a call may take, in milliseconds, and a callback with the time it took. */
interface Time {
  readonly limit: number
  readonly spend: (millis: number) => void
}

/**
 * Makes store calls that are limited in time and counted, and whose errors do
 * not contain the `secrets` of the call.
 */
export const makeCall = (timeout: Duration.Duration, update: OAuthMetrics.Update) => {
  // A paused process sees its timer before an answer that arrived long ago, and perhaps many other timers. So the time
  // is counted in steps, and the excess of a step is the process's own pause
  const whole: Time = { limit: Duration.toMillis(timeout), spend: constVoid }
  const step = Math.ceil(whole.limit / steps)
  const patience = ({ limit, spend }: Time) =>
    Effect.suspend(() => {
      let left = limit
      const wait = Effect.flatMap(Clock.currentTimeMillis, (from) => {
        const millis = Math.min(left, step)
        return Effect.sleep(millis).pipe(
          Effect.map(() => {
            left -= millis
            spend(millis)
          }),
          // The answer arrived
          Effect.onInterrupt(() =>
            Effect.map(Clock.currentTimeMillis, (now) => spend(Math.max(0, Math.min(millis, now - from))))
          )
        )
      })
      return Effect.repeat(wait, { until: () => left <= 0 })
    })

  const count = (method: TokenStoreError["method"], outcome: OAuthMetrics.StoreOutcome) =>
    Effect.sync(() => update(OAuthMetrics.tokenStoreOperations(method, outcome), 1))

  return <A>(
    method: TokenStoreError["method"],
    call: LazyArg<Effect.Effect<A, TokenStoreError>>,
    secrets?: ReadonlyArray<Redacted.Redacted>,
    time = whole
  ): Effect.Effect<A, TokenStoreError> =>
    Effect.suspend(call).pipe(
      // Effect logs the cause of a fiber that fails, and the cause may contain the token
      Effect.exit,
      // A driver that cannot be interrupted must not delay the time limit
      Effect.disconnect,
      Effect.raceFirst(Effect.map(patience(time), () => Exit.fail(timedOut(method, timeout, time.limit)))),
      // Nor must an uninterruptible region: in it the call gets its time even when the scope closes
      Effect.interruptible,
      Effect.disconnect,
      Effect.flatten,
      Effect.catchAllCause((cause) => Effect.fail(toStoreError(method, cause, secrets))),
      Effect.tapBoth({
        onFailure: (error) => count(method, error),
        onSuccess: () => count(method, "ok")
      })
    )
}

const annotate = (error: TokenStoreError, log: Effect.Effect<void>) =>
  Effect.annotateLogs(log, { "oauth.token_store.method": error.method, ...ErrorAttributes.make(error) })

/** Any other value would count as a lease that another process holds, for ever. */
const yesOrNo = (method: TokenStoreError["method"], answer: Effect.Effect<boolean, TokenStoreError>) =>
  Effect.filterOrFail(
    answer,
    Predicate.isBoolean,
    () => new TokenStoreError({ method, reason: "Unavailable", description: "it returned neither true nor false" })
  )

const timedOut = (method: TokenStoreError["method"], timeout: Duration.Duration, limit: number) =>
  new TokenStoreError({
    method,
    reason: "Timeout",
    description: limit < Duration.toMillis(timeout)
      ? `the calls for one token took more than ${Duration.format(timeout)}`
      : `no answer within ${Duration.format(timeout)}`
  })

/** The error of a store, whatever it failed with, without the secrets of the call. */
const toStoreError = (
  method: TokenStoreError["method"],
  cause: Cause.Cause<TokenStoreError>,
  secrets: ReadonlyArray<Redacted.Redacted> = []
): TokenStoreError => {
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  const texts = secrets.map(Redacted.value)
  return new TokenStoreError({
    method,
    reason: error?.reason ?? "Unavailable",
    description: Redaction.make(texts)(texts.reduce(withoutSecret, error?.description ?? describeCause(cause)))
  })
}

/** Limits a description in length. It may have been truncated within the secret, which a payload contains as JSON. */
const withoutSecret = (description: string, secret: string): string =>
  [JSON.stringify(secret).slice(1, -1), secret].reduce((text, form) => {
    const clean = text.replaceAll(form, "<redacted>")
    if (!clean.endsWith("…")) return clean
    for (let length = Math.min(form.length, clean.length); length > 0; length--) {
      if (clean.endsWith(`${form.slice(0, length)}…`)) return `${clean.slice(0, -length - 1)}<redacted>…`
    }
    return clean
  }, description)
