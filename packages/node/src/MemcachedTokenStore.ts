/**
 * A `TokenStore` in Memcached 1.6.10 or newer: the processes of an app share
 * their tokens. Memcached evicts entries when it is full, and all when it is
 * restarted; then a token is requested again.
 *
 * The package `memcache` is loaded when a layer with connections of its own is
 * built; apps with another store need not install it. Of the maintained
 * clients, `memcache` is the one that allows compare-and-set and tolerates
 * every response. It has no TLS.
 *
 * @since 0.1.0
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import { type InvalidOptions, TokenStoreError } from "@effect-alf/core/OAuthError"
import { byTurns, type Entry, TokenStore } from "@effect-alf/core/TokenStore"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as MemcachedCommand from "./memcached/MemcachedCommand.js"
import * as MemcachedConnection from "./memcached/MemcachedConnection.js"
import * as MemcachedError from "./memcached/MemcachedError.js"
import * as MemcachedItem from "./memcached/MemcachedItem.js"
import type * as MemcachedClient from "./MemcachedClient.js"
import * as StoredKey from "./store/StoredKey.js"
import * as StoreVariables from "./store/StoreVariables.js"

/**
 * Options of a store over the app's own client.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions {
  /** The prefix of every key, without spaces. The default is `effect-alf:`. */
  readonly prefix?: string | undefined
  /**
   * The time limit of one command, whatever the client's own options are. A read is one command; a write is two, and
   * two more each time another process is faster. TokenProvider's `storeTimeout` applies too, and is shorter by
   * default. The default is 1 second.
   */
  readonly commandTimeout?: Duration.DurationInput | undefined
}

/**
 * Options of a store with connections of its own.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends ClientOptions, MemcachedClient.Options {}

const defaultPrefix = "effect-alf:"
// TokenProvider waits half as long: this limits calls that continue after that
const defaultCommandTimeout = Duration.seconds(1)

/**
 * A store with its own connections. It is a cache, not a dependency: it can be
 * created while Memcached is down, and works again when Memcached does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<TokenStore["Type"], InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(options) {
  const { connection, own } = yield* LayerOptions.collect({
    own: checkOptions(options),
    connection: MemcachedConnection.check(options)
  })
  return fromConnection(yield* MemcachedConnection.make({ ...connection, ...own }), own)
})

/**
 * A store over the app's own client, which is neither configured nor closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromClient = (
  client: MemcachedClient.Client,
  options: ClientOptions = {}
): Effect.Effect<TokenStore["Type"], InvalidOptions> =>
  Effect.map(
    checkOptions(options),
    (checked) => fromConnection(MemcachedConnection.fromClient(client, checked), checked)
  )

/**
 * A store with connections of its own, closed with the layer.
 *
 * @example
 * ```ts
 * import { MemcachedTokenStore } from "@effect-alf/node"
 *
 * const layer = MemcachedTokenStore.layer({ servers: "localhost:11211" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<TokenStore, InvalidOptions> =>
  Layer.scoped(TokenStore, make(options))

/**
 * The options that a configuration can contain. `servers` may contain a
 * password: read it with `Config.redacted`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigurableOptions {
  readonly servers: string | Redacted.Redacted
  readonly prefix?: string | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly connectTimeout?: Duration.Duration | undefined
  readonly commandTimeout?: Duration.Duration | undefined
}

/**
 * The variables for Memcached, for `layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const environment = {
  servers: StoreVariables.storeUrl.required,
  prefix: StoreVariables.storePrefix.config
}

/**
 * Reads the options from a configuration; the second argument contains the
 * others.
 *
 * @example
 * ```ts
 * import { MemcachedTokenStore } from "@effect-alf/node"
 * import { Config } from "effect"
 *
 * const layer = MemcachedTokenStore.layerConfig({ servers: Config.string("MEMCACHED_SERVERS") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: Omit<Options, "servers"> | undefined
): Layer.Layer<TokenStore, InvalidOptions | ConfigError.ConfigError> =>
  LayerOptions.make(config, (configured: ConfigurableOptions) => layer({ ...options, ...configured }))

/**
 * A store over the app's own client, or over one that an effect provides. It
 * works with any configuration of the client, and does not close it.
 *
 * @example
 * ```ts
 * import { MemcachedTokenStore } from "@effect-alf/node"
 * import { Memcache } from "memcache"
 *
 * const layer = MemcachedTokenStore.layerFromClient(new Memcache("localhost:11211"))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = <E = never, R = never>(
  client: MemcachedClient.Client | Effect.Effect<MemcachedClient.Client, E, R>,
  options?: ClientOptions | undefined
): Layer.Layer<TokenStore, E | InvalidOptions, Exclude<R, Scope.Scope>> =>
  Layer.scoped(
    TokenStore,
    Effect.flatMap(Effect.isEffect(client) ? client : Effect.succeed(client), (client) => fromClient(client, options))
  )

const checkOptions = ({ commandTimeout, prefix = defaultPrefix }: ClientOptions) =>
  LayerOptions.collect({
    prefix: StoredKey.isPlain(prefix) && prefix.length <= StoredKey.maxPrefix
      ? Effect.succeed(prefix)
      : LayerOptions.invalid(
        "MemcachedTokenStore.prefix",
        `must be at most ${StoredKey.maxPrefix} ASCII characters, without spaces`
      ),
    commandTimeout: MemcachedConnection.checkTimeout("commandTimeout", commandTimeout ?? defaultCommandTimeout)
  })

// -----------------------------------------------------------------------------
// entries and leases
// -----------------------------------------------------------------------------

type Method = TokenStoreError["method"]

const fromConnection = (
  ask: MemcachedConnection.Connection,
  { commandTimeout, prefix }: { readonly commandTimeout: Duration.Duration; readonly prefix: string }
): TokenStore["Type"] => {
  const toStoreError = (method: Method, error: unknown, secret: string | undefined) => {
    if (MemcachedError.isTimeout(error)) {
      const description = `Memcached gave no answer within ${Duration.format(commandTimeout)}`
      return new TokenStoreError({ method, reason: "Timeout", description })
    }
    const description = MemcachedError.describe(error, secret)
    return new TokenStoreError({
      method,
      reason: "Unavailable",
      description: MemcachedError.isReply(error) ? description : `Memcached is not connected: ${description}`
    })
  }

  const run = <A>(method: Method, key: string, command: MemcachedCommand.Command<A>, secret?: string) =>
    Effect.tryPromise({
      try: () => ask(key, command),
      catch: (error) => toStoreError(method, error, secret)
    })

  const look = (method: Method, key: string): Effect.Effect<Option.Option<MemcachedCommand.Seen>, TokenStoreError> =>
    Effect.flatMap(
      run(method, key, MemcachedCommand.look(key)),
      (seen) => seen === "changed" ? look(method, key) : Effect.succeed(seen)
    )

  /**
   * Writes the entry that `decide` returns, removes the item for `"nothing"`, or changes nothing for `"leave"`. If
   * another process is faster, `decide` is called again.
   */
  const change = (
    method: Method,
    key: string,
    decide: (entry: Option.Option<Entry>) => Entry | "nothing" | "leave",
    encode = MemcachedItem.encode
  ): Effect.Effect<boolean, TokenStoreError> =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      while (true) {
        const seen = yield* look(method, key)
        const entry = Option.filter(Option.flatMap(seen, (found) => MemcachedItem.decode(found, now)), isInItsTime)
        const next = decide(entry)
        if (next === "leave" || (next === "nothing" && Option.isNone(seen))) return false
        const isDone = next === "nothing"
          ? yield* run(method, key, MemcachedCommand.remove(key, Option.getOrThrow(seen)))
          : yield* run(method, key, MemcachedCommand.write(key, encode(next, now), seen), next.payload)
        if (isDone) return true
      }
    })

  const entryKey = (key: string) => StoredKey.entry(prefix, key)

  // A lease is stored like an entry, with its owner as the version
  const lease = (owner: string, timeToLive: Duration.Duration): Entry => ({ version: owner, payload: "", timeToLive })
  const changeLease = (method: Method, key: string, decide: Parameters<typeof change>[2]) =>
    change(method, StoredKey.lease(prefix, key), decide, MemcachedItem.encodeLease)

  return TokenStore.of({
    sharing: byTurns,
    get: (key) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.flatMap(
          look("get", entryKey(key)),
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: (seen) =>
              Option.match(MemcachedItem.decode(seen, now), {
                onNone: () => unreadable,
                onSome: (entry) => Effect.succeed(Option.liftPredicate(entry, isInItsTime))
              })
          })
        )),
    set: (key, entry, replaces) =>
      change("set", entryKey(key), (found) =>
        found.pipe(
          Option.filter(({ version }) => !Option.contains(replaces, version)),
          Option.match({ onNone: () => entry, onSome: () => "leave" })
        )),
    remove: (key, version) => change("remove", entryKey(key), (found) => isOf(found, version) ? "nothing" : "leave"),
    acquireLease: (key, owner, duration) =>
      changeLease("acquireLease", key, (held) => isHeld(held, owner, duration) ? "leave" : lease(owner, duration)),
    extendLease: (key, owner, duration) =>
      changeLease("extendLease", key, (held) => isOf(held, owner) ? lease(owner, duration) : "leave"),
    releaseLease: (key, owner) =>
      Effect.asVoid(changeLease("releaseLease", key, (held) => isOf(held, owner) ? "nothing" : "leave")),
    // Memcached has no notices: a waiting process looks repeatedly
    changes: Stream.never
  })
}

const isInItsTime = ({ timeToLive }: Entry): boolean => Duration.greaterThan(timeToLive, Duration.zero)

const isOf = (found: Option.Option<Entry>, version: string): boolean =>
  Option.exists(found, (entry) => entry.version === version)

/** A lease without expiry, or with a distant one, is ignored. */
const isHeld = (held: Option.Option<Entry>, owner: string, duration: Duration.Duration): boolean =>
  Option.exists(
    held,
    ({ timeToLive, version }) =>
      version !== owner && Duration.lessThanOrEqualTo(timeToLive, MemcachedItem.longest(Duration.times(duration, 10)))
  )

const unreadable = Effect.fail(
  new TokenStoreError({
    method: "get",
    reason: "InvalidEntry",
    description: "the entry was not written by this library; it will be replaced"
  })
)
