/** A real Redis Cluster of several servers, each of which ends with the scope. */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import * as RedisServer from "./RedisServer.js"

export interface RedisCluster {
  /** Each holds a part of the slots, of equal size and in this order. */
  readonly primaries: ReadonlyArray<RedisServer.RedisServer>
  /** One for each primary, if there are any. */
  readonly replicas: ReadonlyArray<RedisServer.RedisServer>
  /** Where all of them are. */
  readonly addresses: ReadonlyArray<{ readonly host: string; readonly port: number }>
  /** Waits until each of them says that it works, and knows all others and who holds each slot. */
  readonly agrees: Effect.Effect<void, RedisServer.RedisServerError>
  /** The primary that a key belongs to at the start. */
  readonly primaryOf: (key: string) => Effect.Effect<RedisServer.RedisServer>
}

export interface Options {
  /** How many primaries there are. The default is 3. */
  readonly size?: number | undefined
  /** Gives each primary a replica. */
  readonly replicated?: boolean | undefined
  /** Further arguments of each server. */
  readonly args?: ReadonlyArray<string> | undefined
}

const slots = 16_384

// Several times what nodes give each other before they call one failed
const patience = "45 seconds"

const poll = Schedule.spaced("20 millis")

const startNode = (args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    // The usual one, 10,000 above the other, may be no port at all
    const bus = yield* RedisServer.freePort
    const server = yield* RedisServer.make({
      args: [
        ...["--cluster-enabled", "yes", "--cluster-port", `${bus}`, "--cluster-announce-ip", "127.0.0.1"],
        ...["--repl-diskless-sync-delay", "0"],
        ...args
      ]
    })
    return { bus, server }
  }).pipe(Effect.retry({ times: 5 }))

/** Starts the servers, makes them one cluster and waits until each of them says that it works. */
export const make = (
  { args = [], replicated = false, size = 3 }: Options = {}
): Effect.Effect<RedisCluster, RedisServer.RedisServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const nodes = yield* Effect.replicateEffect(startNode(args), replicated ? 2 * size : size, {
      concurrency: "unbounded"
    })
    const servers = nodes.map(({ server }) => server)
    const primaries = servers.slice(0, size)
    const replicas = servers.slice(size)
    const [{ server: first }] = nodes

    for (const [index, { bus, server: { port } }] of nodes.entries()) {
      yield* RedisServer.ask(port, (node) => node.cluster("SET-CONFIG-EPOCH", index + 1))
      yield* RedisServer.ask(first.port, (node) => node.call("CLUSTER", "MEET", "127.0.0.1", port, bus))
    }
    for (const [index, { port }] of primaries.entries()) {
      const start = Math.ceil(index * slots / size)
      yield* RedisServer.ask(port, (node) =>
        node.cluster("ADDSLOTSRANGE", start, Math.ceil((index + 1) * slots / size) - 1))
    }
    for (const [index, { port }] of replicas.entries()) {
      const id = yield* RedisServer.ask(primaries[index].port, (node) =>
        node.cluster("MYID"))
      // It must have heard of its primary
      yield* Effect.retry(RedisServer.ask(port, (node) => node.cluster("REPLICATE", id)), poll)
    }
    const agreed = ["cluster_state:ok", `cluster_slots_assigned:${slots}`, `cluster_known_nodes:${servers.length}`]
    const agrees = Effect.forEach(servers, ({ port }) => {
      let last = ""
      return RedisServer.ask(port, (node) => node.cluster("INFO")).pipe(
        Effect.repeat({
          until: (info) => {
            last = info
            return agreed.every((line) => info.includes(line))
          },
          schedule: poll
        }),
        Effect.timeoutFail({
          duration: patience,
          onTimeout: () =>
            new RedisServer.RedisServerError({
              message: `the node on port ${port} does not agree with the others: ${last}`
            })
        })
      )
    }, { discard: true })
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
