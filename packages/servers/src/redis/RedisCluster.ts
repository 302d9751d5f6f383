/** A real Redis Cluster of several servers, each of which ends with the scope. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { ServerError } from "../ServerError.js"
import * as ServerProcess from "../ServerProcess.js"
import * as RedisServer from "./RedisServer.js"

export interface RedisCluster {
  /** Each holds a part of the slots, of equal size and in this order. */
  readonly primaries: ReadonlyArray<RedisServer.RedisServer>
  /** One for each of the first primaries. */
  readonly replicas: ReadonlyArray<RedisServer.RedisServer>
  /** Where all of them are. */
  readonly addresses: ReadonlyArray<{ readonly host: string; readonly port: number }>
  /** Waits until each of them says that it works, and knows all others and who holds each slot. */
  readonly agrees: Effect.Effect<void, ServerError>
  /** The primary that a key belongs to at the start. */
  readonly primaryOf: (key: string) => Effect.Effect<RedisServer.RedisServer>
}

export interface Options {
  /** How many primaries there are. The default is 3. */
  readonly size?: number | undefined
  /** How many of the primaries, from the first on, have a replica. The default is none. */
  readonly replicas?: number | undefined
  /** Further arguments of each server. */
  readonly args?: ReadonlyArray<string> | undefined
}

const slots = 16_384

const startNode = (args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    // The usual one, 10,000 above the other, may be no port at all
    const bus = yield* ServerProcess.freePort
    const server = yield* RedisServer.make({
      args: [
        ...["--cluster-enabled", "yes", "--cluster-port", `${bus}`, "--cluster-announce-ip", "127.0.0.1"],
        // A primary has no file of its data that it could start with again
        ...["--repl-diskless-sync-delay", "0"],
        ...args
      ]
    })
    return { bus, server }
  }).pipe(Effect.retry({ times: 5 }))

/** Starts the servers, makes them one cluster and waits until each of them says that it works. */
export const make = (
  { args = [], replicas: replicaCount = 0, size = 3 }: Options = {}
): Effect.Effect<RedisCluster, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const nodes = yield* Effect.replicateEffect(startNode(args), size + replicaCount, {
      concurrency: "unbounded"
    })
    const servers = nodes.map(({ server }) => server)
    const primaries = servers.slice(0, size)
    const replicas = servers.slice(size)
    const [first] = primaries

    // What each of them is to have it has before they meet: then the first word between two says it all
    const ids = yield* Effect.forEach(servers, ({ port }, index) =>
      RedisServer.ask(port, async (node) => {
        await node.cluster("SET-CONFIG-EPOCH", index + 1)
        const start = Math.ceil(index * slots / size)
        if (index < size) await node.cluster("ADDSLOTSRANGE", start, Math.ceil((index + 1) * slots / size) - 1)
        return node.cluster("MYID")
      }), { concurrency: "unbounded" })
    // Each meets each: word of others goes round only every second
    yield* Effect.forEach(servers, ({ port }, index) =>
      RedisServer.ask(port, async (node) => {
        for (const { bus, server } of nodes.slice(index + 1)) {
          await node.call("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        }
      }), { concurrency: "unbounded" })
    yield* Effect.forEach(replicas, ({ port }, index) =>
      // It must have heard of its primary
      RedisServer.askUntil(port, (node) =>
        node.cluster("REPLICATE", ids[index]).then(() =>
          true, () =>
          false), Boolean), {
      concurrency: "unbounded"
    })
    const agreed = ["cluster_state:ok", `cluster_slots_assigned:${slots}`, `cluster_known_nodes:${servers.length}`]
    // One after the other, as who has asked the first until it works finds that the others do
    const agrees = Effect.forEach(
      servers,
      ({ port }) =>
        RedisServer.askUntil(port, (node) =>
          node.cluster("INFO"), (info) =>
          agreed.every((line) =>
            info.includes(line)
          )),
      { discard: true }
    )
    yield* agrees

    return {
      agrees,
      primaries,
      replicas,
      addresses: servers.map(({ port }) => ({ host: "127.0.0.1", port })),
      primaryOf: (key) =>
        Effect.map(
          Effect.orDie(RedisServer.ask(first.port, (node) => node.cluster("KEYSLOT", key))),
          (slot) => primaries[Math.floor(slot * size / slots)]
        )
    }
  })
