/** A real primary with a replica, and a sentinel that sees to it that there always is a primary. */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import * as RedisServer from "./RedisServer.js"

export interface RedisSentinel {
  /** What the sentinel calls the primary. */
  readonly name: string
  readonly sentinel: RedisServer.RedisServer
  readonly primary: RedisServer.RedisServer
  readonly replica: RedisServer.RedisServer
}

const poll = Schedule.spaced("20 millis")

/** Starts the three of them and waits until they know of each other. */
export const make: Effect.Effect<RedisSentinel, RedisServer.RedisServerError, Scope.Scope> = Effect.gen(function*() {
  const name = "tokens"
  const args = ["--repl-diskless-sync-delay", "0"]
  const primary = yield* RedisServer.make({ args })
  const replica = yield* RedisServer.make({ args: [...args, "--replicaof", "127.0.0.1", `${primary.port}`] })
  yield* Effect.repeat(RedisServer.ask(replica.port, (client) => client.info("replication")), {
    until: (info) => info.includes("master_link_status:up"),
    schedule: poll
  })
  const sentinel = yield* RedisServer.make({
    args: ["--sentinel"],
    configuration: [
      `sentinel monitor ${name} 127.0.0.1 ${primary.port} 1`,
      `sentinel down-after-milliseconds ${name} 500`,
      `sentinel failover-timeout ${name} 3000`
    ].join("\n")
  })
  yield* Effect.repeat(RedisServer.ask(sentinel.port, (client) => client.call("SENTINEL", "REPLICAS", name)), {
    until: (replicas) => Array.isArray(replicas) && replicas.length === 1,
    schedule: poll
  })
  return { name, sentinel, primary, replica }
})
