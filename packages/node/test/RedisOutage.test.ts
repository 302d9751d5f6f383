import { AuthedHttpClient } from "@effect-alf/core"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import type { ServerError } from "@effect-alf/servers/ServerError"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { type Duration, Effect, Random, Redacted, TestClock } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Process from "./Process.js"
import { loadForLong, open, patient, tellsOf } from "./RedisBench.js"
import { timePasses } from "./timePasses.js"

type Server = RedisServer.RedisServer

interface Outage {
  readonly begin: (server: Server) => Effect.Effect<unknown, ServerError>
  readonly end: (server: Server) => Effect.Effect<unknown, ServerError>
  /** What the warning says. */
  readonly cause: RegExp
  /** What goes on while a request waits: a call that was lost with its connection ends by its time limit alone. */
  readonly meanwhile?: Effect.Effect<never>
  /** The same while another process starts that hears nothing of its connection. */
  readonly atStart?: Effect.Effect<never>
}

const time = timePasses("100 millis")

const tell = (...words: ReadonlyArray<string>) => ({ port }: Server) =>
  RedisServer.ask(port, (client) => client.call(words[0], ...words.slice(1)))

/** Waits until a process has found a server. */
const isFound = ({ port }: Server) =>
  RedisServer.ask(port, (client) => client.client("LIST") as Promise<string>).pipe(
    Effect.repeat({ until: (list) => list.includes("name=process") })
  )

const outages: Record<string, Outage> = {
  "the server is down": {
    begin: (server) => server.kill,
    end: (server) => server.start(),
    cause: /: Redis is not connected: connect ECONNREFUSED/,
    meanwhile: time
  },
  "it hangs": {
    begin: (server) => server.pause,
    end: (server) => server.resume,
    cause: /: no answer within 500ms/,
    meanwhile: time,
    atStart: time
  },
  "the server loads its data": {
    begin: (server) => Effect.zipRight(loadForLong(server), isFound(server)),
    end: tell("CONFIG", "SET", "key-load-delay", "0"),
    cause: /: LOADING /
  },
  "the server is a replica": {
    begin: tell("REPLICAOF", "127.0.0.1", "1"),
    end: tell("REPLICAOF", "NO", "ONE"),
    cause: /: READONLY /
  },
  "the memory is full": {
    begin: tell("CONFIG", "SET", "maxmemory", "1"),
    end: tell("CONFIG", "SET", "maxmemory", "0"),
    cause: /: OOM /
  },
  "the user lacks permission": {
    begin: tell("ACL", "SETUSER", "app", "-evalsha", "-eval"),
    end: tell("ACL", "SETUSER", "app", "+evalsha", "+eval"),
    cause: /: NOPERM /
  },
  "the password was changed": {
    begin: (server) =>
      Effect.zipRight(
        tell("ACL", "SETUSER", "app", "resetpass", ">another")(server),
        tell("CLIENT", "KILL", "USER", "app")(server)
      ),
    end: tell("ACL", "SETUSER", "app", ">correct-horse"),
    cause: /: Redis is not connected: .*WRONGPASS /,
    meanwhile: time
  }
}

// Limits of the store and of a request pass by the test's clock alone; those of the connection only where all hangs
describe.concurrent("While Redis fails, requests are answered, and one warning says why", () => {
  for (const [name, { atStart, begin, cause, end, meanwhile = Effect.never }] of Object.entries(outages)) {
    const answered = Effect.raceFirst(meanwhile)

    it.scoped(name, () =>
      Effect.gen(function*() {
        const server = yield* OAuthServer.make()
        const redis = yield* RedisServer.make({
          args: ["--user", "app", "on", ">correct-horse", "~*", "&*", "+@all"]
        })
        const url = Redacted.make(`redis://app:correct-horse@127.0.0.1:${redis.port}`)
        const told = yield* tellsOf(yield* open({ url }))
        let scopes = 0

        /** A process of its own: its client, and what it logs. */
        const startProcess = (connectTimeout: Duration.DurationInput = hang) =>
          Effect.gen(function*() {
            const { log, messages } = Process.listen()
            const client = yield* log(Process.make(server, {
              redis: { ...patient, connectTimeout, url, redis: { connectionName: "process" } }
            }))
            /** Needs a token that no process has yet. */
            const request = Effect.gen(function*() {
              const response = yield* client.get("/resource").pipe(AuthedHttpClient.withTokenScope(`scope-${scopes++}`))
              assert.strictEqual(response.status, 200)
              return server.tokenRequests.length
            })
            return { messages, request: log(request) }
          })

        const { messages, request } = yield* startProcess()

        const storedValues = RedisServer.ask(redis.port, async (client): Promise<ReadonlyArray<string | null>> => {
          const keys = await client.keys("effect-alf:*")
          return keys.length === 0 ? [] : await client.mget(keys)
        })

        /** Until its token is in the store. */
        const requestAndStore = Effect.gen(function*() {
          const number = yield* request
          return (yield* storedValues).some((value) => Number(/token-(\d+)-/.exec(value ?? "")?.[1]) >= number)
        }).pipe(Effect.repeat({ until: (isStored) => isStored }))

        /** Lets the time pass for which a store that failed is left alone: what was asked of it has been answered. */
        const leaveAlone = RedisServer.ask(redis.port, (client) => client.ping()).pipe(
          Effect.ignore,
          Effect.repeatN(2),
          Effect.zipRight(TestClock.adjust("5 seconds"))
        )

        yield* requestAndStore
        deepStrictEqual(messages, [])

        yield* begin(redis)
        yield* answered(Effect.repeatN(request, 4))
        assert.lengthOf(messages, 1)

        // Where the connection is at that moment decides what the one process can say; one that starts now sees the cause
        const late = yield* atStart === undefined
          ? startProcess()
          : Effect.raceFirst(startProcess("1 second"), atStart)
        yield* answered(Effect.repeatN(late.request, 4))
        assert.lengthOf(late.messages, 1)
        assert.match([...messages, ...late.messages].join("\n"), cause)
        assert.notMatch([...messages, ...late.messages].join("\n"), /horse|token-\d/)

        yield* end(redis)
        yield* Effect.repeat(Effect.zipRight(leaveAlone, request), { until: () => messages.length > 1 })
        yield* requestAndStore
        deepStrictEqual(messages.slice(1), ["Token store is available again"])

        // Earlier listeners are notified again
        const before = told.length
        yield* Effect.repeat(Effect.zipRight(leaveAlone, request), { until: () => told.length > before })
      }).pipe(
        // A jitter of zero: TestClock fails at a fraction of a millisecond
        Effect.withRandom(Random.fixed([0.5]))
      ))
  }
})
