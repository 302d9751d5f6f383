/**
 * Connections to Memcached: the store's own, or those of the app's client. Every
 * command has a time limit. A connection is made when it is needed, and again
 * after it was lost.
 *
 * The package `memcache` is loaded when the store makes its own connections; an
 * app with another store need not install it.
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

/** Sends a command to the server of a key. */
export type Connection = <A>(key: string, command: MemcachedCommand.Command<A>) => Promise<A>

// Outlasts the first retransmission of a lost SYN (1 s)
const defaultConnectTimeout = Duration.seconds(2)

// The longest delay of setTimeout
const maxTimeout = Duration.millis(2 ** 31 - 1)

/** A time limit, at most the longest delay of a timer. */
export const checkTimeout = (
  name: "connectTimeout" | "commandTimeout",
  value: Duration.DurationInput
): Effect.Effect<Duration.Duration, InvalidOptions> =>
  Effect.map(LayerOptions.positiveDuration(`MemcachedTokenStore.${name}`, value), Duration.min(maxTimeout))

/** Checks where the servers are, and how long connecting may take. */
export const check = (options: Options) =>
  LayerOptions.collect({
    address: MemcachedAddress.parse(options),
    connectTimeout: checkTimeout("connectTimeout", options.connectTimeout ?? defaultConnectTimeout)
  })

/** The store's own connections. */
export const make: (
  checked: Effect.Effect.Success<ReturnType<typeof check>> & { readonly commandTimeout: Duration.Duration }
) => Effect.Effect<Connection, InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(checked) {
  const { address: { credentials, servers }, commandTimeout, connectTimeout } = checked
  const { createNode } = yield* loadMemcache
  const links = new Map(servers.map((server) => [
    MemcachedAddress.nameOf(server),
    makeLink(
      // The client closes a connection that was idle for this time
      () => createNode(server.host, server.port, { timeout: Duration.toMillis(maxTimeout) }),
      { commandTimeout, connectTimeout, credentials }
    )
  ]))
  yield* Effect.addFinalizer(() => Effect.sync(() => links.forEach((link) => link.close())))
  const names = Array.from(links.keys())
  return (key, command) => links.get(MemcachedAddress.ownerOf(key, names))!.ask(command)
})

const loadMemcache = Effect.tryPromise({
  // A bundler tolerates a package that is not installed if the failure of its import is caught
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
  // Two requests at once before it is connected would make the client connect twice
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

/** The connection to one server, made again after a loss. */
const makeLink = (open: () => MemcacheNode, { commandTimeout, connectTimeout, credentials }: {
  readonly commandTimeout: Duration.Duration
  readonly connectTimeout: Duration.Duration
  readonly credentials: MemcachedAddress.Credentials | undefined
}) => {
  const boundedCommand = Answer.bounded(commandTimeout, MemcachedError.timedOut)
  const boundedConnect = Answer.bounded(connectTimeout, MemcachedError.timedOut)

  const greet = (node: MemcacheNode) =>
    send(node, MemcachedCommand.greet).catch((error: unknown) => {
      // The password is sent only if the server requires it
      if (credentials === undefined || !MemcachedError.isUnauthenticated(error)) throw error
      const { password, username } = credentials
      return send(node, MemcachedCommand.authenticate(username, Redacted.value(password)))
    })

  const connect = () => {
    // A new node, since the old one may hold half of a response
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
        // The connection attempt has a time limit of its own
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
