/**
 * The token store as `TokenProvider` sees it: it never fails. Every call is
 * bounded in time, a store that failed is left alone for a while, and what went
 * wrong is said once.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type * as AccessToken from "./AccessToken.js"
import { describeCause, TokenStoreError } from "./OAuthError.js"
import * as StoredToken from "./StoredToken.js"
import { type Entry, TokenStore } from "./TokenStore.js"

/**
 * What a look into the store brings.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  /** The token, if there is one that can be read. */
  readonly token: Option.Option<AccessToken.AccessToken>
  /** What a write must replace. */
  readonly version: Option.Option<string>
}

/**
 * The two things that a provider asks of a store.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedTokens {
  readonly read: (key: string) => Effect.Effect<Found>
  /** `false` when somebody else has written since: what is there now is worth a read. */
  readonly write: (
    key: string,
    token: AccessToken.AccessToken,
    replaces: Option.Option<string>
  ) => Effect.Effect<boolean>
}

/** How long a store that failed is left alone. */
const cooldown = Duration.toMillis("5 seconds")

const nothing: Found = { token: Option.none(), version: Option.none() }

/**
 * Tokens that stay in the process: nothing is read or written.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: SharedTokens = {
  read: () => Effect.succeed(nothing),
  write: () => Effect.succeed(true)
}

/**
 * Wraps the `TokenStore` of the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  /** How long one call may take. */
  readonly timeout: Duration.Duration
  /** How long a token of unknown lifetime is kept. */
  readonly defaultLifetime: Duration.Duration
}): Effect.Effect<SharedTokens, never, TokenStore> =>
  Effect.gen(function*() {
    const store = yield* TokenStore
    const { defaultLifetime, timeout } = options

    let isDown = false
    let downUntil = Number.NEGATIVE_INFINITY
    // Keys whose entry could not be read, so that each is reported once
    const unreadable = new Set<string>()

    const failed = (error: TokenStoreError) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        downUntil = now + cooldown
        if (isDown) return Effect.void
        isDown = true
        return Effect.logWarning(`${error.message}. Tokens stay in this process until the store is back`)
      })

    const worked = Effect.suspend(() => {
      if (!isDown) return Effect.void
      isDown = false
      return Effect.logInfo("Token store is back")
    })

    /** `None` when the store failed or is left alone. */
    const ask = <A>(
      method: TokenStoreError["method"],
      call: Effect.Effect<A, TokenStoreError>,
      secret?: Redacted.Redacted
    ): Effect.Effect<Option.Option<A>> => {
      const bounded = Effect.interruptible(call).pipe(
        // A driver that cannot be interrupted must not hold up the time limit
        Effect.disconnect,
        Effect.timeoutFail({ duration: timeout, onTimeout: () => timedOut(method, timeout) }),
        Effect.zipLeft(worked),
        Effect.asSome,
        Effect.catchAllCause((cause) => Effect.as(failed(toStoreError(method, cause, secret)), Option.none()))
      )
      return Effect.flatMap(Clock.currentTimeMillis, (now) => now < downUntil ? Effect.succeedNone : bounded)
    }

    const reportUnreadable = (key: string, description: string) => {
      if (unreadable.has(key)) return Effect.void
      if (unreadable.size >= maxReported) unreadable.clear()
      unreadable.add(key)
      return Effect.logWarning(`Token store entry ${key} counts as absent: ${description}`)
    }

    // An entry that the store cannot read is no failure of the store
    const get = (key: string) =>
      Effect.catchIf(
        store.get(key),
        (error) => error.reason === "InvalidEntry",
        (error) => Effect.as(reportUnreadable(key, error.description), Option.none<Entry>())
      )

    return {
      read: Effect.fnUntraced(function*(key) {
        const readAt = yield* Clock.currentTimeMillis
        const entry = Option.flatten(yield* ask("get", get(key)))
        if (Option.isNone(entry)) return nothing
        const token = StoredToken.decode(entry.value, { readAt, defaultLifetime })
        if (Option.isNone(token)) yield* reportUnreadable(key, "it holds no token that this version can read")
        return { token, version: Option.some(entry.value.version) }
      }),
      write: Effect.fnUntraced(function*(key, token, replaces) {
        const now = yield* Clock.currentTimeMillis
        const expiresAt = Option.match(token.expiresAt, {
          onNone: () => token.obtainedAt.epochMillis + Duration.toMillis(defaultLifetime),
          onSome: (expiresAt) => expiresAt.epochMillis
        })
        if (expiresAt <= now) return true
        const entry: Entry = {
          version: yield* randomVersion,
          payload: StoredToken.encode(token),
          timeToLive: Duration.millis(expiresAt - now)
        }
        const written = yield* ask("set", store.set(key, entry, replaces), token.value)
        return Option.getOrElse(written, () => true)
      })
    }
  })

/** Unreadable keys that are remembered; with more of them a repetition does no harm. */
const maxReported = 1_000

const timedOut = (method: TokenStoreError["method"], timeout: Duration.Duration) =>
  new TokenStoreError({ method, reason: "Timeout", description: `no answer within ${Duration.format(timeout)}` })

const randomVersion = Effect.map(
  Effect.all([Random.nextInt, Random.nextInt]),
  (parts) => parts.map((part) => part.toString(36)).join("")
)

/** What a failed store says, whatever it failed with, and without the token it was given. */
const toStoreError = (
  method: TokenStoreError["method"],
  cause: Cause.Cause<TokenStoreError>,
  secret: Redacted.Redacted | undefined
): TokenStoreError => {
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  const description = error?.description ?? describeCause(cause)
  return new TokenStoreError({
    method,
    reason: error?.reason ?? "Unavailable",
    description: secret === undefined ? description : description.replaceAll(Redacted.value(secret), "<redacted>")
  })
}
