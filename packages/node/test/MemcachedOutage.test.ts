import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import type { ServerError } from "@effect-alf/servers/ServerError"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Random, TestClock } from "effect"
import * as MemcachedApp from "./MemcachedApp.js"
import { timePasses } from "./timePasses.js"

type Server = MemcachedServer.MemcachedServer

interface Outage {
  readonly begin: (server: Server) => Effect.Effect<unknown, ServerError>
  readonly end: (server: Server) => Effect.Effect<unknown, ServerError>
  /** What the warning says. */
  readonly cause: RegExp
}

const time = timePasses("100 millis")

const outages: Record<string, Outage> = {
  "the server is down, and restarts empty": {
    begin: (server) => server.kill,
    end: (server) => server.start(),
    cause: /: Memcached is not connected: (connect ECONNREFUSED|Connection closed)/
  },
  "it hangs": {
    begin: (server) => server.pause,
    end: (server) => server.resume,
    cause: /: no answer within 500ms/
  }
}

// Limits of the store and of a request pass by the test's clock alone
describe.concurrent("While Memcached fails, requests are answered, and one warning says why", () => {
  for (const [name, { begin, cause, end }] of Object.entries(outages)) {
    it.scoped(name, () =>
      Effect.gen(function*() {
        const memcached = yield* MemcachedServer.make()
        const { processes: [one, other], request } = yield* MemcachedApp.make({ servers: memcached.address })
        const leaveAlone = MemcachedServer.ask(memcached.port).pipe(
          Effect.ignore,
          Effect.repeatN(2),
          Effect.zipRight(TestClock.adjust("5 seconds"))
        )
        assert.strictEqual(yield* request, 1)
        deepStrictEqual([one.messages, other.messages], [[], []])

        yield* begin(memcached)
        deepStrictEqual(yield* Effect.raceFirst(Effect.replicateEffect(request, 3), time), [2, 2, 2])
        for (const { messages } of [one, other]) {
          assert.lengthOf(messages, 1)
          assert.match(messages[0], cause)
          assert.notMatch(messages[0], /token-\d/)
        }

        yield* end(memcached)
        yield* Effect.repeat(Effect.zipRight(leaveAlone, Effect.raceFirst(request, time)), {
          until: () => one.messages.length > 1 && other.messages.length > 1
        })
        for (const { messages } of [one, other]) deepStrictEqual(messages.slice(1), ["Token store is available again"])
        yield* Effect.repeat(request, { until: (requests) => requests === 1 })
      }).pipe(
        // A jitter of zero: TestClock fails at a fraction of a millisecond
        Effect.withRandom(Random.fixed([0.5]))
      ))
  }
})
