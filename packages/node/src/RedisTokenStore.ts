/**
 * A `TokenStore` in Redis, Valkey or another server with their protocol: the
 * processes of an app share their tokens. Every write is one Lua script on one
 * key, and so atomic on a single server and in a cluster.
 *
 * The package `ioredis` is loaded when a layer with its own connection is
 * built. Apps with another store need not install it.
 *
 * @since 0.1.0
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import { type InvalidOptions, TokenStoreError } from "@effect-alf/core/OAuthError"
import { byTurns, type Entry, TokenStore } from "@effect-alf/core/TokenStore"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as RedisConnection from "./redis/RedisConnection.js"
import * as RedisError from "./redis/RedisError.js"
import * as RedisNotices from "./redis/RedisNotices.js"
import type * as RedisClient from "./RedisClient.js"
import * as StoreVariables from "./store/StoreVariables.js"

/**
 * Options of a store over the app's own client.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions {
  /** The prefix of every key. The default is `effect-alf:`. */
  readonly prefix?: string | undefined
  /**
   * The time limit of one command, whatever the client's own options are. A call is one command, and a second one if
   * the server has forgotten the script. TokenProvider's `storeTimeout` applies too, and is shorter by default. The
   * default is 1 second.
   */
  readonly commandTimeout?: Duration.DurationInput | undefined
}

/**
 * Options of a store with its own connection.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends ClientOptions, RedisClient.Options {}

const defaultPrefix = "effect-alf:"

/**
 * A store with its own connection. It is a cache, not a dependency: it can be
 * created while Redis is down, and works again when Redis does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<TokenStore["Type"], InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(options) {
  const checked = yield* RedisConnection.check(options)
  const connection = yield* RedisConnection.make(options, checked)
  return yield* fromConnection(connection, checked.commandTimeout, options)
})

/**
 * A store over the app's own client, which is neither configured nor closed.
 * Change notices use a duplicate of the client, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromClient = (
  client: RedisClient.Client,
  options: ClientOptions = {}
): Effect.Effect<TokenStore["Type"], InvalidOptions, Scope.Scope> =>
  Effect.flatMap(
    RedisConnection.checkCommandTimeout(options),
    (commandTimeout) => fromConnection(RedisConnection.fromClient(client, { commandTimeout }), commandTimeout, options)
  )

/**
 * A store with its own connection, closed with the layer.
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
 * The options that a configuration can contain. The URL may contain a password:
 * read it with `Config.redacted`.
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
 * The variables for Redis.
 *
 * @since 0.1.0
 * @category configurations
 */
export const variables = StoreVariables.redis

/**
 * The variables, for `layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const environment = {
  url: variables.redisUrl.required,
  prefix: variables.redisPrefix.config
}

/**
 * Reads the options from a configuration; the second argument contains the
 * others.
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
  LayerOptions.make(config, (configured: ConfigurableOptions) => layer({ ...options, ...configured }))

/**
 * A store over the app's own client, or over one that an effect provides. It
 * works with any configuration of the client, and does not close it.
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
  client: RedisClient.Client | Effect.Effect<RedisClient.Client, E, R>,
  options?: ClientOptions | undefined
): Layer.Layer<TokenStore, E | InvalidOptions, Exclude<R, Scope.Scope>> =>
  Layer.scoped(
    TokenStore,
    Effect.flatMap(Effect.isEffect(client) ? client : Effect.succeed(client), (client) => fromClient(client, options))
  )

// -----------------------------------------------------------------------------
// entries and leases
// -----------------------------------------------------------------------------

interface Script {
  readonly lua: string
  readonly sha1: string
}

const script = (lua: string): Script => ({ lua, sha1: createHash("sha1").update(lua).digest("hex") })

// A value of another program, whatever its type, counts as an unreadable entry
const readValue = `
local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  if not string.find(value.err, 'WRONGTYPE', 1, true) then return value end
  value = ''
end
`

const readEntry = `${readValue}
local header = value and string.match(value, '^alf1:[0-9a-f]*\\n')
`

const scripts = {
  get: script(`${readEntry}
return { value, redis.call('PTTL', KEYS[1]) }
`),
  set: script(`${readEntry}
if header and header ~= ARGV[4] then return 0 end
if ARGV[5] == '' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[5])
end
${RedisNotices.publish}
return 1
`),
  remove: script(`${readEntry}
if header ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
${RedisNotices.publish}
return 1
`),
  // A lease without expiry, as in a restored backup, or with a distant one is ignored
  acquireLease: script(`${readValue}
if value and value ~= ARGV[1] then
  local remaining = redis.call('PTTL', KEYS[1])
  if remaining >= 0 and remaining <= 10 * ARGV[2] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`),
  extendLease: script(`${readValue}
if value ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`),
  releaseLease: script(`${readValue}
if value ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)
}

type Method = keyof typeof scripts

/**
 * The first line of a value: the mark of the format and the version, in
 * characters without a meaning in Lua patterns.
 */
const encodeHeader = (version: string): string => `alf1:${Buffer.from(version).toString("hex")}\n`

const decodeValue = (value: string): Option.Option<Pick<Entry, "version" | "payload">> => {
  const header = /^alf1:([0-9a-f]*)\n/.exec(value)
  return header === null
    ? Option.none()
    : Option.some({ version: Buffer.from(header[1], "hex").toString(), payload: value.slice(header[0].length) })
}

// Redis requires a lifetime of whole milliseconds, at least one
const encodeMillis = (duration: Duration.Duration): string =>
  String(Math.min(Math.max(1, Math.floor(Duration.toMillis(duration))), Number.MAX_SAFE_INTEGER))

const fromConnection = Effect.fnUntraced(function*(
  connection: RedisConnection.Connection,
  commandTimeout: Duration.Duration,
  { prefix = defaultPrefix }: ClientOptions
) {
  const silent = `Redis gave no answer within ${Duration.format(commandTimeout)}`
  const { announce, changes } = yield* RedisNotices.make(connection, { prefix, commandTimeout })

  const toStoreError = (method: Method, error: unknown, secret: string | undefined) => {
    if (RedisError.isTimeout(error)) return new TokenStoreError({ method, reason: "Timeout", description: silent })
    const description = RedisError.isNotConnected(error)
      ? `Redis is not connected: ${connection.whyNotConnected()}`
      : RedisError.describe(error, secret)
    return new TokenStoreError({ method, reason: "Unavailable", description })
  }

  const run = (method: Method, key: string, args: ReadonlyArray<string>, secret?: string) =>
    Effect.tryPromise({
      try: () => evaluate(connection.client, scripts[method], key, args),
      catch: (error) => toStoreError(method, error, secret)
    })

  const test = (method: Method, key: string, args: ReadonlyArray<string>, secret?: string) =>
    Effect.map(run(method, key, args, secret), (reply) => Number(reply) === 1)

  // The hash tag keeps an entry and its lease on one node of a cluster
  const entryKey = (key: string) => `${prefix}{${key}}`
  const leaseKey = (key: string) => `${prefix}{${key}}#lease`

  return TokenStore.of({
    sharing: byTurns,
    get: (key) => Effect.flatMap(run("get", entryKey(key), []), decodeReply),
    set: (key, entry, replaces) =>
      test("set", entryKey(key), [
        ...announce(key),
        encodeHeader(entry.version) + entry.payload,
        Option.match(replaces, { onNone: () => "", onSome: encodeHeader }),
        Duration.isFinite(entry.timeToLive) ? encodeMillis(entry.timeToLive) : ""
      ], entry.payload),
    remove: (key, version) => test("remove", entryKey(key), [...announce(key), encodeHeader(version)]),
    acquireLease: (key, owner, duration) => test("acquireLease", leaseKey(key), [owner, encodeMillis(duration)]),
    extendLease: (key, owner, duration) => test("extendLease", leaseKey(key), [owner, encodeMillis(duration)]),
    releaseLease: (key, owner) => Effect.asVoid(run("releaseLease", leaseKey(key), [owner])),
    changes
  })
})

const evaluate = async (
  client: RedisClient.Client,
  { lua, sha1 }: Script,
  key: string,
  args: ReadonlyArray<string>
) => {
  try {
    return await client.evalsha(sha1, 1, key, ...args)
  } catch (error) {
    if (!RedisError.isUnknownScript(error)) throw error
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
