/**
 * The tokens of the store: how they are read, and how they are written without
 * replacing what the writer has not seen.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as AccessToken from "../AccessToken.js"
import type { ProofKey } from "../DPoP.js"
import type { BoundedStore } from "./BoundedStore.js"
import * as StoredToken from "./StoredToken.js"

/** What a look at the store found. */
export interface Found {
  /** The token, if there is a readable one. */
  readonly token: Option.Option<AccessToken.AccessToken>
  /** The version that a write must replace. */
  readonly version: Option.Option<string>
}

/** Reads and writes tokens of the store. */
export interface SharedTokens {
  /** `None` if the store failed. */
  readonly read: (key: string) => Effect.Effect<Option.Option<Found>>
  /**
   * Returns `false` if another process has written since: read again. A token that the store cannot keep counts as
   * written.
   */
  readonly write: (
    key: string,
    token: AccessToken.AccessToken,
    replaces: Option.Option<string>,
    /** Whether other processes wait for it. */
    isAwaited?: boolean
  ) => Effect.Effect<boolean>
}

const nothing: Found = { token: Option.none(), version: Option.none() }

/** The tokens of a store; `defaultLifetime` is how long a token of unknown lifetime is kept. */
export const make = (
  store: BoundedStore,
  options: {
    readonly defaultLifetime: Duration.Duration
    /** The key that all of them are bound to, if any. */
    readonly proofKey?: ProofKey | undefined
  }
): SharedTokens => {
  const { defaultLifetime, proofKey } = options
  return {
    read: Effect.fnUntraced(function*(key) {
      const readAt = yield* Clock.currentTimeMillis
      const answer = yield* store.get(key, (entry): Found => ({
        token: StoredToken.decode(entry, { readAt, defaultLifetime, proofKey }),
        version: Option.some(entry.version)
      }))
      const found = Option.map(answer, Option.getOrElse(() => nothing))
      if (Option.exists(found, ({ token, version }) => Option.isSome(version) && Option.isNone(token))) {
        yield* store.reportUnreadable(key, "it holds no token that this version can read")
      }
      return found
    }),
    write: Effect.fnUntraced(function*(key, token, replaces, isAwaited) {
      const now = yield* Clock.currentTimeMillis
      const expiresAt = Option.match(token.expiresAt, {
        onNone: () => token.obtainedAt.epochMillis + Duration.toMillis(defaultLifetime),
        onSome: (expiresAt) => expiresAt.epochMillis
      })
      // A token of another kind, from a custom endpoint, cannot be stored
      const isOfKind = token.proofKey === proofKey && token.tokenType === (proofKey === undefined ? "Bearer" : "DPoP")
      if (expiresAt <= now || !isOfKind) return true
      const payload = encode(token)
      // No other process could read it
      if (Option.isNone(payload)) return true
      const entry = {
        version: yield* randomName,
        payload: payload.value,
        timeToLive: Duration.millis(expiresAt - now)
      }
      const secrets = [token.value, ...StoredToken.fieldsOf(token)]
      const written = yield* store.set(key, entry, replaces, { secrets, isAwaited })
      return Option.getOrElse(written, () => true)
    })
  }
}

const encode = Option.liftThrowable(StoredToken.encode)

/** A unique name, for the version of an entry or the owner of a lease. */
export const randomName: Effect.Effect<string> = Effect.map(
  Effect.all([Random.nextInt, Random.nextInt]),
  (parts) => parts.map((part) => part.toString(36)).join("")
)
