import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Either, Fiber, Option, Schedule, Stream, TestClock } from "effect"
import type { Redis } from "ioredis"
import { hang } from "../../../core/test/support/hang.js"
import { shared } from "../../../core/test/support/shared.js"
import {
  becomes,
  failureOf,
  hears,
  hearsAgain,
  listen,
  makeClient,
  makeProxy,
  makeStore,
  newKey,
  open,
  Shared,
  sharedClient,
  stoppedTimers,
  subscribers,
  tellsOf,
  turn,
  turnsUntil,
  write
} from "../RedisBench.js"

shared(Shared.layer)("RedisNotices", (it) => {
  it.scopedLive("reports writes and removals to all other processes, and nothing else", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const client = yield* sharedClient
      const [writer, one, two] = yield* Effect.all([makeStore(), makeStore(), makeStore()])
      const own = yield* listen(writer, client, `${prefix}changes`)
      const first = yield* listen(one, client, `${prefix}changes`)
      const second = yield* listen(two, client, `${prefix}changes`)
      const key = newKey()
      yield* write(writer, key)
      assert.isFalse(yield* write(writer, key))
      assert.isFalse(yield* writer.remove(key, "another"))
      yield* writer.remove(key, "v1")
      yield* writer.acquireLease(key, "a", Duration.hours(1))
      yield* writer.extendLease(key, "a", Duration.hours(1))
      yield* writer.releaseLease(key, "a")
      yield* write(writer, `${key}#pace`)
      yield* writer.remove(`${key}#pace`, "v1")
      const last = "Schlüssel mit Leerzeichen\nund Zeilen"
      yield* write(writer, last)
      yield* hears(first.told, last)
      yield* hears(second.told, last)
      deepStrictEqual(first.told, [key, key, last])
      deepStrictEqual(second.told, [key, key, last])
      yield* write(one, newKey())
      yield* becomes(() => own.told.length === 1)
      yield* writer.remove(last, "v1")
    }))

  it.scopedLive("another prefix is another channel", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const client = yield* sharedClient
      const other = yield* makeStore({ prefix: `${prefix}other:` })
      const store = yield* makeStore()
      const { told } = yield* listen(store, client, `${prefix}changes`)
      yield* write(other, newKey())
      const key = newKey()
      yield* write(yield* makeStore(), key)
      yield* hears(told, key)
      deepStrictEqual(told, [key])
    }))

  it.scopedLive("other messages are ignored", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const client = yield* sharedClient
      const { told } = yield* listen(yield* makeStore(), client, `${prefix}changes`)
      const sender = "00000000-0000-0000-0000-000000000000"
      for (const message of ["", " ", "key", sender, `${sender} `, `${sender}key`, Buffer.from([0xff, 0xfe, 0x20])]) {
        yield* Effect.promise(() => client.publish(`${prefix}changes`, message))
      }
      yield* Effect.promise(() => client.publish(`${prefix}changes`, `${sender} the key`))
      yield* hears(told, "the key")
      deepStrictEqual(told, ["the key"])
    }))

  it.scopedLive("a key prefix of the client is also used for the channel", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* Shared
      const client = yield* sharedClient
      const inner = yield* makeStore({ prefix: "inner:", redis: { keyPrefix: prefix } })
      const app = yield* makeClient(url, { keyPrefix: prefix })
      const overApp = yield* RedisTokenStore.fromClient(app, { commandTimeout: hang, prefix: "inner:" })
      const outer = yield* makeStore({ prefix: `${prefix}inner:` })
      const ofInner = yield* listen(inner, client, `${prefix}inner:changes`)
      const ofApp = yield* listen(overApp, client, `${prefix}inner:changes`)
      const key = newKey()
      yield* write(outer, key)
      yield* hears(ofInner.told, key)
      yield* hears(ofApp.told, key)
    }))

  it.scopedLive("with the app's client: uses a connection of its own, and leaves the client unchanged", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* Shared
      const client = yield* sharedClient
      const app = yield* makeClient(url, { maxRetriesPerRequest: null, reconnectOnError: () => true })
      yield* Effect.promise(() => app.ping())
      const listeners = () => app.eventNames().map((event) => app.listenerCount(event))
      const before = listeners()
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* RedisTokenStore.fromClient(app, { commandTimeout: hang, prefix })
        const { told } = yield* listen(store, client, `${prefix}changes`)
        const key = newKey()
        yield* write(yield* makeStore(), key)
        yield* hears(told, key)
        deepStrictEqual(listeners(), before)
        assert.strictEqual(app.mode, "normal")
      }))
      yield* Effect.repeat(subscribers(client, `${prefix}changes`), { until: (count) => count === 0 })
      assert.strictEqual(yield* Effect.promise(() => app.ping()), "PONG")
    }))

  it.scopedLive("a store over another client library reports changes, and receives none", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const client = yield* sharedClient
      const another = {
        evalsha: client.evalsha.bind(client),
        eval: client.eval.bind(client),
        duplicate: () => assert.fail("of another library")
      }
      const store = yield* RedisTokenStore.fromClient(another, { commandTimeout: hang, prefix })
      const silent = yield* Effect.fork(Stream.runHead(store.changes))
      const { told } = yield* listen(yield* makeStore(), client, `${prefix}changes`)
      const key = newKey()
      yield* write(store, key)
      yield* hears(told, key)
      yield* write(yield* makeStore(), newKey())
      assert.isTrue(Option.isNone(yield* Fiber.poll(silent)))
    }))
})

const channel = "effect-alf:changes"

/** The connections of a server on which somebody listens. */
const listenersOf = (client: Redis) =>
  Effect.promise(() => client.call("CLIENT", "LIST", "TYPE", "pubsub") as Promise<string>)

/** How often a server has been asked whether it is there. */
const pingsOf = (client: Redis) =>
  Effect.map(
    Effect.promise(() => client.info("commandstats")),
    (stats) => Number(/cmdstat_ping:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  )

describe.concurrent("RedisNotices, the connection", () => {
  it.scopedLive("there is one connection while there are listeners, and requests need no command on it", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const connected = Effect.map(
        listenersOf(client),
        (list) => list.split("\n").filter((line) => line !== "").length
      )
      const store = yield* open({ url: server.url })
      yield* store.get("k")
      assert.strictEqual(yield* connected, 0)
      yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* listen(store, client, channel)
        const two = yield* tellsOf(store)
        yield* Effect.yieldNow()
        const other = yield* open({ url: server.url })
        yield* write(other, "k")
        yield* hears(one.told, "k")
        yield* hears(two, "k")
        assert.strictEqual(yield* connected, 1)
        // The first one comes at the start, as on the connections for commands
        yield* Effect.repeat(pingsOf(client), { until: (count) => count === 3 })
        yield* Effect.promise(() => client.config("RESETSTAT"))
        yield* Effect.repeatN(store.get("k"), 9)
        const stats = yield* Effect.promise(() => client.info("commandstats"))
        assert.sameMembers(stats.match(/(?<=cmdstat_)\w+(?=:calls=10,)/g)!, ["evalsha", "get", "pttl"])
        assert.sameMembers(
          stats.match(/(?<=cmdstat_)\w+/g)!.filter((name) => name !== "config"),
          ["evalsha", "get", "pttl"]
        )
      }))
      yield* Effect.repeat(connected, { until: (count) => count === 0 })
    }))

  it.scoped("an idle connection is pinged, and kept", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const store = yield* open({ url: server.url, commandTimeout: "1 minute" })
      // By the test's clock: until then no response has a time limit
      const told = yield* tellsOf(store)
      // The connection for commands is asked once
      const isAsked = (times: number) => Effect.repeat(pingsOf(client), { until: (count) => count === times + 1 })
      yield* isAsked(1)
      const id = /id=(\d+)/.exec(yield* listenersOf(client))![1]
      for (const times of [1, 2, 3]) {
        yield* isAsked(times)
        // The answer is on its way: it is read before that to whoever asks now
        yield* Effect.promise(() => client.echo("now"))
        yield* TestClock.adjust("4 minutes")
        assert.strictEqual(yield* pingsOf(client), times + 1)
        yield* TestClock.adjust("1 minute")
      }
      yield* isAsked(4)
      yield* write(yield* open({ url: server.url }), "k")
      yield* turnsUntil(() => told.includes("k"))
      assert.include(yield* listenersOf(client), `id=${id} `)
    }))

  it.scopedLive("the connection is closed with the scope of the store", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const fiber = yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* open({ url: server.url })
        const fiber = yield* Effect.forkDaemon(Stream.runDrain(store.changes))
        yield* Effect.repeat(subscribers(client, channel), { until: (count) => count === 1 })
        return fiber
      }))
      yield* Effect.repeat(subscribers(client, channel), { until: (count) => count === 0 })
      yield* Fiber.interrupt(fiber)
    }))

  it.scopedLive("missing permission to subscribe fails the stream; a later attempt can work", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const password = "correct-horse"
      const rights = ["~*", "+@all"]
      yield* Effect.promise(() => client.acl("SETUSER", "app", "on", `>${password}`, ...rights, "resetchannels"))
      const store = yield* open({ url: `redis://app:${password}@127.0.0.1:${server.port}` })
      for (let run = 0; run < 2; run++) {
        const error = yield* failureOf(Stream.runDrain(store.changes))
        assert.strictEqual(error._tag, "TokenStoreError")
        assert.strictEqual(error.method, "changes")
        assert.match(
          error.message,
          /^Token store, changes: Redis refuses a subscription to effect-alf:changes: NOPERM .*channel/
        )
      }
      // A user without permission to publish can still write
      assert.isTrue(yield* write(store, "k"))
      yield* Effect.promise(() => client.acl("SETUSER", "app", "&effect-alf:*"))
      const { fiber, told } = yield* listen(store, client, channel)
      const other = yield* open({ url: server.url })
      yield* write(other, "another")
      yield* hears(told, "another")
      // The server closes the connections of a user who loses the permission
      yield* Effect.promise(() => client.acl("SETUSER", "app", "resetchannels"))
      assert.isTrue(Either.isLeft(yield* Effect.either(Fiber.join(fiber))))
    }))

  it.scopedLive("a password that is rejected for a time leaves the stream open", () =>
    Effect.gen(function*() {
      // Without a password no command is allowed
      const server = yield* RedisServer.make({ args: ["--requirepass", "of-the-admin"] })
      const admin = `redis://:of-the-admin@127.0.0.1:${server.port}`
      const client = yield* makeClient(admin)
      const setPassword = (password: string) =>
        Effect.promise(() => client.acl("SETUSER", "app", "on", "resetpass", `>${password}`, "~*", "&*", "+@all"))
      yield* setPassword("correct-horse")
      const app = yield* makeClient(`redis://app:correct-horse@127.0.0.1:${server.port}`, { retryStrategy: () => null })
      const store = yield* RedisTokenStore.fromClient(app, { commandTimeout: hang })
      const { fiber, told } = yield* listen(store, client, channel)
      yield* setPassword("another")
      yield* Effect.promise(() => client.client("KILL", "USER", "app"))
      const refusals = Effect.map(
        Effect.promise(() => client.info("errorstats")),
        (stats) => Number(/errorstat_WRONGPASS:count=(\d+)/.exec(stats)?.[1] ?? 0)
      )
      // It has read of the first before it connects again
      yield* Effect.raceFirst(Fiber.join(fiber), Effect.repeat(refusals, { until: (count) => count > 1 }))
      yield* setPassword("correct-horse")
      yield* hearsAgain(told, yield* open({ url: admin }))
    }))

  it.scopedLive("a late subscriber receives the next notice", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const writer = yield* open({ url: server.url })
      // From the very moment at which the server has confirmed it
      for (let run = 0; run < 20; run++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* open({ url: server.url })
          const next = yield* Effect.fork(Stream.runHead(store.changes))
          yield* Effect.repeat(subscribers(client, channel), {
            until: (count) => count > 0,
            schedule: Schedule.spaced("1 millis")
          })
          const key = newKey()
          yield* write(writer, key)
          // A subscriber that missed the first notice receives the next
          yield* write(writer, `${key} and another`)
          deepStrictEqual(yield* Fiber.join(next), Option.some(key))
        }))
        yield* Effect.repeat(subscribers(client, channel), { until: (count) => count === 0 })
      }
    }))
})

// It has the timers for itself
describe("RedisNotices, a paused process", () => {
  it.scopedLive("keeps its connection after a pause during a ping", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const proxy = yield* makeProxy(server.port)
      yield* stoppedTimers
      const store = yield* open({ redis: { path: proxy.path }, commandTimeout: "500 millis" })
      let stoodStill = false
      proxy.afterAnswer(/pong/i, () => {
        vi.advanceTimersByTime(500)
        stoodStill = true
      })
      const told = yield* tellsOf(store)
      yield* turnsUntil(() => stoodStill)
      yield* turn
      assert.strictEqual(yield* subscribers(client, channel), 1)
      yield* write(yield* open({ url: server.url }), "k")
      yield* turnsUntil(() => told.includes("k"))
      // Each of the two is asked first when it has been made
      assert.lengthOf(proxy.asked.join("").match(/ping/gi)!, 2)
      assert.strictEqual(proxy.connections(), 2)
    }))
})
