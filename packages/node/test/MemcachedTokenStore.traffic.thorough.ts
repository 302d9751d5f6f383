import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as ServerProcess from "@effect-alf/servers/ServerProcess"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Schedule } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as ClockAhead from "./ClockAhead.js"
import * as MemcachedApp from "./MemcachedApp.js"
import { makeProxy } from "./MemcachedBench.js"
import * as Process from "./Process.js"
import { fitIntoOneSecond } from "./slowAnswers.js"

/** An app over a server with a proxy between. */
const makeProxied = Effect.gen(function*() {
  const memcached = yield* MemcachedServer.make()
  const port = yield* ServerProcess.freePort
  return { proxy: yield* makeProxy(memcached.port, { port }), servers: `127.0.0.1:${port}` }
})

describe.concurrent("MemcachedTokenStore, under traffic", () => {
  it.scopedLive("rule 10: while a token is valid, requests cost no command", () =>
    Effect.gen(function*() {
      const memcached = yield* MemcachedServer.make()
      const { processes: [{ get }] } = yield* MemcachedApp.make({ servers: memcached.address })
      yield* get("scope")
      // What follows the first request in the background has ended
      yield* Effect.repeat(MemcachedServer.items(memcached.port), {
        until: (items) => items.length > 0 && !items.some(({ key }) => key.includes(":lease:"))
      })
      const before = yield* MemcachedServer.commands(memcached.port)
      for (const name of ["cmd_get", "cmd_set"]) assert.isAbove(before.get(name) ?? 0, 0, name)
      yield* Effect.replicateEffect(get("scope"), 100)
      deepStrictEqual(yield* MemcachedServer.commands(memcached.port), before)
    }))

  it.scopedLive("rule 8: after an empty restart the held token serves, and the next one is shared again", () =>
    Effect.gen(function*() {
      const memcached = yield* MemcachedServer.make()
      const { processes, request, server } = yield* MemcachedApp.make({ servers: memcached.address })
      for (const { get } of processes) yield* get("scope")
      yield* memcached.kill
      yield* memcached.start()
      for (const { get } of processes) yield* get("scope")
      assert.strictEqual(server.tokenRequests.length, 1)
      yield* Process.untilShared(request)
    }).pipe(ClockAhead.provide))

  it.scopedLive("rule 4: a restored old value costs one token request, and no failed call", () =>
    Effect.gen(function*() {
      const memcached = yield* MemcachedServer.make()
      const { processes: [one, other], server, start } = yield* MemcachedApp.make({ servers: memcached.address })
      yield* one.get("scope")
      const [{ key }] = (yield* MemcachedServer.items(memcached.port)).filter(({ key }) => /:entry:[^#]*$/.test(key))
      const value = (yield* MemcachedServer.ask(memcached.port, `get ${key}`)).split("\r\n")[1]
      server.revokeAll()
      yield* one.get("scope")
      yield* other.get("scope")
      assert.strictEqual(server.tokenRequests.length, 2)
      yield* MemcachedServer.ask(memcached.port, `ms ${key} ${Buffer.byteLength(value)} T3600`, value)
      // A process that holds a token keeps it; a new process finds the old one, and requests a token once
      yield* one.get("scope")
      const late = yield* start
      yield* late.get("scope")
      yield* late.get("scope")
      assert.isAtMost(server.tokenRequests.length, 3)
    }))

  it.scopedLive("rule 8: no request fails while another program overwrites all entries", () =>
    Effect.gen(function*() {
      const memcached = yield* MemcachedServer.make()
      const { messages, request } = yield* MemcachedApp.make({ servers: memcached.address }, { storeTimeout: hang })
      const overwrite = Effect.flatMap(
        MemcachedServer.items(memcached.port),
        (items) => MemcachedServer.ask(memcached.port, ...items.flatMap(({ key }) => [`ms ${key} 1 T0`, "x"]))
      )
      yield* Effect.raceFirst(
        Effect.repeat(overwrite, Schedule.spaced("3 millis")),
        Effect.replicateEffect(request, 25)
      )
      deepStrictEqual(messages().filter(Process.isWarning), [])
      yield* Effect.repeat(request, { until: (requests) => requests === 1 })
    }))

  it.scopedLive("rule 8: no request fails while the network drops everything, and afterwards the token is shared again", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      const { messages, processes, request } = yield* MemcachedApp.make({ servers, commandTimeout: "600 millis" })
      yield* Process.untilShared(request)
      proxy.swallow()
      const haveWarned = () => processes.every(({ messages }) => Process.isWarning(messages.at(-1) ?? ""))
      yield* Process.repeat(request, haveWarned)
      const before = messages()
      yield* Effect.replicateEffect(request, 5)
      deepStrictEqual(messages(), before)
      proxy.pass()
      yield* Process.untilShared(request)
    }).pipe(ClockAhead.provide))

  it.scoped("rule 8: a request waits for slow responses no longer than the limit for one", () =>
    Effect.gen(function*() {
      const { proxy, servers } = yield* makeProxied
      const { messages, request, server: { tokenRequests } } = yield* MemcachedApp.make(
        { servers },
        { storeTimeout: "1 second" }
      )
      yield* fitIntoOneSecond({ proxy, miss: /^EN/m, request, messages, tokenRequests })
    }))
})
