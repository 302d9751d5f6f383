import { type OAuthError } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Duration, Effect, Fiber, Option, Schedule } from "effect"
import {
  assertHides,
  connectionsOf,
  entry,
  eventually,
  failureOf,
  makeClient,
  makeProxy,
  spyOnConsole,
  standStill,
  type Store,
  versionIn
} from "./RedisBench.js"

describe("RedisTokenStore, a server that comes and goes", () => {
  const quick = { connectTimeout: "1 second", commandTimeout: "500 millis" } as const

  const readTwice = (store: Store) => Effect.zipRight(store.get("k"), store.get("k"))

  it.scopedLive("down at the start: the store can be made, and works when the server is there", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* server.kill
      const [took, store] = yield* Effect.timed(RedisTokenStore.make({ url: server.url, ...quick }))
      assert.isBelow(Duration.toMillis(took), 1_500)
      const error = yield* failureOf(store.set("k", entry("v1", "the-payload"), Option.none()))
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.description, /^Redis is not connected: .*ECONNREFUSED/)
      assertHides(error, "the-payload")
      yield* server.start()
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("the first call after the start does not fail because the connect is under way", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* Effect.forEach(
        Arr.range(1, 20),
        () => Effect.scoped(Effect.flatMap(RedisTokenStore.make({ url: server.url }), readTwice)),
        { concurrency: 5 }
      )
    }))

  it.scopedLive("an address that does not exist", () =>
    Effect.gen(function*() {
      const store = yield* RedisTokenStore.make({ url: "redis://:hunter2@redis.invalid", ...quick })
      const error = yield* failureOf(store.get("k"))
      assert.match(error.description, /^Redis is not connected: .*(ENOTFOUND|EAI_AGAIN|connecting)/)
      assertHides(error, "hunter2")
    }))

  it.scopedLive("killed and back: no answer is waited for in vain, and it works again by itself", () =>
    Effect.gen(function*() {
      const printed = yield* spyOnConsole
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({ url: server.url, ...quick })
      for (let round = 0; round < 3; round++) {
        assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
        yield* server.kill
        const [took, errors] = yield* Effect.timed(
          Effect.all(Arr.makeBy(20, () => failureOf(store.get("k"))), { concurrency: "unbounded" })
        )
        assert.isBelow(Duration.toMillis(took), 2_000)
        for (const error of errors) assert.match(error.description, /^Redis (is not connected|gave no answer)/)
        yield* server.start()
        yield* eventually(store.get("k"))
      }
      deepStrictEqual(printed, [])
    }))

  it.scopedLive("stopped by SIGSTOP: every call is bounded; it works again after SIGCONT", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({ url: server.url, ...quick })
      yield* store.set("k", entry("v1"), Option.none())
      yield* server.pause
      const calls: ReadonlyArray<Effect.Effect<unknown, OAuthError.TokenStoreError>> = [
        store.get("k"),
        store.set("k", entry("v2", "the-payload"), Option.some("v1")),
        store.remove("k", "v1"),
        store.acquireLease("k", "a", Duration.seconds(3)),
        store.extendLease("k", "a", Duration.seconds(3)),
        store.releaseLease("k", "a")
      ]
      const [took, errors] = yield* Effect.timed(Effect.all(calls.map(failureOf), { concurrency: "unbounded" }))
      assert.isBelow(Duration.toMillis(took), 2_000)
      for (const error of errors) {
        assert.strictEqual(error.description, "Redis gave no answer within 500ms")
        assert.strictEqual(error.reason, "Timeout")
        assertHides(error, "the-payload")
      }
      // Also for a process that starts now
      const [tookToMake] = yield* Effect.timed(Effect.scoped(RedisTokenStore.make({ url: server.url, ...quick })))
      assert.isBelow(Duration.toMillis(tookToMake), 2_500)
      yield* server.resume
      yield* eventually(store.get("k"))
    }))

  it.scopedLive("a connection whose other end vanished is given up for a new one", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* makeProxy(server.port)
      const store = yield* RedisTokenStore.make({ url: `redis://127.0.0.1:${proxy.port}`, ...quick })
      yield* store.set("k", entry("v1"), Option.none())
      proxy.swallow()
      assert.strictEqual((yield* failureOf(store.get("k"))).reason, "Timeout")
      deepStrictEqual(yield* eventually(versionIn(store, "k")), Option.some("v1"))
      assert.strictEqual(proxy.connections(), 2)
    }))

  it.scopedLive("a process that stood still reads the answer that came meanwhile, and keeps its connection", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const commandTimeout = "300 millis"
      const own = yield* RedisTokenStore.make({ url: server.url, commandTimeout, redis: { connectionName: "own" } })
      const app = yield* makeClient(server.url, { connectionName: "app" })
      const overApp = yield* RedisTokenStore.fromClient(app, { commandTimeout })
      yield* own.set("k", entry("v1"), Option.none())
      const connections = connectionsOf(client, /name=(own|app)/)
      const before = yield* connections
      assert.lengthOf(before, 2)
      for (const store of [own, overApp]) {
        // The second time the answer is that the script is unknown
        for (const prepare of [() => client.ping(), () => client.script("FLUSH")]) {
          yield* Effect.promise<unknown>(prepare)
          const found = yield* Effect.fork(versionIn(store, "k"))
          yield* Effect.sync(() => setImmediate(standStill, 350))
          deepStrictEqual(yield* Fiber.join(found), Option.some("v1"))
          deepStrictEqual(yield* versionIn(store, "k"), Option.some("v1"))
        }
      }
      deepStrictEqual(yield* connections, before)
    }))

  it.scopedLive("an answer that was lost with its connection does not cost the next one", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* makeProxy(server.port)
      const store = yield* RedisTokenStore.make({ url: `redis://127.0.0.1:${proxy.port}`, ...quick })
      proxy.swallow()
      const lost = yield* Effect.fork(Effect.flip(store.get("k")))
      yield* Effect.yieldNow()
      proxy.cut()
      yield* eventually(store.get("k"))
      assert.strictEqual((yield* Fiber.join(lost)).reason, "Timeout")
      yield* store.get("k")
      assert.strictEqual(proxy.connections(), 2)
    }))

  it.scopedLive("a server that does not speak TLS where the url says rediss", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({ url: `rediss://127.0.0.1:${server.port}`, ...quick })
      assert.match((yield* failureOf(store.get("k"))).description, /^Redis is not connected: /)
    }))

  it.scopedLive("a call that is interrupted is left at once, and nothing is thrown afterwards", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({ url: server.url, ...quick })
      yield* server.pause
      const [took] = yield* Effect.timed(
        Effect.all([store.get("k"), store.get("k")], { concurrency: "unbounded" }).pipe(
          Effect.timeoutOption("20 millis")
        )
      )
      assert.isBelow(Duration.toMillis(took), 400)
      yield* server.resume
      yield* eventually(store.get("k"))
    }))

  it.scopedLive("the connection is closed with the scope, whatever the server does", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const connected = Effect.map(
        Effect.promise(() => client.client("LIST") as Promise<string>),
        (list) => list.trim().split("\n").length
      )
      const store = yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* RedisTokenStore.make({ url: server.url, ...quick })
        yield* store.get("k")
        assert.strictEqual(yield* connected, 2)
        return store
      }))
      yield* Effect.repeat(connected, { until: (count) => count === 1, schedule: Schedule.spaced("10 millis") })
      assert.match((yield* failureOf(store.get("k"))).description, /^Redis is not connected/)

      const [took] = yield* Effect.timed(Effect.scoped(
        Effect.zipRight(RedisTokenStore.make({ url: server.url, ...quick }), server.pause)
      ))
      assert.isBelow(Duration.toMillis(took), 1_000)
      yield* server.kill
      yield* Effect.scoped(RedisTokenStore.make({ url: server.url, ...quick }))
    }))

  it.scopedLive("options of ioredis reach it, but none that would make it wait", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({
        url: server.url,
        ...quick,
        redis: {
          keyPrefix: "raw:",
          enableOfflineQueue: true,
          maxRetriesPerRequest: null,
          commandTimeout: 60_000,
          autoResendUnfulfilledCommands: true,
          retryStrategy: () => null
        }
      })
      yield* store.set("k", entry("v1"), Option.none())
      const client = yield* makeClient(server.url, { retryStrategy: () => null })
      client.on("error", () => {})
      assert.strictEqual(yield* Effect.promise(() => client.exists("raw:effect-alf:{k}")), 1)
      yield* server.kill
      const [took, error] = yield* Effect.timed(failureOf(store.get("k")))
      assert.isBelow(Duration.toMillis(took), 2_000)
      assert.strictEqual(error._tag, "TokenStoreError")
      yield* server.start()
      yield* eventually(store.get("k"))
    }))
})
