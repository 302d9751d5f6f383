import type { OAuthError } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Duration, Effect, Fiber, Option, Schedule, Stream } from "effect"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import {
  assertHides,
  becomes,
  connectionsOf,
  entry,
  eventually,
  failsWith,
  failureOf,
  hearsAgain,
  loadForLong,
  makeClient,
  makeProxy,
  open,
  spyOnConsole,
  stoppedTimers,
  type Store,
  tellsOf,
  turn,
  turnsUntil,
  turnsUntilDone,
  versionIn,
  write
} from "./RedisBench.js"

// Whatever these tests wait for ends without a time limit, or would do so only when all is over: `open` gives the stores
// limits that only a hang reaches
describe.concurrent("RedisTokenStore, a server that stops and restarts", () => {
  const readTwice = (store: Store) => Effect.zipRight(store.get("k"), store.get("k"))

  it.scopedLive("if the server is down at the start, the store is made, and works once the server is up", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* server.kill
      const store = yield* open({ url: server.url })
      const error = yield* failureOf(store.set("k", entry("v1", "the-payload"), Option.none()))
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.description, /^Redis is not connected: .*ECONNREFUSED/)
      assertHides(error, "the-payload")
      yield* server.start()
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("the first call does not fail while the client connects", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* Effect.forEach(
        Arr.range(1, 20),
        () => Effect.scoped(Effect.flatMap(open({ url: server.url }), readTwice)),
        { concurrency: 5 }
      )
    }))

  it.scopedLive("an address that does not exist", () =>
    Effect.gen(function*() {
      const store = yield* RedisTokenStore.make({
        url: "redis://:hunter2@redis.invalid",
        connectTimeout: "1 second",
        commandTimeout: hang
      })
      const error = yield* failureOf(store.get("k"))
      assert.match(error.description, /^Redis is not connected: .*(ENOTFOUND|EAI_AGAIN|connecting)/)
      assertHides(error, "hunter2")
    }))

  it.scopedLive("a server without TLS at a rediss URL", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({
        url: `rediss://127.0.0.1:${server.port}`,
        connectTimeout: "200 millis",
        commandTimeout: hang
      })
      assert.match((yield* failureOf(store.get("k"))).description, /^Redis is not connected: /)
    }))

  it.scopedLive("an interrupted call ends at once, and nothing is thrown later", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* open({ url: server.url })
      yield* server.pause
      const calls = yield* Effect.fork(Effect.all([store.get("k"), store.get("k")], { concurrency: "unbounded" }))
      yield* turn
      assert.isTrue(Option.isNone(yield* Fiber.poll(calls)))
      yield* Fiber.interrupt(calls)
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
        const store = yield* open({ url: server.url })
        yield* store.get("k")
        assert.strictEqual(yield* connected, 2)
        return store
      }))
      yield* Effect.repeat(connected, { until: (count) => count === 1, schedule: Schedule.spaced("10 millis") })
      assert.match((yield* failureOf(store.get("k"))).description, /^Redis is not connected/)

      yield* Effect.scoped(
        Effect.zipRight(open({ url: server.url, redis: { disconnectTimeout: hang } }), server.pause)
      )
      yield* server.kill
      yield* Effect.scoped(open({ url: server.url }))
    }))

  it.live("connections that close before any response are replaced until one stays open", () =>
    rowsEffect(
      [["without a name", {}], ["with a name", { connectionName: "app" }]] as const,
      ([name]) => name,
      ([_, options]) =>
        Effect.gen(function*() {
          const server = yield* RedisServer.make()
          const proxy = yield* makeProxy(server.port)
          proxy.refuse()
          const store = yield* RedisTokenStore.make({
            connectTimeout: "200 millis",
            commandTimeout: hang,
            redis: { path: proxy.path, ...options }
          })
          yield* becomes(() => proxy.connections() > 3)
          proxy.pass()
          assert.isTrue(yield* eventually(write(store, "k")))
        })
    ))

  it.scopedLive("options are passed to ioredis, except those that make it wait", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* open({
        url: server.url,
        redis: {
          keyPrefix: "raw:",
          enableOfflineQueue: true,
          maxRetriesPerRequest: null,
          commandTimeout: hang,
          autoResendUnfulfilledCommands: true,
          retryStrategy: () => null
        }
      })
      yield* store.set("k", entry("v1"), Option.none())
      const client = yield* makeClient(server.url, { retryStrategy: () => null })
      assert.strictEqual(yield* Effect.promise(() => client.exists("raw:effect-alf:{k}")), 1)
      yield* server.kill
      assert.strictEqual((yield* failureOf(store.get("k")))._tag, "TokenStoreError")
      yield* server.start()
      yield* eventually(store.get("k"))
    }))
})

// They run alone, as they replace the console or the timers
describe("RedisTokenStore, a server that stops and restarts, one test at a time", () => {
  const commandTimeout = "500 millis"

  const letItPass = Effect.sync(() => vi.advanceTimersByTime(Duration.toMillis(commandTimeout)))

  it.scopedLive("if the server is killed, calls fail at once; it works again after a restart", () =>
    Effect.gen(function*() {
      const printed = yield* spyOnConsole
      const server = yield* RedisServer.make()
      const store = yield* open({ url: server.url })
      for (let round = 0; round < 3; round++) {
        assert.isTrue(yield* write(store, "k"))
        yield* server.kill
        const errors = yield* Effect.all(Arr.makeBy(20, () => failureOf(store.get("k"))), { concurrency: "unbounded" })
        for (const error of errors) assert.match(error.description, /^Redis is not connected/)
        yield* server.start()
        yield* eventually(store.get("k"))
      }
      deepStrictEqual(printed, [])
    }))

  it.scopedLive("nothing is printed about missing permissions or a needless password", () =>
    Effect.gen(function*() {
      const printed = yield* spyOnConsole
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      yield* Effect.promise(() =>
        client.acl("SETUSER", "app", "on", ">correct-horse", "~*", "+@all", "-info", "-client", "resetchannels")
      )
      for (const credentials of ["app:correct-horse", ":needless"]) {
        const store = yield* open({ url: `redis://${credentials}@127.0.0.1:${server.port}` })
        yield* tellsOf(store)
        for (let round = 0; round < 3; round++) {
          yield* eventually(store.get("k"))
          yield* Effect.promise(() => client.client("KILL", "SKIPME", "yes"))
        }
      }
      deepStrictEqual(printed, [])
    }))

  it.scopedLive("a connection that does not answer is replaced", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* makeProxy(server.port)
      yield* stoppedTimers
      const store = yield* open({ redis: { path: proxy.path }, commandTimeout })
      yield* write(store, "k")
      proxy.swallow()
      const lost = yield* Effect.fork(failureOf(store.get("k")))
      yield* turn
      yield* letItPass
      assert.strictEqual((yield* Fiber.join(lost)).reason, "Timeout")
      /** What is left of the old connection has a time to end, and there is one before the next is made. */
      const anew = (count: number) =>
        turnsUntil(() => {
          if (proxy.connections() < count) vi.advanceTimersByTime(10)
          return proxy.connections() === count
        })
      // No call is needed to detect that the next connection is silent too
      for (const count of [2, 3]) {
        yield* anew(count)
        const error = yield* failureOf(store.get("k"))
        assert.match(error.description, /^Redis is not connected: /)
      }
      proxy.pass()
      yield* anew(4)
      deepStrictEqual(yield* turnsUntilDone(versionIn(store, "k")), Option.some("v1"))
      assert.strictEqual(proxy.connections(), 4)
    }))

  it.scopedLive("a response lost with its connection does not affect the next call", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* makeProxy(server.port)
      yield* stoppedTimers
      const store = yield* open({ redis: { path: proxy.path }, commandTimeout })
      proxy.swallow()
      const lost = yield* Effect.fork(failureOf(store.get("k")))
      yield* turn
      proxy.pass()
      proxy.cut()
      yield* turnsUntil(() => {
        if (proxy.connections() < 2) vi.advanceTimersByTime(1)
        return proxy.connections() === 2
      })
      yield* turnsUntilDone(store.get("k"))
      // Nor is it waited for
      assert.match((yield* Fiber.join(lost)).description, /^Redis is not connected: /)
      yield* letItPass
      yield* turn
      yield* store.get("k")
      assert.strictEqual(proxy.connections(), 2)
    }))

  it.scopedLive("a paused process reads the response that arrived, and keeps its connection", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const proxy = yield* makeProxy(server.port)
      yield* stoppedTimers
      const own = yield* open({ redis: { path: proxy.path, connectionName: "own" }, commandTimeout })
      const app = yield* makeClient(proxy.path, { connectionName: "app" })
      const overApp = yield* RedisTokenStore.fromClient(app, { commandTimeout })
      yield* write(own, "k")
      yield* Effect.promise(() => app.ping())
      const connections = connectionsOf(client, /name=(own|app)/)
      const before = yield* connections
      assert.lengthOf(before, 2)
      for (const store of [own, overApp]) {
        // The second time the answer is that the script is unknown
        for (const prepare of [() => client.ping(), () => client.script("FLUSH")]) {
          yield* Effect.promise<unknown>(prepare)
          let stoodStill = false
          proxy.afterAnswer(/./, () => {
            vi.advanceTimersByTime(Duration.toMillis(commandTimeout))
            stoodStill = true
          })
          deepStrictEqual(yield* versionIn(store, "k"), Option.some("v1"))
          assert.isTrue(stoodStill)
          deepStrictEqual(yield* versionIn(store, "k"), Option.some("v1"))
        }
      }
      deepStrictEqual(yield* connections, before)
    }))
})

describe.concurrent("RedisTokenStore, a running server that does not respond", () => {
  const secret = "the-secret-payload"

  it.scopedLive("LOADING, until it has loaded", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* loadForLong(server)
      const connectTimeout = "200 millis"
      const waiting = yield* open({ url: server.url, connectTimeout })
      // Before that it may still connect
      yield* failsWith(waiting.get("k"), /^LOADING /)
      const error = yield* failureOf(waiting.set("k", entry("v1", secret), Option.none()))
      assert.match(error.description, /^LOADING Redis is loading the dataset in memory$/)
      assert.strictEqual(error.reason, "Unavailable")
      assertHides(error, secret)
      const appClient = yield* makeClient(server.url, { enableReadyCheck: false })
      yield* Effect.promise(() => new Promise<void>((resolve) => appClient.once("ready", () => resolve())))
      const unready = yield* RedisTokenStore.fromClient(appClient, { commandTimeout: hang })
      assert.match((yield* failureOf(unready.get("k"))).description, /^LOADING /)
      const store = yield* open({ url: server.url, connectTimeout })
      yield* Effect.promise(() => appClient.config("SET", "key-load-delay", "0"))
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("every call is bounded while the server is stopped; it works again afterwards", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({ url: server.url, commandTimeout: "200 millis" })
      const slower = yield* RedisTokenStore.make({ url: server.url, commandTimeout: "800 millis" })
      yield* eventually(slower.get("k"))
      yield* eventually(write(store, "k"))
      yield* server.pause
      const calls: ReadonlyArray<Effect.Effect<unknown, OAuthError.TokenStoreError>> = [
        store.get("k"),
        store.set("k", entry("v2", "the-payload"), Option.some("v1")),
        store.remove("k", "v1"),
        store.acquireLease("k", "a", Duration.hours(1)),
        store.extendLease("k", "a", Duration.hours(1)),
        store.releaseLease("k", "a")
      ]
      // Timers end in the order of their times, however late
      const ended: Array<string> = []
      const errors = yield* Effect.all(
        [...calls, slower.get("k")].map((call, index) =>
          Effect.tap(failureOf(call), () => ended.push(index < calls.length ? "quick" : "slow"))
        ),
        { concurrency: "unbounded" }
      )
      deepStrictEqual(ended, [...calls.map(() => "quick"), "slow"])
      for (const error of errors.slice(0, calls.length)) {
        assert.strictEqual(error.description, "Redis gave no answer within 200ms")
        assert.strictEqual(error.reason, "Timeout")
        assertHides(error, "the-payload")
      }
      // Also for a process that starts now: nothing else would end its wait
      yield* Effect.scoped(
        RedisTokenStore.make({ url: server.url, connectTimeout: "200 millis", commandTimeout: hang })
      )
      yield* server.resume
      yield* eventually(store.get("k"))
    }))
})

describe.concurrent("RedisNotices, a server that stops and restarts", () => {
  it.scopedLive("the stream stays open while the server is down, and reports changes once it is back", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* server.kill
      const quick = { url: server.url, connectTimeout: "200 millis", commandTimeout: "200 millis" } as const
      const store = yield* RedisTokenStore.make(quick)
      const other = yield* RedisTokenStore.make(quick)
      const open = yield* Effect.forkScoped(Stream.runDrain(store.changes))
      const told = yield* tellsOf(store)
      yield* server.start()
      yield* hearsAgain(told, other)
      yield* server.kill
      yield* server.start()
      yield* hearsAgain(told, other)
      yield* server.pause
      yield* failureOf(other.get("k"))
      yield* server.resume
      yield* hearsAgain(told, other)
      // A connection that begins while the server is stopped
      yield* server.pause
      const third = yield* RedisTokenStore.make(quick)
      const late = yield* tellsOf(third)
      yield* failureOf(third.get("k"))
      yield* server.resume
      yield* hearsAgain(late, other)
      assert.isTrue(Option.isNone(yield* Fiber.poll(open)))
    }))
})
