/**
 * Connections to Memcached on which nothing waits: to servers of our own choice,
 * or the app's client. Every command is bounded in time. A connection is made
 * when it is needed, and a new one after it was lost.
 *
 * The package `memcache` is loaded when connections of our own are made; whoever
 * uses another store need not install it.
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { MemcacheNode } from "memcache"
import type { Client, Node, Options } from "../MemcachedClient.js"
import * as Answer from "../store/Answer.js"
import * as MemcachedAddress from "./MemcachedAddress.js"
import * as MemcachedCommand from "./MemcachedCommand.js"
import * as MemcachedError from "./MemcachedError.js"

/** Sends a command to the server that a key belongs to. */
export type Connection = <A>(key: string, command: MemcachedCommand.Command<A>) => Promise<A>

// Outlasts the first retransmission of a lost SYN (1 s)
const defaultConnectTimeout = Duration.seconds(2)

// setTimeout knows no longer one
const maxTimeout = Duration.millis(2 ** 31 - 1)

/** A time limit that a timer can keep. */
export const checkTimeout = (
  name: "connectTimeout" | "commandTimeout",
  value: Duration.DurationInput
): Effect.Effect<Duration.Duration, InvalidOptions> =>
  Effect.map(LayerOptions.positiveDuration(`MemcachedTokenStore.${name}`, value), Duration.min(maxTimeout))

/** Connections of our own. */
export const make: (
  options: Options & { readonly commandTimeout: Duration.Duration }
) => Effect.Effect<Connection, InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(options) {
  const { commandTimeout } = options
  const connectTimeout = yield* checkTimeout("connectTimeout", options.connectTimeout ?? defaultConnectTimeout)
  const { credentials, servers } = yield* MemcachedAddress.parse(options)
  const { createNode } = yield* loadMemcache
  const links = new Map(servers.map((server) => [
    MemcachedAddress.nameOf(server),
    makeLink(
      // It would end a connection on which nothing has been said for so long
      () => createNode(server.host, server.port, { timeout: Duration.toMillis(maxTimeout) }),
      { commandTimeout, connectTimeout, credentials }
    )
  ]))
  yield* Effect.addFinalizer(() => Effect.sync(() => links.forEach((link) => link.close())))
  const names = Array.from(links.keys())
  return (key, command) => links.get(MemcachedAddress.ownerOf(key, names))!.ask(command)
})

const loadMemcache = Effect.tryPromise({
  // Where its failure is caught, a bundler goes on without the package when it is not installed
  try: () => import("memcache").catch((error: unknown) => Promise.reject(error)),
  catch: (error) =>
    LayerOptions.error(
      "MemcachedTokenStore",
      `needs the package memcache, which could not be loaded (npm install memcache): ${MemcachedError.describe(error)}`
    )
})

/** The app's own client, which is neither configured nor closed. */
export const fromClient = (
  client: Client,
  { commandTimeout }: { readonly commandTimeout: Duration.Duration }
): Connection => {
  const bounded = Answer.bounded(commandTimeout, MemcachedError.timedOut)
  // Asked for two keys at once before it is connected, it would connect twice
  let nodes: Promise<unknown> = Promise.resolve()
  const nodesOf = (key: string) => {
    const found = nodes.then(() => client.getNodesByKey(key))
    nodes = found.catch(constVoid)
    return found
  }
  return (key, command) => bounded(() => nodesOf(key).then(([node]) => send(node, command)))
}

const send = async <A>(node: Node, { decode, lines }: MemcachedCommand.Command<A>): Promise<A> =>
  decode(await Promise.all(lines.map(({ isMultiline, text }) => node.command(text, isMultiline && { isMultiline }))))

/** The way to one server. */
const makeLink = (open: () => MemcacheNode, { commandTimeout, connectTimeout, credentials }: {
  readonly commandTimeout: Duration.Duration
  readonly connectTimeout: Duration.Duration
  readonly credentials: MemcachedAddress.Credentials | undefined
}) => {
  const boundedCommand = Answer.bounded(commandTimeout, MemcachedError.timedOut)
  const boundedConnect = Answer.bounded(connectTimeout, MemcachedError.timedOut)

  const greet = (node: MemcacheNode) =>
    send(node, MemcachedCommand.greet).catch((error: unknown) => {
      // Who is not asked for the password does not send it
      if (credentials === undefined || !MemcachedError.isUnauthenticated(error)) throw error
      const { password, username } = credentials
      return send(node, MemcachedCommand.authenticate(username, Redacted.value(password)))
    })

  const connect = () => {
    // What a connection has left half read stays with its node
    const node = open()
    const state = { isConnected: false }
    const connected = boundedConnect(() => node.connect().then(() => greet(node)))
    const drop = () => {
      if (current?.node === node) current = undefined
      void node.disconnect()
    }
    node.on("error", constVoid)
    node.on("close", drop)
    connected.then(() => {
      state.isConnected = true
    }, drop)
    return { node, state, connected, drop }
  }

  let current: ReturnType<typeof connect> | undefined
  let isClosed = false

  return {
    ask: async <A>(command: MemcachedCommand.Command<A>): Promise<A> => {
      if (isClosed) throw MemcachedError.closed()
      const { connected, drop, node, state } = current ??= connect()
      try {
        return await boundedCommand(() => connected.then(() => send(node, command)))
      } catch (error) {
        // Who still connects has a time limit of its own
        if (state.isConnected && !MemcachedError.isRefusal(error)) drop()
        throw error
      }
    },
    close: () => {
      isClosed = true
      current?.drop()
    }
  }
}
