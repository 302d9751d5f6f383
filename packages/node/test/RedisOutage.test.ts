import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient, RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Effect, Layer, Logger, Redacted, Schedule } from "effect"
import * as OAuthServer from "./OAuthServer.js"
import { eventually, tellsOf } from "./RedisBench.js"

type Server = RedisServer.RedisServer

interface Outage {
  readonly begin: (server: Server) => Effect.Effect<unknown, RedisServer.RedisServerError>
  readonly end: (server: Server) => Effect.Effect<unknown, RedisServer.RedisServerError>
  /** What the warning says. */
  readonly cause: RegExp
}

const tell = (...words: ReadonlyArray<string>) => ({ port }: Server) =>
  RedisServer.ask(port, (client) => client.call(words[0], ...words.slice(1)))

/** A server with so much to load that it takes its time, and a process that has found it. */
const load = (server: Server) =>
  Effect.gen(function*() {
    const fillers = Arr.makeBy(200, (n) => [`filler-${n}`, "x".repeat(2_000)] as const)
    yield* RedisServer.ask(server.port, (client) => client.mset(Object.fromEntries(fillers)))
    yield* RedisServer.ask(server.port, (client) => client.config("SET", "rdbcompression", "no"))
    yield* RedisServer.ask(server.port, (client) => client.save())
    yield* server.kill
    yield* server.start(["--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024"])
    yield* Effect.repeat(tell("CLIENT", "LIST")(server), {
      until: (list) => String(list).includes("name=process"),
      schedule: Schedule.spaced("20 millis")
    })
  })

const outages: Record<string, Outage> = {
  "it is gone": {
    begin: (server) => server.kill,
    end: (server) => server.start(),
    cause: /: Redis is not connected: connect ECONNREFUSED/
  },
  "it hangs": {
    begin: (server) => server.pause,
    end: (server) => server.resume,
    cause: /: no answer within 500ms/
  },
  "it loads its data": {
    begin: load,
    end: tell("CONFIG", "SET", "key-load-delay", "0"),
    cause: /: Redis is not connected: .* it may still load its data/
  },
  "it is a replica": {
    begin: tell("REPLICAOF", "127.0.0.1", "1"),
    end: tell("REPLICAOF", "NO", "ONE"),
    cause: /: READONLY /
  },
  "it is full": {
    begin: tell("CONFIG", "SET", "maxmemory", "1"),
    end: tell("CONFIG", "SET", "maxmemory", "0"),
    cause: /: OOM /
  },
  "it may not be asked": {
    begin: tell("ACL", "SETUSER", "app", "-evalsha", "-eval"),
    end: tell("ACL", "SETUSER", "app", "+evalsha", "+eval"),
    cause: /: NOPERM /
  },
  "it has another password": {
    begin: (server) =>
      Effect.zipRight(
        tell("ACL", "SETUSER", "app", "resetpass", ">another")(server),
        tell("CLIENT", "KILL", "USER", "app")(server)
      ),
    end: tell("ACL", "SETUSER", "app", ">correct-horse"),
    cause: /: Redis is not connected: .*WRONGPASS /
  }
}

// On a busy machine: how long the store may hold up a request is tested under TestClock
const answered = Effect.timeout("30 seconds")

describe.concurrent("While Redis fails, requests are answered, and one warning says why", () => {
  for (const [name, { begin, cause, end }] of Object.entries(outages)) {
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        const server = yield* OAuthServer.make()
        const redis = yield* RedisServer.make({
          args: ["--user", "app", "on", ">correct-horse", "~*", "&*", "+@all"]
        })
        const url = Redacted.make(`redis://app:correct-horse@127.0.0.1:${redis.port}`)
        const told = yield* tellsOf(yield* RedisTokenStore.make({ url }))
        let scopes = 0

        /** A process of its own: its client, and what it logs. */
        const startProcess = Effect.gen(function*() {
          const messages: Array<string> = []
          const logger = Logger.make(({ message }) => messages.push(Arr.ensure(message).join(" ")))
          const log = Effect.provide(Logger.replace(Logger.defaultLogger, logger))
          const context = yield* log(Layer.build(NodeAuthedHttpClient.layer({
            tokenEndpoint: server.tokenEndpoint,
            clientId: "the-client",
            clientSecret: Redacted.make("the-client-secret"),
            baseUrl: server.url,
            redis: { url, redis: { connectionName: "process" } }
          })))
          const client = Context.get(context, AuthedHttpClient.AuthedHttpClient)
          /** Needs a token that nobody has yet. */
          const request = Effect.gen(function*() {
            const response = yield* client.get("/resource").pipe(AuthedHttpClient.withTokenScope(`scope-${scopes++}`))
            assert.strictEqual(response.status, 200)
            return server.tokenRequests.length
          })
          return { messages, request: log(request) }
        })

        const { messages, request } = yield* startProcess

        const isStored = (issued: number) =>
          Effect.map(
            RedisServer.ask(redis.port, async (client): Promise<ReadonlyArray<string | null>> => {
              const keys = await client.keys("effect-alf:*")
              return keys.length === 0 ? [] : await client.mget(keys)
            }),
            (values) => values.some((value) => value !== null && value.includes(`token-${issued}-`))
          )

        const requestAndStore = eventually(Effect.gen(function*() {
          const issued = yield* request
          yield* Effect.repeat(isStored(issued), { until: (stored) => stored, schedule: Schedule.spaced("10 millis") })
            .pipe(Effect.timeout("200 millis"))
        }))

        yield* requestAndStore
        deepStrictEqual(messages, [])

        yield* begin(redis)
        yield* answered(Effect.repeatN(request, 4))
        assert.lengthOf(messages, 1)

        // Where the connection is at that moment decides what the one process can say; one that starts now sees the cause
        const late = yield* startProcess
        yield* answered(Effect.repeatN(late.request, 4))
        assert.lengthOf(late.messages, 1)
        assert.match([...messages, ...late.messages].join("\n"), cause)
        assert.notMatch([...messages, ...late.messages].join("\n"), /horse|token-\d/)

        yield* end(redis)
        yield* eventually(Effect.filterOrFail(requestAndStore, () => messages.length > 1))
        deepStrictEqual(messages.slice(1), ["Token store is back"])

        // Who listened before is told again
        const before = told.length
        yield* eventually(Effect.filterOrFail(requestAndStore, () => told.length > before))
      }))
  }
})
