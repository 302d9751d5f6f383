import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as ClockAhead from "./ClockAhead.js"
import * as Process from "./Process.js"
import { makeProxy, patient } from "./RedisBench.js"
import { fitIntoOneSecond } from "./slowAnswers.js"

describe.concurrent("RedisTokenStore, under traffic", () => {
  // Time stands still: nobody waits for a limit
  it.scoped("rule 8: a lease without expiry is taken over, whatever its type, and nobody waits", () =>
    Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      const { clients, log, messages, server } = yield* Process.makeTwo({ redis: { ...patient, url: redis.url } })
      const get = log(Effect.forEach(clients, (client) => client.get("/"), { concurrency: "unbounded" }))
      // A process that waits for the other is notified of its token, or never looks again
      yield* Effect.repeat(RedisServer.ask(redis.port, (client) => client.pubsub("NUMSUB", "effect-alf:changes")), {
        until: ([_, count]) => Number(count) === clients.length
      })
      yield* get
      const [key] = yield* RedisServer.ask(redis.port, (client) => client.keys("effect-alf:*"))
      const lease = `${key}#lease`
      const leaseWith: ReadonlyArray<ReadonlyArray<string>> = [
        ["SET", lease, "x"],
        ["SET", lease, "x", "EX", "3600"],
        ["RPUSH", lease, "x"]
      ]
      for (const [name, ...args] of leaseWith) {
        yield* RedisServer.ask(redis.port, (client) => client.call(name, ...args))
        server.revokeAll()
        const responses = yield* get
        deepStrictEqual(responses.map(({ status }) => status), [200, 200])
        yield* Effect.repeat(RedisServer.ask(redis.port, (client) => client.exists(lease)), {
          until: (count) => count === 0
        })
      }
      assert.isAtMost(server.tokenRequests.length, 1 + 2 * leaseWith.length)
      deepStrictEqual(messages.filter(Process.isWarning), [])
    }))

  it.scopedLive("rule 8: no request fails while all keys are overwritten again and again", () =>
    Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      const { clients, log, messages, request, server } = yield* Process.makeTwo({
        storeTimeout: hang,
        redis: { ...patient, url: redis.url }
      })
      const overwrite = RedisServer.ask(redis.port, async (client) => {
        const keys = await client.keys("effect-alf:*")
        await Promise.all(keys.flatMap((key) => [client.set(key, "x"), client.set(`${key}#lease`, "x")]))
      })
      const get = Effect.suspend(() => {
        server.revokeAll()
        return Effect.forEach(clients, (client) => client.get("/"), { concurrency: "unbounded" })
      })
      const statuses = yield* log(Effect.raceFirst(
        Effect.forever(overwrite),
        Effect.map(Effect.replicateEffect(get, 100), (all) => all.flat().map(({ status }) => status))
      ))
      assert.lengthOf(statuses, 200)
      deepStrictEqual(messages.filter(Process.isWarning), [])
      yield* Effect.repeat(request, { until: (requests) => requests === 1 })
    }))

  it.scopedLive("rule 8: no request fails while the network drops everything, and afterwards the token is shared again", () =>
    Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      const proxy = yield* makeProxy(redis.port)
      const processes = yield* Process.makeTwo({
        // They have to detect that the server does not respond
        redis: { connectTimeout: "500 millis", commandTimeout: "500 millis", redis: { path: proxy.path } }
      })
      yield* Process.surviveDrops(proxy, processes)
    }).pipe(ClockAhead.provide))

  it.scoped("rule 8: a request waits for slow responses no longer than the limit for one", () =>
    Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      const proxy = yield* makeProxy(redis.port)
      const { messages, request, server: { tokenRequests } } = yield* Process.makeTwo({
        storeTimeout: "1 second",
        redis: { ...patient, redis: { path: proxy.path } }
      })
      yield* fitIntoOneSecond({ proxy, miss: /\$-1/, request, messages: () => messages, tokenRequests })
    }))
})
