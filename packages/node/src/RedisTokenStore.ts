/**
 * A `TokenStore` in Redis, Valkey or whatever else speaks their protocol: the
 * processes of an app share their tokens. Every write is one Lua script on one
 * key, so that it is atomic on a single server and in a cluster alike.
 *
 * The package `ioredis` is loaded when a layer with a connection of its own is
 * built; whoever uses another store need not install it.
 *
 * @since 0.1.0
 */
import * as Check from "@effect-alf/core/Check"
import { describe, InvalidOptions, TokenStoreError } from "@effect-alf/core/OAuthError"
import { type Entry, TokenStore } from "@effect-alf/core/TokenStore"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Redis, RedisOptions } from "ioredis"
import { createHash } from "node:crypto"

/**
 * What a store needs of a Redis client: ioredis' `Redis` and `Cluster` have it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly evalsha: (sha1: string, numberOfKeys: number, ...args: Array<string>) => Promise<unknown>
  readonly eval: (script: string, numberOfKeys: number, ...args: Array<string>) => Promise<unknown>
}

/**
 * Options of a store over a client that the app has already.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions {
  /** What every key begins with. The default is `effect-alf:`. */
  readonly prefix?: string | undefined
  /**
   * How long one call may take, whatever the client's own options say. TokenProvider's `storeTimeout` counts as well,
   * and is shorter by default. The default is 1 second.
   */
  readonly commandTimeout?: Duration.DurationInput | undefined
}

/**
 * Options of a store with a connection of its own.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends ClientOptions {
  /**
   * `redis://` or, for TLS, `rediss://`; then `[[user]:password@]host[:port][/database]`. Required unless `redis`
   * says where the server is.
   */
  readonly url?: string | URL | Redacted.Redacted | undefined
  /**
   * How long one attempt to connect may take, and how long the layer waits for the first one. The default is
   * 2 seconds.
   */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * Further options of ioredis, such as `tls`, `sentinels` or `path` (of a socket). Those that keep every call
   * bounded and the connection coming back are always ours.
   */
  readonly redis?: RedisOptions | undefined
}

const defaultPrefix = "effect-alf:"
// TokenProvider waits half as long: this bounds what goes on after it has given up
const defaultCommandTimeout = Duration.seconds(1)
// Outlasts the first retransmission of a lost SYN (1 s); an app that starts without Redis waits no longer
const defaultConnectTimeout = Duration.seconds(2)
// The first try after a restart of the server is quick; a server that stays away is asked every other second
const firstReconnectDelay = 50
const maxReconnectDelay = 2_000
// How often a server that is still loading its data is asked whether it has finished
const loadingPollInterval = 1_000
// For the other side to answer the end of a connection; afterwards it is cut
const disconnectTimeout = 500
// setTimeout knows no longer one
const maxTimeout = Duration.millis(2 ** 31 - 1)

/**
 * A store with a connection of its own. It is a cache and no dependency: it can
 * be made while Redis is down, and works again by itself when Redis is back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<TokenStore["Type"], InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(options) {
  const settings = yield* checkClientOptions(options)
  const connectTimeout = yield* timeout("connectTimeout", options.connectTimeout ?? defaultConnectTimeout)
  const address = yield* checkAddress(options)
  const connection = yield* connect({
    disconnectTimeout,
    ...options.redis,
    ...address,
    lazyConnect: true,
    connectTimeout: Duration.toMillis(connectTimeout),
    commandTimeout: Duration.toMillis(settings.commandTimeout),
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxLoadingRetryTime: loadingPollInterval,
    retryStrategy: (times) => Math.min(firstReconnectDelay * 2 ** (times - 1), maxReconnectDelay),
    // A primary that became a replica keeps its connections: only a new one finds the new primary
    reconnectOnError: (error) => error.message.includes("READONLY")
  })
  // Without a queue a call would fail while the first connect is under way. If it fails, it is tried again behind us
  yield* Effect.ignore(Effect.timeout(Effect.tryPromise(() => connection.redis.connect()), connectTimeout))
  return fromChecked(connection, settings)
})

/**
 * A store over the app's own client, which is neither configured nor closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromClient = (
  client: Client,
  options?: ClientOptions | undefined
): Effect.Effect<TokenStore["Type"], InvalidOptions> =>
  Effect.map(
    checkClientOptions(options ?? {}),
    (settings) => fromChecked({ client, whyNotConnected: () => "the client is not connected" }, settings)
  )

/**
 * A store with a connection of its own, closed with the layer.
 *
 * @example
 * ```ts
 * import { RedisTokenStore } from "@effect-alf/node"
 *
 * const layer = RedisTokenStore.layer({ url: "redis://localhost:6379" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<TokenStore, InvalidOptions> =>
  Layer.scoped(TokenStore, make(options))

/**
 * The options that a configuration can hold. The url may hold a password: read
 * it with `Config.redacted`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigurableOptions {
  readonly url: string | Redacted.Redacted
  readonly prefix?: string | undefined
  readonly connectTimeout?: Duration.Duration | undefined
  readonly commandTimeout?: Duration.Duration | undefined
}

/**
 * Reads the options from a configuration; what a configuration cannot hold is
 * given beside it.
 *
 * @example
 * ```ts
 * import { RedisTokenStore } from "@effect-alf/node"
 * import { Config } from "effect"
 *
 * const layer = RedisTokenStore.layerConfig({ url: Config.redacted("REDIS_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: Omit<Options, "url"> | undefined
): Layer.Layer<TokenStore, InvalidOptions | ConfigError.ConfigError> =>
  Layer.scoped(
    TokenStore,
    Effect.flatMap(Config.unwrap(config), (configured) =>
      make({
        ...options,
        url: configured.url,
        prefix: configured.prefix ?? options?.prefix,
        connectTimeout: configured.connectTimeout ?? options?.connectTimeout,
        commandTimeout: configured.commandTimeout ?? options?.commandTimeout
      }))
  )

/**
 * A store over the app's own client, or over one that an effect gives. It works
 * however the client is configured, and does not close it.
 *
 * @example
 * ```ts
 * import { RedisTokenStore } from "@effect-alf/node"
 * import { Redis } from "ioredis"
 *
 * const layer = RedisTokenStore.layerFromClient(new Redis())
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = <E = never, R = never>(
  client: Client | Effect.Effect<Client, E, R>,
  options?: ClientOptions | undefined
): Layer.Layer<TokenStore, E | InvalidOptions, Exclude<R, Scope.Scope>> =>
  Layer.scoped(
    TokenStore,
    Effect.flatMap(Effect.isEffect(client) ? client : Effect.succeed(client), (client) => fromClient(client, options))
  )

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

interface Settings {
  readonly prefix: string
  readonly commandTimeout: Duration.Duration
}

const checkClientOptions = (options: ClientOptions): Effect.Effect<Settings, InvalidOptions> =>
  Effect.map(
    timeout("commandTimeout", options.commandTimeout ?? defaultCommandTimeout),
    (commandTimeout) => ({ prefix: options.prefix ?? defaultPrefix, commandTimeout })
  )

const timeout = (name: "connectTimeout" | "commandTimeout", value: Duration.DurationInput) =>
  Effect.map(Check.positiveDuration(`RedisTokenStore.${name}`, value), Duration.min(maxTimeout))

/** Parsed here: ioredis would take any of its options from the url's query, and say nothing of a wrong path. */
const checkAddress = Effect.fnUntraced(function*({ redis, url }: Options) {
  if (url === undefined && (redis?.host ?? redis?.path ?? redis?.sentinels) !== undefined) return {}
  const option = "RedisTokenStore.url"
  const given = yield* Check.text(
    option,
    Redacted.isRedacted(url) ? Redacted.value(url) : url instanceof URL ? url.href : url as string
  )
  // The url may hold a password: no description shows any part of it
  if (!URL.canParse(given)) return yield* Check.invalid(option, "is not a URL")
  const parsed = new URL(given)
  if (parsed.protocol !== "redis:" && parsed.protocol !== "rediss:") {
    return yield* Check.invalid(option, "must begin with redis:// or rediss://")
  }
  if (parsed.hostname === "") return yield* Check.invalid(option, "has no host")
  if (parsed.search !== "") return yield* Check.invalid(option, "must not have a query: give such options as redis")
  if (parsed.hash !== "") return yield* Check.invalid(option, "must not have a fragment: # in a password is %23")
  const database = /^\/?(\d*)$/.exec(parsed.pathname)?.[1]
  if (database === undefined) return yield* Check.invalid(option, "has a path that is not the number of a database")
  const [username, password] = yield* Effect.try({
    try: () => [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)] as const,
    catch: () => new InvalidOptions({ option, description: "has credentials that are not percent-encoded" })
  })
  const address: RedisOptions = {
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    ...(parsed.port === "" ? {} : { port: Number(parsed.port) }),
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(database === "" ? {} : { db: Number(database) }),
    ...(parsed.protocol === "rediss:" ? { tls: { ...redis?.tls } } : {})
  }
  return address
})

// -----------------------------------------------------------------------------
// connection
// -----------------------------------------------------------------------------

/** A client, and what its owner knows when it does not take a command. */
interface Connection {
  readonly client: Client
  readonly whyNotConnected: () => string
}

const connect = Effect.fnUntraced(function*(options: RedisOptions) {
  const { Redis } = yield* Effect.tryPromise({
    try: () => import("ioredis"),
    catch: (error) =>
      new InvalidOptions({
        option: "RedisTokenStore",
        description: `needs the package ioredis, which could not be loaded (npm install ioredis): ${describe(error)}`
      })
  })
  const redis = yield* Effect.acquireRelease(
    Effect.try({
      try: () => new Redis(options),
      catch: (error) => new InvalidOptions({ option: "RedisTokenStore.redis", description: describe(error) })
    }),
    (redis) => Effect.sync(() => redis.disconnect())
  )
  let connections = 0
  let lastError: Error | undefined
  // Without a listener ioredis would print every failed attempt
  redis.on("error", (error: Error) => {
    lastError = error
  })
  redis.on("connect", () => {
    connections++
    // What the server has said, such as WRONGPASS, holds until it says otherwise
    if (lastError?.name !== "ReplyError") lastError = undefined
  })
  redis.on("ready", () => {
    lastError = undefined
  })

  /**
   * A connection that swallows what is sent on it (its other end vanished
   * without a word) would do so for minutes: after an answer that did not come
   * it is made anew.
   */
  const dropSilent = (answer: Promise<unknown>): Promise<unknown> => {
    const connection = connections
    answer.catch((error) => {
      if (isTimeout(error) && connection === connections) redis.disconnect(true)
    })
    return answer
  }

  return {
    redis,
    client: {
      evalsha: (sha1, numberOfKeys, ...args) => dropSilent(redis.evalsha(sha1, numberOfKeys, ...args)),
      eval: (script, numberOfKeys, ...args) => dropSilent(redis.eval(script, numberOfKeys, ...args))
    },
    whyNotConnected: () => {
      if (lastError !== undefined) return describe(lastError)
      if (redis.status === "connect") return "it accepts connections, but is not ready yet"
      return redis.status === "ready" ? "the connection was lost" : redis.status
    }
  } satisfies Connection & { readonly redis: Redis }
})

// -----------------------------------------------------------------------------
// entries and leases
// -----------------------------------------------------------------------------

interface Script {
  readonly lua: string
  readonly sha1: string
}

const script = (lua: string): Script => ({ lua, sha1: createHash("sha1").update(lua).digest("hex") })

// What another program left under the key counts as an entry that cannot be read, of whatever type it is
const readEntry = `
local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  if not string.find(value.err, 'WRONGTYPE', 1, true) then return value end
  value = ''
end
local header = value and string.match(value, '^alf1:[0-9a-f]*\\n')
`

const scripts = {
  get: script(`${readEntry}
return { value, redis.call('PTTL', KEYS[1]) }
`),
  set: script(`${readEntry}
if header and header ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
return 1
`),
  remove: script(`${readEntry}
if header ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`),
  acquireLease: script(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`),
  extendLease: script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`),
  releaseLease: script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)
}

type Method = keyof typeof scripts

/** The first line of a value: the mark of our format and the version, in characters that mean nothing to Lua. */
const encodeHeader = (version: string): string => `alf1:${Buffer.from(version).toString("hex")}\n`

const decodeValue = (value: string): Option.Option<Pick<Entry, "version" | "payload">> => {
  const header = /^alf1:([0-9a-f]*)\n/.exec(value)
  return header === null
    ? Option.none()
    : Option.some({ version: Buffer.from(header[1], "hex").toString(), payload: value.slice(header[0].length) })
}

// What Redis takes as a lifetime: whole milliseconds, at least one
const encodeMillis = (duration: Duration.Duration): string =>
  String(Math.min(Math.max(1, Math.floor(Duration.toMillis(duration))), Number.MAX_SAFE_INTEGER))

const fromChecked = (connection: Connection, { commandTimeout, prefix }: Settings): TokenStore["Type"] => {
  const silent = `Redis gave no answer within ${Duration.format(commandTimeout)}`

  const toStoreError = (method: Method, error: unknown, secret: string | undefined) => {
    if (isTimeout(error)) return new TokenStoreError({ method, reason: "Timeout", description: silent })
    const description = isNotConnected(error)
      ? `Redis is not connected: ${connection.whyNotConnected()}`
      : describeReply(error, secret)
    return new TokenStoreError({ method, reason: "Unavailable", description })
  }

  const run = (method: Method, key: string, args: ReadonlyArray<string>, secret?: string) =>
    Effect.timeoutFail(
      Effect.tryPromise({
        try: () => evaluate(connection.client, scripts[method], key, args),
        catch: (error) => toStoreError(method, error, secret)
      }),
      {
        duration: commandTimeout,
        onTimeout: () => new TokenStoreError({ method, reason: "Timeout", description: silent })
      }
    )

  const test = (method: Method, key: string, args: ReadonlyArray<string>, secret?: string) =>
    Effect.map(run(method, key, args, secret), (reply) => Number(reply) === 1)

  // The hash tag keeps an entry and its lease on one node of a cluster
  const entryKey = (key: string) => `${prefix}{${key}}`
  const leaseKey = (key: string) => `${prefix}{${key}}#lease`

  return TokenStore.of({
    isShared: true,
    get: (key) => Effect.flatMap(run("get", entryKey(key), []), decodeReply),
    set: (key, entry, replaces) =>
      test("set", entryKey(key), [
        encodeHeader(entry.version) + entry.payload,
        Option.match(replaces, { onNone: () => "", onSome: encodeHeader }),
        Duration.isFinite(entry.timeToLive) ? encodeMillis(entry.timeToLive) : ""
      ], entry.payload),
    remove: (key, version) => test("remove", entryKey(key), [encodeHeader(version)]),
    acquireLease: (key, owner, duration) => test("acquireLease", leaseKey(key), [owner, encodeMillis(duration)]),
    extendLease: (key, owner, duration) => test("extendLease", leaseKey(key), [owner, encodeMillis(duration)]),
    releaseLease: (key, owner) => Effect.asVoid(run("releaseLease", leaseKey(key), [owner])),
    changes: Stream.never
  })
}

const evaluate = async (client: Client, { lua, sha1 }: Script, key: string, args: ReadonlyArray<string>) => {
  try {
    return await client.evalsha(sha1, 1, key, ...args)
  } catch (error) {
    if (!messageOf(error).includes("NOSCRIPT")) throw error
    return await client.eval(lua, 1, key, ...args)
  }
}

const decodeReply = (reply: unknown): Effect.Effect<Option.Option<Entry>, TokenStoreError> => {
  const [value, remaining] = Array.isArray(reply) ? reply : [""]
  if (value === null) return Effect.succeedNone
  const millis = Number(remaining)
  return Option.match(decodeValue(String(value)), {
    onNone: () =>
      Effect.fail(
        new TokenStoreError({
          method: "get",
          reason: "InvalidEntry",
          description: "the entry was not written by this library; it will be replaced"
        })
      ),
    onSome: (entry) =>
      Effect.succeedSome({ ...entry, timeToLive: millis < 0 ? Duration.infinity : Duration.millis(millis) })
  })
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const messageOf = (error: unknown): string =>
  Predicate.hasProperty(error, "message") && typeof error.message === "string" ? error.message : ""

const isTimeout = (error: unknown): boolean => messageOf(error) === "Command timed out"

// How ioredis says that there is no connection, or that it was lost before the answer
const notConnected = /^(Stream isn't writeable|Connection is closed|Reached the max retries per request limit)/

const isNotConnected = (error: unknown): boolean => notConnected.test(messageOf(error))

/** Only the message: an error of ioredis holds the arguments of its command. */
const describeReply = (error: unknown, secret: string | undefined): string => {
  const ofNode = Predicate.hasProperty(error, "lastNodeError") ? `: ${messageOf(error.lastNodeError)}` : ""
  return describe(error, (text) => {
    // Some messages of Redis quote the arguments, others name the script
    const short = text.replace(/,? (with args beginning with|script):.*$/is, "") + ofNode
    return secret ? short.replaceAll(secret, "<redacted>") : short
  })
}
