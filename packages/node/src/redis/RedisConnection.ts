/**
 * Non-blocking connections to Redis: to a server, the primary of sentinels, or
 * a cluster, of our own or the app's. Every call has a time limit and fails at
 * once while there is no connection; connections are restored automatically.
 *
 * The package `ioredis` is loaded when a connection of our own is made. Apps
 * with another store need not install it.
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid, type LazyArg } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Cluster, Redis, RedisOptions } from "ioredis"
import type { EventEmitter } from "node:events"
import type { Client, ClusterAddress, Options } from "../RedisClient.js"
import * as Answer from "../store/Answer.js"
import * as RedisError from "./RedisError.js"

/** A client, and the state of its connection. */
export interface Connection {
  readonly client: Client
  /** Why commands fail. */
  readonly whyNotConnected: () => string
  /** The prefix that the client itself adds to every key. */
  readonly keyPrefix: string
  /**
   * A new, unconnected client for subscriptions only; `None` while no node of a cluster is known, and `undefined` if
   * the client cannot make one.
   */
  readonly listener: Effect.Effect<Option.Option<Listener>> | undefined
}

/** A client for subscriptions. */
export interface Listener {
  readonly redis: Redis
  /** Completes when the server has answered the password: its refusal would count as the refusal of a subscription. */
  readonly authenticated: () => Promise<unknown>
}

// TokenProvider waits half as long: this limits calls that continue after that
const defaultCommandTimeout = Duration.seconds(1)
// Longer than the first retransmission of a lost SYN (1 s); an app that starts without Redis waits no longer
const defaultConnectTimeout = Duration.seconds(2)
// The first attempt after a server's restart is quick; a server that stays down is tried every second
const firstReconnectDelay = 50
const maxReconnectDelay = 1_000
const reconnectDelay = (times: number) => Math.min(firstReconnectDelay * 2 ** (times - 1), maxReconnectDelay)
// How long the other side may take to close a connection
const disconnectTimeout = 500
// A lost node, another one that knows its successor, and the successor; including the delays, within one call
const maxRedirections = 4
// The longest delay of setTimeout
const maxTimeout = Duration.millis(2 ** 31 - 1)
// Our own limit decides. Commands that ioredis sends while it connects have only this one, which is several times as
// long: in a paused process its timer fires before the answer is read
const netTimeout = (commandTimeout: Duration.Duration) =>
  Duration.toMillis(Duration.min(Duration.times(commandTimeout, 5), maxTimeout))

/**
 * Options of our own connections. ioredis itself checks nothing, as it prints
 * refusals: we check whether the server answers. A silent sentinel is skipped.
 */
const boundsOf = (connectTimeout: Duration.Duration, commandTimeout: Duration.Duration) => ({
  connectTimeout: Duration.toMillis(connectTimeout),
  commandTimeout: netTimeout(commandTimeout),
  sentinelCommandTimeout: Duration.toMillis(commandTimeout),
  enableReadyCheck: false,
  disableClientInfo: true
})

/** A time limit that a timer supports. */
const checkTimeout = (
  name: "connectTimeout" | "commandTimeout",
  value: Duration.DurationInput
): Effect.Effect<Duration.Duration, InvalidOptions> =>
  Effect.map(LayerOptions.positiveDuration(`RedisTokenStore.${name}`, value), Duration.min(maxTimeout))

/** Checks where the servers are, how they are reached, and how long a command may take. */
export const check = (options: Options & CommandOptions) =>
  LayerOptions.collect({
    address: checkAddress(options),
    connectTimeout: checkTimeout("connectTimeout", options.connectTimeout ?? defaultConnectTimeout),
    commandTimeout: checkCommandTimeout(options)
  })

/** How long a command may take. */
export interface CommandOptions {
  readonly commandTimeout?: Duration.DurationInput | undefined
}

/** The same, with a client of the app. */
export const checkCommandTimeout = ({ commandTimeout }: CommandOptions) =>
  checkTimeout("commandTimeout", commandTimeout ?? defaultCommandTimeout)

/** Makes a connection of our own, even while Redis is down. */
export const make: (
  options: Options,
  checked: Effect.Effect.Success<ReturnType<typeof check>>
) => Effect.Effect<Connection, InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(
  options,
  { address, commandTimeout, connectTimeout }
) {
  const bounds = {
    ...boundsOf(connectTimeout, commandTimeout),
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // Required by the type of a client from ioredis 6 on: replies as before
    replyMapping: "legacy" as const
  }
  const own = options.redis as RedisOptions | undefined
  const redisOptions: RedisOptions = { disconnectTimeout, ...own, ...address, ...bounds }
  const { Cluster, Redis } = yield* loadIoredis
  // Counts since the server last answered: if it accepts and closes connections at once, the delay must still grow
  let attempts = 0
  const redis = yield* Effect.acquireRelease(
    Effect.try({
      try: (): Redis | Cluster =>
        options.cluster === undefined
          ? new Redis({
            ...redisOptions,
            // We send it: when a connection is closed before the answer to it, ioredis may never make another
            connectionName: undefined,
            retryStrategy: () => reconnectDelay(++attempts),
            // A demoted primary keeps its connections: only a new one finds the new primary
            reconnectOnError: (error) => error.message.includes("READONLY")
          })
          : new Cluster(startNodes(options.cluster, address), {
            ...options.cluster.options,
            lazyConnect: true,
            enableOfflineQueue: false,
            clusterRetryStrategy: reconnectDelay,
            slotsRefreshTimeout: bounds.connectTimeout,
            maxRedirections,
            // The nodes' own errors say best what a cluster lacks, and a part of it may work
            enableReadyCheck: false,
            retryDelayOnClusterDown: 0,
            redisOptions
          }),
      catch: (error) => LayerOptions.error("RedisTokenStore.redis", RedisError.describe(error))
    }),
    (redis) => Effect.sync(() => redis.disconnect())
  )
  const link = watch(redis, {
    isTls: redisOptions.tls !== undefined,
    connectionName: redisOptions.connectionName,
    commandTimeout,
    onAnswer: () => {
      attempts = 0
    }
  })
  // Without an offline queue, calls would fail during the first connection attempt. If it fails, it is retried in the
  // background
  yield* Effect.ignore(Effect.timeout(Effect.tryPromise(() => redis.connect().then(link.answered)), connectTimeout))
  return {
    client: asking(redis, link.ask),
    whyNotConnected: link.whyNotConnected,
    keyPrefix: keyPrefixOf(redis),
    listener: listenerOf(redis, { ...bounds, connectionName: redisOptions.connectionName })
  }
})

/** The app's own client, which is neither configured nor closed. */
export const fromClient = (
  client: Client,
  options: { readonly commandTimeout: Duration.Duration }
): Connection => ({
  client: asking(client, bounded(options.commandTimeout)),
  whyNotConnected: () => "the client is not connected",
  keyPrefix: keyPrefixOf(client),
  listener: listenerOf(client, boundsOf(defaultConnectTimeout, options.commandTimeout))
})

const loadIoredis = Effect.tryPromise({
  // With the error caught here, a bundler accepts a missing package
  try: () => import("ioredis").catch((error: unknown) => Promise.reject(error)),
  catch: (error) =>
    LayerOptions.error(
      "RedisTokenStore",
      `needs the package ioredis, which could not be loaded (npm install ioredis): ${RedisError.describe(error)}`
    )
})

// -----------------------------------------------------------------------------
// address
// -----------------------------------------------------------------------------

/** Parsed here: ioredis would accept any of its options in the query, and would not report an invalid path. */
const checkAddress = Effect.fnUntraced(function*({ cluster, redis, url }: Options) {
  const elsewhere = cluster === undefined
    ? (redis?.host ?? redis?.path ?? redis?.sentinels) !== undefined
    : cluster.nodes !== undefined && cluster.nodes.length > 0
  if (url === undefined && elsewhere) return {}
  const option = "RedisTokenStore.url"
  const given = yield* LayerOptions.text(
    option,
    Redacted.isRedacted(url) ? Redacted.value(url) : url instanceof URL ? url.href : url as string
  )
  // The URL may contain a password: no description shows any part of it
  if (!URL.canParse(given)) return yield* LayerOptions.invalid(option, "is not a URL")
  const parsed = new URL(given)
  const isSocket = parsed.protocol === "unix:"
  if (!isSocket && parsed.protocol !== "redis:" && parsed.protocol !== "rediss:") {
    return yield* LayerOptions.invalid(option, "must begin with redis://, rediss:// or unix:///")
  }
  if (isSocket && cluster !== undefined) {
    return yield* LayerOptions.invalid(option, "is a socket, which a cluster does not have")
  }
  if (isSocket && parsed.hostname !== "") {
    return yield* LayerOptions.invalid(option, "has a host before the path of its socket")
  }
  if (!isSocket && parsed.hostname === "") return yield* LayerOptions.invalid(option, "has no host")
  if (parsed.search !== "") {
    return yield* LayerOptions.invalid(option, "must not have a query: give these options in redis")
  }
  if (parsed.hash !== "") return yield* LayerOptions.invalid(option, "must not have a fragment: # in a password is %23")
  const [username, password, path] = yield* Effect.try({
    try: () => [parsed.username, parsed.password, parsed.pathname].map(decodeURIComponent),
    catch: () => LayerOptions.error(option, "has credentials that are not percent-encoded")
  })
  if (isSocket) return { path }
  const database = /^\/?(\d*)$/.exec(path)?.[1]
  if (database === undefined) {
    return yield* LayerOptions.invalid(option, "has a path that is not the number of a database")
  }
  if (cluster !== undefined && Number(database) !== 0) {
    return yield* LayerOptions.invalid(option, "names a database, but a cluster has only database 0")
  }
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

const startNodes = ({ nodes = [] }: ClusterAddress, { host, port }: RedisOptions) => [
  ...(host === undefined ? [] : [{ host, port }]),
  ...nodes
]

// -----------------------------------------------------------------------------
// commands
// -----------------------------------------------------------------------------

const silent = new Error("it accepts connections, but does not answer")

/**
 * Watches the connections of a client. A connection counts once the server has
 * answered on it; a silent one (the other end vanished) is replaced; the reason
 * for a missing one is remembered.
 */
const watch = (redis: Redis | Cluster, { commandTimeout, connectionName, isTls, onAnswer }: {
  readonly isTls: boolean
  readonly connectionName: string | undefined
  readonly commandTimeout: Duration.Duration
  readonly onAnswer: () => void
}) => {
  const events: EventEmitter = redis
  let connections = 0
  let lastError: unknown
  let wasAnswered = false
  // A cluster is ready when one of its nodes has answered
  let isAnswered = isCluster(redis)
  let first: Promise<unknown> | undefined
  /**
   * Callers that wait for an answer on the current connection: ioredis tells them of its loss only after the next
   * one's.
   */
  const waiting = new Set<(error: unknown) => void>()

  const remember = (error: unknown) => {
    // A closed connection is not a reason, nor is one that was closed because of the server's reply
    const isLoss = RedisError.isNotConnected(error) || RedisError.isReply(lastError) && RedisError.isCut(error)
    if (lastError === undefined || !isLoss) lastError = error
  }

  const hear = (answer: Promise<unknown>): Promise<unknown> => {
    const connection = connections
    answer.then(() => {
      wasAnswered = true
      lastError = undefined
      onAnswer()
    }, (error) => {
      // While ioredis connects, it would treat this as the end and never reconnect
      if (!RedisError.isTimeout(error) || connection !== connections || redis.status !== "ready") return
      remember(silent)
      redis.disconnect(true)
    })
    return new Promise((resolve, reject) => {
      waiting.add(reject)
      answer.finally(() => waiting.delete(reject)).then(resolve, reject)
    })
  }

  // Without a listener ioredis would print every failed attempt
  events.on("error", remember)
  events.on("node error", remember)
  events.on("connect", () => {
    connections++
    // A reply of the server, such as WRONGPASS, is the reason until another reply
    if (!RedisError.isReply(lastError)) lastError = undefined
  })
  if (isCluster(redis)) {
    events.on("+node", (node: Redis) => {
      hush(node)
      // A late answer, such as MOVED, may name a node: ioredis ends only the earlier nodes, and would wait for this one
      // for ever
      if (redis.status === "disconnecting") node.disconnect()
    })
    events.on("ready", () => {
      wasAnswered = true
      lastError = undefined
    })
  } else {
    const authenticated = hush(redis)
    const { db } = redis.options
    /** If the database cannot be selected, ioredis would continue in database 0, with other apps' tokens. */
    const select = async () => {
      try {
        if (db) await redis.select(db)
      } catch (error) {
        if (!RedisError.isReply(error)) throw error
        remember(error)
        redis.disconnect(true)
        throw RedisError.notConnected()
      }
    }
    const greet = () => {
      const answer = redis.ping()
      // Sent second, as the first answer may be why the server closes the connection; a user may lack the permission
      // for it
      if (connectionName) redis.client("SETNAME", connectionName).catch(constVoid)
      return answer
    }
    events.on("ready", () => {
      // One after the other: a write to a closed connection may hide the reason
      first = hear(bounded(commandTimeout)(() => authenticated().then(select).then(greet))).then(() => {
        isAnswered = true
      }, (error) => {
        if (!RedisError.isReply(error)) return
        isAnswered = true
        remember(error)
      })
    })
    events.on("close", () => {
      isAnswered = false
    })
  }
  events.on("close", () => {
    for (const lose of waiting) lose(RedisError.notConnected())
  })

  return {
    /** Completes when the server answers on the newest connection, or the connection is abandoned. */
    answered: () => first,
    ask: (call: LazyArg<Promise<unknown>>): Promise<unknown> =>
      isAnswered ? hear(bounded(commandTimeout)(call)) : Promise.reject(RedisError.notConnected()),
    whyNotConnected: () => {
      if (lastError !== undefined) {
        return RedisError.describe(lastError) + (wasAnswered ? "" : RedisError.hintAtTls(lastError, isTls))
      }
      if (redis.status === "ready") return silent.message
      if (redis.status === "connecting") {
        return isTls && !wasAnswered ? `still connecting${RedisError.hintAtNoTls}` : "still connecting"
      }
      return wasAnswered || isTls
        ? "the connection was lost"
        : "the server closes connections before it answers (the port may be for TLS: that is rediss://)"
    }
  }
}

/**
 * If a server needs no password, ioredis continues too, but prints a warning at
 * every connection: this suppresses it. The returned function waits for the
 * answer to the last password.
 */
const hush = (redis: Redis): () => Promise<unknown> => {
  type Callback = (error: unknown) => void
  const auth = redis.auth.bind(redis) as (credentials: unknown, callback: Callback) => Promise<"OK">
  let answered: Promise<unknown> = Promise.resolve()
  Object.assign(redis, {
    auth: (credentials: unknown, callback: Callback) => {
      const answer = auth(credentials, (error) => callback(RedisError.isNeedlessPassword(error) ? null : error))
      answered = answer.catch(constVoid)
      return answer
    }
  })
  return () => answered
}

/** Waits for an answer, and fails with `RedisError.timedOut` when none has come in time. */
export const answerWithin = (limit: Duration.Duration) => Answer.within(limit, RedisError.timedOut)

/** The same as a promise that ends even if its caller has left. */
const bounded = (commandTimeout: Duration.Duration) => Answer.bounded(commandTimeout, RedisError.timedOut)

const asking = (client: Client, ask: (call: LazyArg<Promise<unknown>>) => Promise<unknown>): Client => ({
  evalsha: (sha1, numberOfKeys, ...args) => ask(() => client.evalsha(sha1, numberOfKeys, ...args)),
  eval: (script, numberOfKeys, ...args) => ask(() => client.eval(script, numberOfKeys, ...args))
})

// -----------------------------------------------------------------------------
// listening
// -----------------------------------------------------------------------------

/** In a cluster every node forwards all messages: a plain connection to any of them is enough. */
const listenerOf = (client: unknown, bounds: RedisOptions): Connection["listener"] => {
  // The subscriber reconnects by itself
  const options: RedisOptions = {
    ...bounds,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResubscribe: false,
    retryStrategy: () => null,
    sentinelRetryStrategy: () => null,
    reconnectOnError: null,
    readOnly: false
  }
  const duplicate = (client: Pick<Redis, "duplicate">): Listener => {
    const redis = client.duplicate(options)
    return { redis, authenticated: hush(redis) }
  }
  if (isCluster(client)) {
    return Effect.map(
      Effect.flatMap(Effect.sync(() => client.nodes()), Random.shuffle),
      (nodes) => Option.map(Chunk.head(nodes), duplicate)
    )
  }
  return isRedis(client) ? Effect.sync(() => Option.some(duplicate(client))) : undefined
}

const isCluster = (client: unknown): client is Pick<Cluster, "nodes"> =>
  isIoredis(client) && Predicate.hasProperty(client, "nodes") && Predicate.isFunction(client.nodes)

const isRedis = (client: unknown): client is Pick<Redis, "duplicate"> =>
  isIoredis(client) && Predicate.hasProperty(client, "duplicate") && Predicate.isFunction(client.duplicate)

/** Other libraries have methods of the same name with another meaning: only ioredis has a status. */
const isIoredis = (client: unknown) => Predicate.hasProperty(client, "status")

const keyPrefixOf = (client: unknown): string => {
  const options = Predicate.hasProperty(client, "options") ? client.options : undefined
  const prefix = Predicate.hasProperty(options, "keyPrefix") ? options.keyPrefix : undefined
  return typeof prefix === "string" ? prefix : ""
}
