import type { OAuthError } from "@effect-alf/core"
import { MemcachedTokenStore } from "@effect-alf/node"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as ServerProcess from "@effect-alf/servers/ServerProcess"
import { assert, describe, it, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Duration, Effect, Fiber, Option } from "effect"
import { createServer, type Socket } from "node:net"
import { rowsEffect } from "../../core/test/support/Rows.js"
import {
  assertHides,
  entry,
  eventually,
  failureOf,
  makeProxy,
  open,
  spyOnConsole,
  stoppedTimers,
  turn,
  turnsUntil,
  turnsUntilDone,
  versionIn,
  write
} from "./MemcachedBench.js"

/** A proxy before a server, and its address. */
const makeProxied = Effect.gen(function*() {
  const server = yield* MemcachedServer.make()
  const port = yield* ServerProcess.freePort
  return { server, proxy: yield* makeProxy(server.port, { port }), servers: `127.0.0.1:${port}` }
})

// `open` gives the stores limits that only a hang reaches
describe("MemcachedTokenStore, a server that stops and restarts", () => {
  it.scopedLive("if the server is down at the start, the store is made, and works once the server is up", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      yield* server.kill
      const store = yield* open({ servers: server.address })
      const error = yield* failureOf(store.set("k", entry("v1", "the-payload"), Option.none()))
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.description, /^Memcached is not connected: .*ECONNREFUSED/)
      assertHides(error, "the-payload")
      yield* server.start()
      assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
    }))

  it.scopedLive("simultaneous calls make one connection", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      const store = yield* open({ servers })
      yield* Effect.replicateEffect(store.get("k"), 20, { concurrency: "unbounded" })
      assert.strictEqual(proxy.connections(), 1)
    }))

  it.scopedLive("after a kill and an empty restart no call hangs, and the store works again", () =>
    Effect.gen(function*() {
      const printed = yield* spyOnConsole
      const server = yield* MemcachedServer.make()
      const store = yield* open({ servers: server.address })
      for (let round = 0; round < 3; round++) {
        assert.isTrue(yield* write(store, "k"))
        yield* server.kill
        const errors = yield* Effect.all(Arr.makeBy(20, () => failureOf(store.get("k"))), { concurrency: "unbounded" })
        for (const error of errors) assert.match(error.description, /^Memcached is not connected/)
        yield* server.start()
        deepStrictEqual(yield* eventually(store.get("k")), Option.none())
      }
      deepStrictEqual(printed, [])
    }))

  it.scopedLive("reports an address that does not exist", () =>
    Effect.gen(function*() {
      const store = yield* open({ servers: "memcached://app:hunter2@memcached.invalid", connectTimeout: "1 second" })
      const error = yield* failureOf(store.get("k"))
      assert.match(error.description, /^Memcached is not connected: .*(ENOTFOUND|EAI_AGAIN|no answer in time)/)
      assertHides(error, "hunter2")
    }))

  it.scopedLive("a full server without eviction refuses an entry, and accepts it when there is room", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make({ args: ["-M", "-m", "2"] })
      const store = yield* open({ servers: server.address })
      const payload = "secret".repeat(1_000)
      const fill = (index: number): Effect.Effect<OAuthError.TokenStoreError> =>
        Effect.matchEffect(store.set(`filler-${index}`, entry("v", payload), Option.none()), {
          onFailure: Effect.succeed,
          onSuccess: () => fill(index + 1)
        })
      const error = yield* fill(0)
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.description, /^SERVER_ERROR out of memory storing object \(it is full, and may not evict\)$/)
      yield* MemcachedServer.ask(server.port, "flush_all")
      assert.isTrue(yield* store.set("k", entry("v", payload), Option.none()))
    }))

  it.scopedLive("a full server with eviction has the newest entry, and lost older ones", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make({ args: ["-m", "2"] })
      const store = yield* open({ servers: server.address })
      const payload = "x".repeat(100_000)
      const keys = Arr.makeBy(100, (index) => `key-${index}`)
      yield* Effect.forEach(keys, (key) => store.set(key, entry(key, payload), Option.none()))
      deepStrictEqual(yield* versionIn(store, keys[99]), Option.some(keys[99]))
      deepStrictEqual(yield* versionIn(store, keys[0]), Option.none())
      assert.isTrue(yield* store.set(keys[0], entry("again"), Option.some(keys[0])))
    }))

  it.scopedLive("closes its connections with the scope, whatever the server does", () =>
    Effect.gen(function*() {
      const { proxy, server, servers } = yield* makeProxied
      yield* Effect.scoped(Effect.flatMap(open({ servers }), (store) => store.get("k")))
      yield* Effect.repeat(turn, { until: () => proxy.open() === 0 })
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* open({ servers })
        yield* store.get("k")
        yield* server.pause
        yield* Effect.fork(store.get("k"))
        yield* turn
      }))
      yield* Effect.repeat(turn, { until: () => proxy.open() === 0 })
      yield* server.resume
    }))

  it.scopedLive("a call after the scope closed fails, and makes no connection", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      const store = yield* Effect.scoped(Effect.tap(open({ servers }), (store) => store.get("k")))
      const { description } = yield* failureOf(store.get("k"))
      assert.strictEqual(description, "Memcached is not connected: the store is closed")
      assert.strictEqual(proxy.connections(), 1)
    }))

  it.scopedLive("an interrupted call ends at once, and throws nothing later", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      const store = yield* open({ servers: server.address })
      yield* store.get("k")
      yield* server.pause
      const calls = yield* Effect.fork(Effect.all([store.get("k"), store.get("k")], { concurrency: "unbounded" }))
      yield* turn
      assert.isTrue(Option.isNone(yield* Fiber.poll(calls)))
      yield* Fiber.interrupt(calls)
      yield* server.resume
      yield* store.get("k")
    }))
})

describe("MemcachedTokenStore, another server than Memcached", () => {
  /** Answers whatever it is asked with the same text. */
  const makeForeign = (answer: string) =>
    Effect.gen(function*() {
      const port = yield* ServerProcess.freePort
      const sockets = new Set<Socket>()
      const asked: Array<string> = []
      yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((socket) => {
            sockets.add(socket.on("error", () => {}))
            socket.on("data", (chunk) => {
              asked.push(chunk.toString())
              socket.write(answer)
            })
          })
          server.listen({ port }, () => resume(Effect.succeed(server)))
        }),
        (server) =>
          Effect.async<void>((resume) => {
            for (const socket of sockets) socket.destroy()
            server.close(() => resume(Effect.void))
          })
      )
      return { asked, servers: `127.0.0.1:${port}` }
    })

  it.scopedLive("whatever it responds, a call fails, prints nothing, and does not send the payload", () =>
    Effect.gen(function*() {
      const printed = yield* spyOnConsole
      yield* rowsEffect(
        [
          "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
          "-ERR unknown command 'mn'\r\n",
          "SSH-2.0-OpenSSH_9.2\r\n",
          "ERROR\r\n",
          "SERVER_ERROR backend is away\r\n",
          "MN\r\n",
          "MN\r\nHD c1 t1\r\nVALUE k 0 99999999999\r\n",
          "MN\r\nHD c1 t1\r\nVALUE k 0 -7\r\nEND\r\nHD c1\r\n",
          "MN\r\nVALUE\r\nEND\r\nEND\r\n",
          "\r\n\r\n\r\n\r\n",
          "\u0000\u0015\u0003\u0001",
          "x".repeat(1_000_000)
        ],
        (answer) => JSON.stringify(answer.slice(0, 40)),
        (answer) =>
          Effect.gen(function*() {
            const { asked, servers } = yield* makeForeign(answer)
            const store = yield* MemcachedTokenStore.make({
              servers,
              connectTimeout: "200 millis",
              commandTimeout: "200 millis"
            })
            const error = yield* failureOf(store.set("k", entry("v1", "the-payload"), Option.none()))
            assert.strictEqual(error._tag, "TokenStoreError")
            assertHides(error, "the-payload", "OpenSSH", "Bad Request")
            assert.notInclude(asked.join(""), "the-payload")
          }).pipe(Effect.scoped)
      )
      deepStrictEqual(printed, [])
    }))
})

// They have the timers for themselves
describe("MemcachedTokenStore, a connection that goes silent, one test at a time", () => {
  const commandTimeout = "500 millis"
  const letItPass = Effect.sync(() => vi.advanceTimersByTime(Duration.toMillis(commandTimeout)))

  it.scopedLive("a connection whose peer vanished is replaced", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      yield* stoppedTimers
      const store = yield* open({ servers, commandTimeout, connectTimeout: commandTimeout })
      yield* write(store, "k")
      for (let round = 0; round < 2; round++) {
        const connections = proxy.connections()
        proxy.swallow()
        const lost = yield* Effect.fork(failureOf(store.get("k")))
        yield* turn
        yield* letItPass
        assert.strictEqual((yield* Fiber.join(lost)).reason, "Timeout")
        // A new connection that is silent too is replaced as well
        const next = yield* Effect.fork(failureOf(store.get("k")))
        yield* turnsUntil(() => proxy.connections() === connections + 1)
        yield* letItPass
        assert.match((yield* Fiber.join(next)).message, /no answer/)
        proxy.pass()
        deepStrictEqual(yield* versionIn(store, "k"), Option.some("v1"))
        assert.strictEqual(proxy.connections(), connections + 2)
      }
    }))

  it.scopedLive("the connection is replaced even if the caller was interrupted", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      yield* stoppedTimers
      const store = yield* open({ servers, commandTimeout })
      yield* write(store, "k")
      proxy.swallow()
      const lost = yield* Effect.fork(store.get("k"))
      yield* turn
      yield* Fiber.interrupt(lost)
      yield* letItPass
      proxy.pass()
      deepStrictEqual(yield* turnsUntilDone(versionIn(store, "k")), Option.some("v1"))
      assert.strictEqual(proxy.connections(), 2)
    }))

  it.scopedLive("a paused process reads the response that arrived meanwhile, and keeps its connection", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      yield* stoppedTimers
      const store = yield* open({ servers, commandTimeout })
      yield* write(store, "k")
      let stoodStill = false
      // The last of the answers to one look
      proxy.afterAnswer(/^HD [^]*HD c\d+\r\n$/, () => {
        vi.advanceTimersByTime(Duration.toMillis(commandTimeout))
        stoodStill = true
      })
      deepStrictEqual(yield* versionIn(store, "k"), Option.some("v1"))
      assert.isTrue(stoodStill)
      assert.strictEqual(proxy.connections(), 1)
    }))

  it.scopedLive("calls over the app's client have a time limit too", () =>
    Effect.gen(function*() {
      yield* stoppedTimers
      const store = yield* MemcachedTokenStore.fromClient({ getNodesByKey: () => new Promise(() => {}) }, {
        commandTimeout
      })
      const lost = yield* Effect.fork(failureOf(store.get("k")))
      yield* turn
      yield* letItPass
      const { description, reason } = yield* Fiber.join(lost)
      deepStrictEqual([reason, description], ["Timeout", "Memcached gave no answer within 500ms"])
    }))
})
