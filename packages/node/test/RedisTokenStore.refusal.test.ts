import type { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import * as TlsCertificate from "@effect-alf/servers/redis/TlsCertificate"
import * as ServerProcess from "@effect-alf/servers/ServerProcess"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Either, Option, Redacted } from "effect"
import { rowsEffect } from "../../core/test/support/Rows.js"
import {
  assertHides,
  documentedRights,
  entry,
  eventually,
  failureOf,
  hears,
  listen,
  makeClient,
  newKey,
  open,
  versionIn,
  write
} from "./RedisBench.js"

describe.concurrent("RedisTokenStore, a server that refuses", () => {
  const password = "correct-horse"
  const secret = "the-secret-payload"

  /** What a store says to a write and, without a look at the connection, to a read. */
  const askBoth = (options: RedisTokenStore.Options) =>
    Effect.gen(function*() {
      const store = yield* open(options)
      const read = yield* Effect.either(store.get("k"))
      const error = yield* failureOf(store.set("k", entry("v1", secret), Option.none()))
      assert.strictEqual(error.reason, "Unavailable")
      assertHides(error, secret, password, "wrong-horse")
      return { read, error }
    })

  it.scopedLive("NOAUTH", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--requirepass", password] })
      const { error } = yield* askBoth({ url: server.url })
      assert.match(error.description, /^NOAUTH /)
    }))

  it.scopedLive("rediss:// at a port without TLS", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const { error } = yield* askBoth({ url: `rediss://127.0.0.1:${server.port}`, connectTimeout: "100 millis" })
      assert.match(error.description, /\(the port may be without TLS: that is redis:\/\/\)$/)
    }))

  it.scopedLive("redis:// at a port for TLS", () =>
    Effect.gen(function*() {
      const { args } = yield* TlsCertificate.make
      const server = yield* RedisServer.make({ args: (port) => ["--port", "0", "--tls-port", `${port}`, ...args] })
      const { error } = yield* askBoth({ url: `redis://127.0.0.1:${server.port}` })
      assert.match(error.description, /\(the port may be for TLS: that is rediss:\/\/\)$/)
    }))

  it.scopedLive("WRONGPASS", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--requirepass", password] })
      const url = `redis://:wrong-horse@127.0.0.1:${server.port}`
      const { error } = yield* askBoth({ url: Redacted.make(url) })
      assert.match(error.description, /^Redis is not connected: WRONGPASS invalid username-password pair/)
    }))

  it.scopedLive("the maximum number of clients is reached", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--maxclients", "1"] })
      const client = yield* makeClient(server.url)
      yield* Effect.promise(() => client.ping())
      const refused = (url: string) =>
        Effect.gen(function*() {
          const store = yield* open({ url })
          for (let call = 0; call < 20; call++) {
            const { description } = yield* failureOf(store.get("k"))
            assert.strictEqual(description, "Redis is not connected: ERR max number of clients reached")
            yield* Effect.sleep("10 millis")
          }
        })
      // Each ends before the next begins: it would take the place that becomes free
      yield* Effect.scoped(refused(server.url))
      yield* Effect.scoped(refused(`redis://:${password}@127.0.0.1:${server.port}`))
      client.disconnect()
      const store = yield* open({ url: server.url })
      assert.isTrue(yield* eventually(write(store, "k")))
    }))

  it.scopedLive("accepts the right password, also one that must be encoded", () =>
    Effect.gen(function*() {
      const odd = "p@ss:w/rd#%ü"
      const server = yield* RedisServer.make({ args: ["--requirepass", odd] })
      const address = `127.0.0.1:${server.port}`
      for (
        const options of [
          { url: Redacted.make(`redis://:${encodeURIComponent(odd)}@${address}/1`) },
          { url: new URL(`redis://default:${encodeURIComponent(odd)}@${address}/`) },
          { url: `redis://${address}`, redis: { password: odd } },
          { redis: { host: "127.0.0.1", port: server.port, password: odd } }
        ]
      ) {
        const store = yield* open(options)
        assert.isTrue(yield* store.set(newKey(), entry("v1"), Option.none()))
      }
      const client = yield* makeClient(`redis://:${encodeURIComponent(odd)}@${address}/1`)
      assert.strictEqual(yield* Effect.promise(() => client.dbsize()), 1)
    }))

  it.scopedLive("READONLY, until the replica is promoted", () =>
    Effect.gen(function*() {
      const primary = yield* RedisServer.make({ args: ["--repl-diskless-sync", "no"] })
      const replica = yield* RedisServer.make({ args: ["--replicaof", "127.0.0.1", `${primary.port}`] })
      yield* RedisServer.askUntil(
        replica.port,
        (client) => client.info("replication"),
        (info) => info.includes("master_link_status:up")
      )
      const { error, read } = yield* askBoth({ url: replica.url })
      deepStrictEqual(read, Either.right(Option.none()))
      assert.match(error.description, /READONLY You can't write against a read only replica\.?$/)
      const store = yield* open({ url: replica.url })
      yield* RedisServer.ask(replica.port, (client) => client.replicaof("NO", "ONE"))
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("OOM", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--maxmemory", "1", "--maxmemory-policy", "noeviction"] })
      const { error, read } = yield* askBoth({ url: server.url })
      deepStrictEqual(read, Either.right(Option.none()))
      assert.match(error.description, /OOM command not allowed when used memory > 'maxmemory'\.?$/)
    }))

  it.scopedLive("CLUSTERDOWN", () =>
    Effect.gen(function*() {
      const bus = yield* ServerProcess.freePort
      const server = yield* RedisServer.make({ args: ["--cluster-enabled", "yes", "--cluster-port", `${bus}`] })
      const { error } = yield* askBoth({ url: server.url })
      assert.match(error.description, /^CLUSTERDOWN /)
    }))

  it.scopedLive("a server without scripts: what it quotes is cut", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--rename-command", "EVALSHA", ""] })
      const { error } = yield* askBoth({ url: server.url })
      assert.match(error.description, /^ERR unknown command 'evalsha'$/i)
    }))

  it.live("works for a user with the permissions of the guide", () =>
    rowsEffect(
      [["database 0", "", []], ["another database", "/1", ["+select"]]] as const,
      ([name]) => name,
      ([_, path, more]) =>
        Effect.gen(function*() {
          const server = yield* RedisServer.make()
          const client = yield* makeClient(server.url)
          const rights = yield* documentedRights("p:")
          assert.include(rights, "+evalsha")
          yield* Effect.promise(() => client.acl("SETUSER", "app", "on", `>${password}`, ...rights, ...more))
          const store = yield* open({
            url: `redis://app:${password}@127.0.0.1:${server.port}${path}`,
            prefix: "p:"
          })
          assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
          assert.isTrue(yield* store.set("k", entry("v2", "p", Duration.infinity), Option.some("v1")))
          deepStrictEqual(yield* versionIn(store, "k"), Option.some("v2"))
          assert.isTrue(yield* store.remove("k", "v2"))
          assert.isTrue(yield* store.acquireLease("k", "a", Duration.hours(1)))
          assert.isTrue(yield* store.extendLease("k", "a", Duration.hours(1)))
          yield* store.releaseLease("k", "a")
          const { told } = yield* listen(store, client, "p:changes")
          yield* write(yield* open({ url: `${server.url}${path}`, prefix: "p:" }), "k")
          yield* hears(told, "k")
          const log = yield* Effect.promise(() => client.acl("LOG"))
          deepStrictEqual(log, [])
        })
    ))

  it.live("a database that cannot be selected: nothing is written to another", () =>
    rowsEffect(
      [
        ["that the server does not have", "/99", ["+select"], /^Redis is not connected: ERR DB index is out of range$/],
        ["that the user may not select", "/1", [], /^Redis is not connected: NOPERM .*'?select'?/]
      ] as const,
      ([name]) => name,
      ([_, path, more, expected]) =>
        Effect.gen(function*() {
          const server = yield* RedisServer.make()
          const client = yield* makeClient(server.url)
          const rights = yield* documentedRights("effect-alf:")
          yield* Effect.promise(() => client.acl("SETUSER", "app", "on", `>${password}`, ...rights, ...more))
          const url = `redis://app:${password}@127.0.0.1:${server.port}${path}`
          const { error } = yield* askBoth({ url })
          assert.match(error.description, expected)
          assert.strictEqual(yield* Effect.promise(() => client.dbsize()), 0)
          if (more.length > 0) return
          const store = yield* open({ url })
          yield* Effect.promise(() => client.acl("SETUSER", "app", "+select"))
          assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
          assert.strictEqual(yield* Effect.promise(() => client.dbsize()), 0)
        })
    ))

  it.scopedLive("a user without permission to run scripts", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      yield* Effect.promise(() =>
        client.acl("SETUSER", "app", "on", `>${password}`, "~*", "+info", "+client", "-evalsha")
      )
      const { error } = yield* askBoth({ url: `redis://app:${password}@127.0.0.1:${server.port}` })
      assert.match(error.description, /^NOPERM .*'?evalsha'?/)
    }))
})
