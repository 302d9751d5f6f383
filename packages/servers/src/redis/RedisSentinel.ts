/** A real primary with a replica, and a sentinel that sees to it that there always is a primary. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { ServerError } from "../ServerError.js"
import * as RedisServer from "./RedisServer.js"

export interface RedisSentinel {
  /** What the sentinel calls the primary. */
  readonly name: string
  readonly sentinel: RedisServer.RedisServer
  readonly primary: RedisServer.RedisServer
  readonly replica: RedisServer.RedisServer
  /** From now on the sentinel replaces a primary that does not answer; before it does so at no time. */
  readonly watch: Effect.Effect<void, ServerError>
}

/** Starts the three of them and waits until they know of each other. */
export const make: Effect.Effect<RedisSentinel, ServerError, Scope.Scope> = Effect.gen(function*() {
  const name = "tokens"
  const args = ["--repl-diskless-sync", "no"]
  const primary = yield* RedisServer.make({ args })
  const replica = yield* RedisServer.make({ args: [...args, "--replicaof", "127.0.0.1", `${primary.port}`] })
  const sentinel = yield* RedisServer.make({
    args: ["--sentinel"],
    configuration: [
      `sentinel monitor ${name} 127.0.0.1 ${primary.port} 1`,
      `sentinel down-after-milliseconds ${name} 86400000`,
      `sentinel failover-timeout ${name} 3000`
    ].join("\n")
  })
  yield* RedisServer.askUntil(
    replica.port,
    (client) => client.info("replication"),
    (info) => info.includes("master_link_status:up")
  )
  yield* RedisServer.askUntil(
    sentinel.port,
    (client) => client.call("SENTINEL", "REPLICAS", name),
    (replicas) => Array.isArray(replicas) && replicas.length === 1
  )
  const watch = RedisServer.ask(sentinel.port, async (client) => {
    await client.call("SENTINEL", "SET", name, "down-after-milliseconds", "200")
    // Redis 7 and Valkey can be made to look more often; others only take longer
    await client.call("SENTINEL", "DEBUG", "INFO-PERIOD", "100", "PING-PERIOD", "100").catch(() => {})
  })
  return { name, sentinel, primary, replica, watch }
})
