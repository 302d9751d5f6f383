/**
 * Where tokens are cached. A store reads and writes opaque entries;
 * `TokenProvider` decides everything else: expiry, waiting, and who renews.
 *
 * @since 0.1.0
 */
import type { KeyValueStore } from "@effect/platform/KeyValueStore"
import type * as Brand from "effect/Brand"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as LayerOptions from "./LayerOptions.js"
import { describeCause, type InvalidOptions, TokenStoreError } from "./OAuthError.js"
import * as OtherProcesses from "./provider/OtherProcesses.js"
import * as Fleet from "./store/Fleet.js"
import * as MemoryTokens from "./store/MemoryTokens.js"
import * as StoredText from "./store/StoredText.js"

/**
 * An entry of a store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  /** A random value, new with every write. It is not encrypted. */
  readonly version: string
  /** The content, opaque to the store. It contains a token: a secret. */
  readonly payload: string
  /** The remaining lifetime by the store's clock; infinite if the entry does not expire. */
  readonly timeToLive: Duration.Duration
}

/**
 * How the providers of a store share its tokens: `byTurns`, `lastWriteWins`, or
 * the default of `makeMemory`, which is for the providers of one process. No
 * other values exist.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sharing extends Brand.Brand<"@effect-alf/core/TokenStore/Sharing"> {
  /** Whether other processes use the store and its leases. */
  readonly isShared: boolean
}

/**
 * A store. Every write is conditional: `replaces` is the version that the
 * writer has read, `None` if it could not read one. If another version is
 * there, the write returns `false` and changes nothing. An entry that the store
 * cannot read counts as absent.
 *
 * A call that was interrupted or timed out may still take effect later.
 *
 * @since 0.1.0
 * @category tags
 */
export class TokenStore extends Context.Tag("@effect-alf/core/TokenStore")<
  TokenStore,
  {
    /** How its providers share tokens. */
    readonly sharing: Sharing
    readonly get: (key: string) => Effect.Effect<Option.Option<Entry>, TokenStoreError>
    /** Compare-and-set. */
    readonly set: (
      key: string,
      entry: Entry,
      replaces: Option.Option<string>
    ) => Effect.Effect<boolean, TokenStoreError>
    /** Compare-and-remove. */
    readonly remove: (key: string, version: string) => Effect.Effect<boolean, TokenStoreError>
    /**
     * Grants the lease of a key to one owner for a duration; `false` while another owner has it. A lease without
     * expiry, or with more than ten times the requested duration left, counts as free.
     */
    readonly acquireLease: (
      key: string,
      owner: string,
      duration: Duration.Duration
    ) => Effect.Effect<boolean, TokenStoreError>
    /** `false` if the owner no longer has the lease. */
    readonly extendLease: (
      key: string,
      owner: string,
      duration: Duration.Duration
    ) => Effect.Effect<boolean, TokenStoreError>
    /** Ends the lease if this owner has it. */
    readonly releaseLease: (key: string, owner: string) => Effect.Effect<void, TokenStoreError>
    /** The keys that were written or removed, possibly by this process. The stream may miss some or all. */
    readonly changes: Stream.Stream<string, TokenStoreError>
  }
>() {}

/**
 * Several processes use the store and its leases: they take turns, one attempt
 * each.
 *
 * @since 0.1.0
 * @category sharing
 */
export const byTurns: Sharing = Fleet.make(true, OtherProcesses.make)

/**
 * Each process renews for itself, and uses a token that another has stored.
 *
 * @since 0.1.0
 * @category sharing
 */
export const lastWriteWins: Sharing = Fleet.make(false, OtherProcesses.make)

/**
 * The result of a method that `make` accepts: a value, a promise or an Effect.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer<A> = A | PromiseLike<A> | Effect.Effect<A, unknown>

/**
 * What `get` of a backend returns: the text that was set, as a string or as
 * bytes, also within an `Option` or as the `value` of an item; or the object
 * that a client parsed from the text. `null` and `undefined` mean that there is
 * none.
 *
 * @since 0.1.0
 * @category models
 */
export type Value = Text | Option.Option<Text> | { readonly value: unknown } | Pick<Entry, "version" | "payload">

type Text = string | Uint8Array | null | undefined

/**
 * Any object that can get and set a text: a `Map`, a client of Redis or
 * Memcached, one of your own. It is called with a key and a text, and with a
 * time to live only where `timeToLive` says how. A time to live is not needed:
 * an entry carries its expiry.
 *
 * @since 0.1.0
 * @category models
 */
export interface GetSet<TimeToLive = never> {
  readonly get: (key: string) => Answer<Value>
  readonly set: (key: string, value: string, ...timeToLive: ReadonlyArray<TimeToLive>) => Answer<unknown>
  /** Without any of these an empty text takes the place of what is removed. */
  readonly remove?: ((key: string) => Answer<unknown>) | undefined
  readonly delete?: ((key: string) => Answer<unknown>) | undefined
  readonly del?: ((key: string) => Answer<unknown>) | undefined
}

/**
 * Sets a text that the backend may drop after a time.
 *
 * @since 0.1.0
 * @category models
 */
export type SetFor = (key: string, value: string, timeToLive: Duration.Duration) => Answer<unknown>

/**
 * Options of a store over any object with `get` and `set`.
 *
 * @since 0.1.0
 * @category options
 */
export interface GetSetOptions {
  /**
   * How the backend learns when it may drop an entry: by a third argument of `set`, which is a whole number of
   * milliseconds or seconds, or by this function in place of `set`. An entry that does not expire is set without it. By
   * default the backend keeps entries until they are replaced. Memcached reads more than 30 days in seconds as a date:
   * there, pass a function.
   */
  readonly timeToLive?: "milliseconds" | "seconds" | SetFor | undefined
}

/** Options without a third argument of `set`. */
interface WithoutThird extends GetSetOptions {
  readonly timeToLive?: SetFor | undefined
}

/**
 * Makes a store of any object with `get` and `set`. The last write wins, every
 * lease is granted and there are no notices: each process renews for itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  (backend: GetSet, options?: WithoutThird): TokenStore["Type"]
  (backend: GetSet<number>, options: GetSetOptions): TokenStore["Type"]
} = (backend: GetSet, options: GetSetOptions = {}) => fromGetSet(backend, options)

const fromGetSet = (backend: GetSet, { timeToLive }: GetSetOptions): TokenStore["Type"] => {
  const removal = removals.find((name) => Predicate.isFunction(backend[name]))

  const read = (key: string) =>
    Effect.flatMap(
      ask("get", () => backend.get(nameOf(key))),
      (found) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const entry = StoredText.decode(found, now)
          return entry === undefined ? notOurs : Effect.succeed(entry)
        })
    )

  const set = (key: string, value: string, duration: Duration.Duration): Answer<unknown> => {
    const millis = Duration.toMillis(duration)
    if (timeToLive === undefined || !Number.isFinite(millis)) return backend.set(key, value)
    if (typeof timeToLive === "function") return timeToLive(key, value, duration)
    // Not 0: some backends drop such an entry at once, others never
    return (backend as GetSet<number>).set(
      key,
      value,
      Math.max(1, Math.ceil(timeToLive === "seconds" ? millis / 1000 : millis))
    )
  }

  const drop = (key: string): Answer<unknown> =>
    removal === undefined ? set(key, "", shortestTime) : backend[removal]?.(key)

  return TokenStore.of({
    get: read,
    set: (key, entry) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.flatMap(
          ask("set", () => set(nameOf(key), StoredText.encode(entry, now), entry.timeToLive)),
          (answer) => answer === false ? notSet : Effect.succeed(true)
        )),
    remove: (key, version) =>
      Effect.flatMap(read(key), (entry) =>
        Option.isNone(entry) || entry.value.version !== version
          ? Effect.succeed(false)
          : Effect.as(ask("remove", () => drop(nameOf(key))), true)),
    ...withoutLeases
  })
}

/**
 * A provider's own keys stay as they are. In other keys, characters that
 * clients do not keep are encoded: Memcached allows no space, and some clients
 * replace / by : and cut the key at ?.
 */
const nameOf = (key: string): string => key.replace(/[^\w.:#-]/gu, encodeURIComponent)

const removals = ["remove", "delete", "del"] as const

const shortestTime = Duration.millis(1)

const notOurs = Effect.suspend(() =>
  new TokenStoreError({
    method: "get",
    reason: "InvalidEntry",
    description: "the entry was not written by this library; it will be replaced"
  })
)

/** Some clients return `false` for a failed write, and report the error elsewhere. */
const notSet = Effect.suspend(() =>
  new TokenStoreError({ method: "set", reason: "Unavailable", description: "the backend returned false" })
)

/**
 * A store over any object with `get` and `set`, as `make` makes it: pass a
 * `Map`, a client of Redis or Memcached, a Keyv, or an object of your own.
 *
 * @example
 * ```ts
 * import { TokenStore } from "@effect-alf/core"
 * import { Duration } from "effect"
 *
 * const InMemory = TokenStore.layer(new Map<string, string>())
 *
 * interface Redis {
 *   get(key: string): Promise<string | null>
 *   set(key: string, value: string, unit?: "PX", millis?: number): Promise<"OK">
 * }
 *
 * // With a time to live, after which the server drops an entry
 * const inRedis = (redis: Redis) =>
 *   TokenStore.layer(redis, {
 *     timeToLive: (key, value, duration) => redis.set(key, value, "PX", Math.ceil(Duration.toMillis(duration)))
 *   })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: {
  (backend: GetSet, options?: WithoutThird): Layer.Layer<TokenStore, InvalidOptions>
  (backend: GetSet<number>, options: GetSetOptions): Layer.Layer<TokenStore, InvalidOptions>
} = (backend: GetSet, options: GetSetOptions = {}) =>
  Layer.effect(TokenStore, Effect.map(checkGetSet(backend, options), () => fromGetSet(backend, options)))

/** Checks what plain JavaScript may pass. */
const checkGetSet = (backend: unknown, { timeToLive }: GetSetOptions): Effect.Effect<void, InvalidOptions> => {
  const missing = ["get", "set"].filter((name) =>
    !Predicate.hasProperty(backend, name) || !Predicate.isFunction(backend[name])
  )
  if (missing.length > 0) {
    return LayerOptions.invalid("TokenStore.backend", `has no ${missing.join(" and no ")}: ${howToWrap}`)
  }
  return timeToLive === undefined || timeToLive === "milliseconds" || timeToLive === "seconds" ||
      Predicate.isFunction(timeToLive)
    ? Effect.void
    : LayerOptions.invalid("TokenStore.timeToLive", "must be \"milliseconds\", \"seconds\" or a function")
}

const howToWrap =
  "wrap the client as { get: (key) => …, set: (key, value) => … }, whose results are values, promises " +
  "or Effects"

const withoutLeases = {
  sharing: lastWriteWins,
  acquireLease: () => Effect.succeed(true),
  extendLease: () => Effect.succeed(true),
  releaseLease: () => Effect.void,
  changes: Stream.never
}

const ask = <A>(method: TokenStoreError["method"], call: () => Answer<A>): Effect.Effect<A, TokenStoreError> =>
  Effect.suspend(() => {
    const answer = call()
    if (Predicate.isPromiseLike(answer)) return Effect.tryPromise({ try: () => answer, catch: identity })
    // An Option is an Effect too, and None fails
    return Effect.isEffect(answer) && !Option.isOption(answer) ? answer : Effect.succeed(answer as A)
  }).pipe(
    Effect.sandbox,
    Effect.mapError((cause) =>
      new TokenStoreError({ method, reason: "Unavailable", description: describeCause(cause) })
    )
  )

/**
 * Makes a store of Effect's `KeyValueStore`. Writes of one process are ordered;
 * between processes the last one wins.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeKeyValueStore = (
  store: KeyValueStore,
  options?: { readonly prefix?: string | undefined } | undefined
): Effect.Effect<TokenStore["Type"]> => {
  const prefix = options?.prefix ?? defaultPrefix
  const lastWins = make({
    get: (key) => store.get(prefix + key),
    set: (key, value) => store.set(prefix + key, value),
    remove: (key) => store.remove(prefix + key)
  })
  return Effect.map(Effect.makeSemaphore(1), (semaphore) =>
    TokenStore.of({
      ...lastWins,
      set: (key, entry, replaces) =>
        lastWins.get(key).pipe(
          Effect.catchIf((error) => error.reason === "InvalidEntry", () => Effect.succeedNone),
          Effect.flatMap((current) =>
            isStale(current, replaces) ? Effect.succeed(false) : lastWins.set(key, entry, replaces)
          ),
          semaphore.withPermits(1)
        ),
      remove: (key, version) => semaphore.withPermits(1)(lastWins.remove(key, version))
    }))
}

const defaultPrefix = "effect-alf:"

/** Whether a writer that saw `replaces` would overwrite what it has not seen. */
const isStale = (current: Option.Option<Entry>, replaces: Option.Option<string>): boolean =>
  Option.isSome(current) && (Option.isNone(replaces) || replaces.value !== current.value.version)

/**
 * Effect's `KeyValueStore` as a token store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeyValueStore = (
  options?: { readonly prefix?: string | undefined } | undefined
): Layer.Layer<TokenStore, never, KeyValueStore> =>
  Layer.effect(
    TokenStore,
    Effect.flatMap(keyValueStore, (store) => makeKeyValueStore(store, options))
  )

// Platform's own tag, without the modules that come with it
const keyValueStore = Context.GenericTag<KeyValueStore>("@effect/platform/KeyValueStore")

// Far more keys than an app has; a bound, so that per-user scopes cannot fill the memory
const defaultCapacity = 10_000
/** How many notices wait for a slow listener. It misses the oldest beyond this, which costs only time. */
const maxNotices = 256

/**
 * Options of the store in memory.
 *
 * @since 0.1.0
 * @category options
 */
export interface MemoryOptions {
  /** How many keys are kept. The default is 10,000. */
  readonly capacity?: number | undefined
  /**
   * How providers share it. By default they belong to one process and pass tokens on as they are, without entries.
   * For a test of a fleet, use `byTurns`.
   */
  readonly sharing?: Sharing | undefined
}

interface Kept {
  readonly version: string
  readonly payload: string
  readonly expiresAt: number
}

const withNow = <A>(f: (now: number) => A) => Effect.map(Clock.currentTimeMillis, f)

/**
 * The entry, unless it has expired. One with more than `longest` left counts as
 * expired, as after a clock was set back.
 */
const alive = (kept: Map<string, Kept>, key: string, now: number, longest = Infinity): Kept | undefined => {
  const found = kept.get(key)
  if (found === undefined || (found.expiresAt > now && found.expiresAt - now <= longest)) return found
  kept.delete(key)
  return undefined
}

/** Writes an entry if one of these versions is there; `undefined` stands for no entry. */
const write = (
  kept: Map<string, Kept>,
  key: string,
  { payload, timeToLive, version }: Entry,
  replaced: ReadonlyArray<string | undefined>,
  longest?: number
) =>
  withNow((now) => {
    if (!replaced.includes(alive(kept, key, now, longest)?.version)) return false
    kept.delete(key)
    kept.set(key, { version, payload: inOnePiece(payload), expiresAt: now + Duration.toMillis(timeToLive) })
    return true
  })

// V8 keeps a concatenated text in pieces until the text is searched
const inOnePiece = (text: string): string => anyText.test(text) ? text : ""

const anyText = /^/

const drop = (kept: Map<string, Kept>, key: string, version: string) =>
  withNow((now) => alive(kept, key, now)?.version === version && kept.delete(key))

const dropOldest = (kept: Map<string, Kept>) => {
  for (const [key, { expiresAt }] of kept) {
    if (Number.isFinite(expiresAt)) {
      kept.delete(key)
      return
    }
  }
}

/**
 * Makes a store in the memory of the process, with leases and notices. Beyond
 * `capacity` keys the oldest entry is dropped; entries without expiry, which
 * hold refresh tokens, are kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: {
  (): Effect.Effect<TokenStore["Type"]>
  (options: MemoryOptions): Effect.Effect<TokenStore["Type"], InvalidOptions>
} = (options: MemoryOptions = {}) =>
  Effect.map(LayerOptions.positiveInteger("TokenStore.capacity", options.capacity ?? defaultCapacity), (capacity) => {
    const entries = new Map<string, Kept>()
    // A lease is stored like an entry, with its owner as the version
    const leases = new Map<string, Kept>()
    const notices = new Set<Queue.Queue<string>>()

    const notify = (key: string, write: Effect.Effect<boolean>) =>
      Effect.tap(
        write,
        (changed) => changed ? Effect.forEach(notices, Queue.offer(key), { discard: true }) : Effect.void
      )

    // One queue for each of the few listeners costs an app less than a PubSub
    const subscribe = Effect.acquireRelease(
      Effect.tap(Queue.sliding<string>(maxNotices), (queue) => Effect.sync(() => notices.add(queue))),
      (queue) => Effect.sync(() => notices.delete(queue))
    )

    const lease = (
      key: string,
      owner: string,
      timeToLive: Duration.Duration,
      replaced: ReadonlyArray<string | undefined>,
      longest?: number
    ) => write(leases, key, { version: owner, payload: "", timeToLive }, replaced, longest)

    return TokenStore.of({
      sharing: options.sharing ?? MemoryTokens.make(capacity),
      get: (key) =>
        withNow((now) =>
          Option.map(Option.fromNullable(alive(entries, key, now)), ({ expiresAt, ...entry }) => ({
            ...entry,
            timeToLive: Duration.millis(expiresAt - now)
          }))
        ),
      set: (key, entry, replaces) =>
        notify(
          key,
          Effect.map(write(entries, key, entry, [undefined, Option.getOrUndefined(replaces)]), (written) => {
            if (entries.size > capacity) dropOldest(entries)
            return written
          })
        ),
      remove: (key, version) => notify(key, drop(entries, key, version)),
      acquireLease: (key, owner, duration) =>
        lease(key, owner, duration, [undefined, owner], 10 * Duration.toMillis(duration)),
      extendLease: (key, owner, duration) => lease(key, owner, duration, [owner]),
      releaseLease: (key, owner) => Effect.asVoid(drop(leases, key, owner)),
      changes: Stream.unwrapScoped(Effect.map(subscribe, (queue) => Stream.fromQueue(queue)))
    })
  }) as Effect.Effect<TokenStore["Type"]>

/**
 * The default store: the memory of the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: {
  (): Layer.Layer<TokenStore>
  (options: MemoryOptions): Layer.Layer<TokenStore, InvalidOptions>
} = (options?: MemoryOptions) => Layer.effect(TokenStore, makeMemory(options ?? {})) as Layer.Layer<TokenStore>
