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
import * as Exit from "effect/Exit"
import type { LazyArg } from "effect/Function"
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

    // The methods whose last call failed: a store may well be read and not be written
    const down = new Set<TokenStoreError["method"]>()
    let downUntil = Number.NEGATIVE_INFINITY
    // Keys whose entry could not be read, so that each is reported once
    const unreadable = new Set<string>()

    const failed = (error: TokenStoreError) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const isKnown = down.size > 0
        downUntil = now + cooldown
        down.add(error.method)
        return isKnown
          ? Effect.void
          : Effect.logWarning(`${error.message}. Tokens stay in this process until the store is back`)
      })

    const worked = (method: TokenStoreError["method"]) =>
      Effect.suspend(() => down.delete(method) && down.size === 0 ? Effect.logInfo("Token store is back") : Effect.void)

    /** `None` when the store failed or is left alone. */
    const ask = <A>(
      method: TokenStoreError["method"],
      call: LazyArg<Effect.Effect<A, TokenStoreError>>,
      secret?: Redacted.Redacted
    ): Effect.Effect<Option.Option<A>> => {
      const bounded = Effect.suspend(call).pipe(
        // Effect logs a fiber that fails with its cause, and the cause may hold the token
        Effect.exit,
        // A driver that cannot be interrupted must not hold up the time limit
        Effect.disconnect,
        Effect.timeoutTo({
          duration: timeout,
          onSuccess: (exit) => exit,
          onTimeout: () => Exit.fail(timedOut(method, timeout))
        }),
        // Nor must a region that cannot be: in it the call is given its time even at the end of the scope
        Effect.interruptible,
        Effect.disconnect,
        Effect.flatten,
        Effect.zipLeft(worked(method)),
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

    // A part of the call, so that an entry which is none at all counts as its failure
    const decode = (entry: Entry, readAt: number): Found => ({
      token: StoredToken.decode(entry, { readAt, defaultLifetime }),
      version: Option.some(entry.version)
    })

    return {
      read: Effect.fnUntraced(function*(key) {
        const readAt = yield* Clock.currentTimeMillis
        const answer = yield* ask("get", () => Effect.map(get(key), Option.map((entry) => decode(entry, readAt))))
        const found = Option.getOrElse(Option.flatten(answer), () => nothing)
        if (Option.isSome(found.version) && Option.isNone(found.token)) {
          yield* reportUnreadable(key, "it holds no token that this version can read")
        }
        return found
      }),
      write: Effect.fnUntraced(function*(key, token, replaces) {
        const now = yield* Clock.currentTimeMillis
        const expiresAt = Option.match(token.expiresAt, {
          onNone: () => token.obtainedAt.epochMillis + Duration.toMillis(defaultLifetime),
          onSome: (expiresAt) => expiresAt.epochMillis
        })
        // What a custom endpoint made of another kind has no form in a store
        if (expiresAt <= now || token.tokenType !== "Bearer") return true
        const payload = encode(token)
        // No other process could read it back
        if (Option.isNone(payload)) return true
        const entry: Entry = {
          version: yield* randomVersion,
          payload: payload.value,
          timeToLive: Duration.millis(expiresAt - now)
        }
        const written = yield* ask("set", () => store.set(key, entry, replaces), token.value)
        return Option.getOrElse(written, () => true)
      })
    }
  })

/** Unreadable keys that are remembered; with more of them a repetition does no harm. */
const maxReported = 1_000

const encode = Option.liftThrowable(StoredToken.encode)

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
    description: secret === undefined ? description : withoutSecret(description, Redacted.value(secret))
  })
}

/** A description is bounded in length, and may have been cut in the middle of the secret. */
const withoutSecret = (description: string, secret: string): string => {
  const text = description.replaceAll(secret, "<redacted>")
  if (!text.endsWith("…")) return text
  for (let length = Math.min(secret.length, text.length); length > 0; length--) {
    if (text.endsWith(`${secret.slice(0, length)}…`)) return `${text.slice(0, -length - 1)}<redacted>…`
  }
  return text
}
