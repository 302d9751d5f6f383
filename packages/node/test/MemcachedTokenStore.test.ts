import { EncryptedTokenStore, TokenStore } from "@effect-alf/core"
import { type MemcachedClient, MemcachedTokenStore } from "@effect-alf/node"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import { assert, describe, it, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Config, ConfigProvider, Context, Duration, Effect, Layer, Option, Redacted } from "effect"
import { Memcache } from "memcache"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { shared } from "../../core/test/support/shared.js"
import {
  ask,
  assertHides,
  entry,
  failureOf,
  keepsContract,
  makeStore,
  newKey,
  newPrefix,
  open,
  Shared,
  versionIn
} from "./MemcachedBench.js"

const name = (key: string) => `effect-alf:entry:${key}`
const leaseName = (key: string) => `effect-alf:lease:${key}`

/** An app's client, disconnected with the scope. */
const makeClient = Effect.flatMap(
  Shared,
  ({ address }) =>
    Effect.acquireRelease(
      Effect.sync(() => new Memcache(address)),
      (client) => Effect.promise(() => client.disconnect())
    )
)

shared(Shared.layer)("MemcachedTokenStore, entries", (it) => {
  it.scopedLive("a written entry is read back with its remaining lifetime", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      deepStrictEqual(yield* store.get(key), Option.none())
      assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
      const found = Option.getOrThrow(yield* store.get(key))
      assert.strictEqual(found.version, "v1")
      assert.strictEqual(found.payload, "payload of v1")
      const remaining = Duration.toMillis(found.timeToLive)
      const whole = Duration.toMillis("1 hour")
      assert.isTrue(remaining > whole - hang && remaining <= whole, `${remaining} ms remain`)
    }))

  it.scopedLive("Memcached's clock decides the remaining lifetime, whatever the clocks of writer and reader say", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "2 hours"), Option.none())
      yield* ask(`mg ${name(key)} T3600`)
      const found = Option.getOrThrow(yield* store.get(key))
      const remaining = Duration.toSeconds(found.timeToLive)
      assert.isTrue(remaining > 3600 - hang / 1000 && remaining <= 3601, `${remaining} s remain`)
    }))

  it.scopedLive("a lifetime is sent in seconds plus one; over 30 days as an absolute time; without expiry as 0", () =>
    rowsEffect(
      [
        ["1 millis", 2],
        ["1001 millis", 3],
        ["30 days", 2_592_001],
        ["40 days", 3_456_001],
        [Duration.infinity, -1]
      ] as const,
      ([lifetime]) => String(lifetime),
      ([lifetime, seconds]) =>
        Effect.gen(function*() {
          const store = yield* makeStore()
          const key = newKey()
          yield* store.set(key, entry("v1", "p", lifetime), Option.none())
          const [, remaining] = /^HD t(-?\d+)\r/.exec(yield* ask(`mg ${name(key)} t`)) ?? ["", "0"]
          // Memcached counts from two seconds before its start
          assert.isTrue(Number(remaining) <= seconds + 3 && Number(remaining) >= seconds - hang / 1000, remaining)
          assert.strictEqual(Number(remaining) < 0, seconds < 0)
          yield* store.remove(key, "v1")
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("an expired entry is gone, and may be written again", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "1 millis"), Option.none())
      yield* Effect.repeat(store.get(key), { until: Option.isNone })
      assert.isTrue(yield* store.set(key, entry("v2"), Option.none()))
    }))

  it.scopedLive("accepts any lifetime in milliseconds", () =>
    rowsEffect(
      [0, -5, 0.4, 1.9, 1e15, 1e18, Number.MAX_VALUE],
      (millis) => `${millis} ms`,
      (millis) =>
        Effect.gen(function*() {
          const store = yield* makeStore()
          const key = newKey()
          assert.isTrue(
            yield* store.set(key, { ...entry("v1"), timeToLive: Duration.millis(millis) }, Option.none())
          )
          if (millis > 1e6) deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
          yield* store.remove(key, "v1")
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("any payload is read back unchanged", () =>
    rowsEffect(
      ["", "two\nlines", "alf1:x\ny", "Grüße 🌊", "a\r\n\u0000b", "END\r\n", "\r\nEND\r\n", "x".repeat(300_000)],
      (payload) => payload.slice(0, 20),
      (payload) =>
        Effect.gen(function*() {
          const store = yield* makeStore()
          const key = newKey()
          const version = "v%\n1 ü"
          yield* store.set(key, entry(version, payload), Option.none())
          const found = Option.getOrThrow(yield* store.get(key))
          assert.strictEqual(found.payload, payload)
          assert.strictEqual(found.version, version)
          assert.isTrue(yield* store.set(key, entry("v2"), Option.some(version)))
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("exactly one of many simultaneous writers wins, and no reader mixes the lifetime of two entries", () =>
    Effect.gen(function*() {
      const stores = yield* Effect.all(Arr.makeBy(5, () => makeStore()), { concurrency: "unbounded" })
      const key = newKey()
      const race = (round: string, replaces: Option.Option<string>) =>
        Effect.forEach(
          Arr.makeBy(50, (index) => `${round}-${index}`),
          (version, index) => stores[index % 5].set(key, entry(version, version, `${index + 1} hours`), replaces),
          { concurrency: "unbounded" }
        )
      const read = Effect.replicateEffect(stores[0].get(key), 50, { concurrency: 5 })
      let seen: Option.Option<string> = Option.none()
      for (const round of ["a", "b", "c"]) {
        const [answers, found] = yield* Effect.all([race(round, seen), read], { concurrency: "unbounded" })
        assert.lengthOf(answers.filter((won) => won), 1)
        for (const { payload, timeToLive } of Arr.getSomes(found)) {
          const hours = Number(payload.split("-")[1]) + 1
          assert.isAtMost(Duration.toHours(timeToLive), hours)
          assert.isAbove(Duration.toHours(timeToLive), hours - 0.5)
        }
        seen = yield* versionIn(stores[0], key)
        deepStrictEqual(Option.map(seen, (version) => version.split("-")[0]), Option.some(round))
      }
    }))

  it.scopedLive("a value of another program is unreadable, and is overwritten", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* ask(`ms ${name(key)} 5 T0`, "other")
      const error = yield* failureOf(store.get(key))
      assert.strictEqual(error.reason, "InvalidEntry")
      assert.isFalse(yield* store.remove(key, ""))
      assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
      deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
    }))

  it.scopedLive("a lease of another program, or without expiry, counts as free", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* ask(`ms ${leaseName(key)} 1 T0`, "x")
      assert.isTrue(yield* store.acquireLease(key, "one", Duration.minutes(1)))
      assert.isFalse(yield* store.acquireLease(key, "other", Duration.minutes(1)))
      yield* ask(`mg ${leaseName(key)} T0`)
      assert.isTrue(yield* store.acquireLease(key, "other", Duration.minutes(1)))
    }))

  it.scopedLive("a lease expires by Memcached's clock alone, not by that of a process", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.acquireLease(key, "one", Duration.minutes(1))
      assert.match(yield* ask(`get ${leaseName(key)}`), /\r\nalf1:[0-9a-f]+::\d+\n/)
      assert.isTrue(yield* store.extendLease(key, "one", Duration.minutes(1)))
      assert.isTrue(yield* store.acquireLease(key, "one", Duration.minutes(1)))
    }))

  it.scopedLive("an entry never has the key of a lease", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.set(`${key}#lease`, entry("v1"), Option.none())
      assert.isTrue(yield* store.acquireLease(key, "one", Duration.minutes(1)))
      deepStrictEqual(yield* versionIn(store, `${key}#lease`), Option.some("v1"))
    }))

  it.scopedLive("keys that Memcached does not accept are stored by their digests", () =>
    rowsEffect(
      ["with space", "line\r\nbreak", "ключ", "x".repeat(240), "x".repeat(5_000), "sha256:x", ""],
      (key) => key.slice(0, 20),
      (key) =>
        Effect.gen(function*() {
          const store = yield* makeStore({ prefix: newPrefix() })
          assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
          assert.isTrue(yield* store.acquireLease(key, "one", Duration.minutes(1)))
          assert.isFalse(yield* store.acquireLease(key, "other", Duration.minutes(1)))
          deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
          assert.isTrue(yield* store.remove(key, "v1"))
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("an entry that is too large for the server is a clear error, without the payload", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      const secret = "secret-".repeat(200_000)
      const error = yield* failureOf(store.set(key, entry("v1", secret), Option.none()))
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.description, /^SERVER_ERROR object too large for cache \(the entry is larger than .* -I/)
      assertHides(error, "secret-secret")
      assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
    }))

  it.scopedLive("fulfils the contract", () =>
    Effect.gen(function*() {
      const { port } = yield* Shared
      const prefix = newPrefix()
      const [store, other] = [yield* makeStore({ prefix }), yield* makeStore({ prefix })]
      yield* keepsContract({ store, other, prefix, ports: [port] })
    }))

  it.scopedLive("fulfils the contract over the app's client", () =>
    Effect.gen(function*() {
      const { port } = yield* Shared
      const prefix = newPrefix()
      const client = yield* makeClient
      const context = yield* Layer.build(MemcachedTokenStore.layerFromClient(Effect.succeed(client), { prefix }))
      const store = Context.get(context, TokenStore.TokenStore)
      const other = yield* MemcachedTokenStore.fromClient(client, { prefix, commandTimeout: hang })
      yield* keepsContract({ store, other, prefix, ports: [port] })
    }))

  it.scopedLive("fulfils the contract with encryption", () =>
    Effect.gen(function*() {
      const { port } = yield* Shared
      const prefix = newPrefix()
      const keys = [{ id: "one", key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) }]
      const encrypted = Effect.flatMap(makeStore({ prefix }), (store) => EncryptedTokenStore.make(store, { keys }))
      const [store, other] = yield* Effect.all([encrypted, encrypted])
      yield* store.set("k", entry("v1", "plain-text"), Option.none())
      assert.notInclude(yield* ask(`get ${prefix}entry:k`), "plain-text")
      yield* keepsContract({ store, other, prefix, ports: [port] })
    }))
})

describe("MemcachedTokenStore, several servers", () => {
  it.scopedLive("fulfils the contract over several servers, and each has a part of the keys", () =>
    Effect.gen(function*() {
      const servers = yield* Effect.replicateEffect(MemcachedServer.make(), 3)
      const prefix = newPrefix()
      const addresses = servers.map(({ address }) => address)
      // In another order they are the same servers
      const [store, other] = [
        yield* open({ servers: addresses, prefix }),
        yield* open({ servers: Arr.reverse(addresses).join(","), prefix })
      ]
      yield* keepsContract({ store, other, prefix, ports: servers.map(({ port }) => port) })
      const keys = Arr.makeBy(60, (index) => `spread-${index}`)
      yield* Effect.forEach(keys, (key) => store.set(key, entry(key), Option.none()))
      for (const key of keys) deepStrictEqual(yield* versionIn(other, key), Option.some(key))
      for (const { port } of servers) {
        const text = yield* MemcachedServer.ask(port, ...keys.map((key) => `mg ${prefix}entry:${key} s`))
        // An even chance would give a server less than this once in some hundred thousand runs
        assert.isAbove(text.split("HD").length - 1, 4)
      }
    }))

  it.scopedLive("while one server is down its keys fail, those of the others do not, and no key moves", () =>
    Effect.gen(function*() {
      const servers = yield* Effect.replicateEffect(MemcachedServer.make(), 3)
      const store = yield* open({ servers: servers.map(({ address }) => address) })
      const keys = Arr.makeBy(30, (index) => `key-${index}`)
      yield* Effect.forEach(keys, (key) => store.set(key, entry(key), Option.none()))
      const [lost, ...others] = servers
      yield* lost.kill
      const found = yield* Effect.forEach(keys, (key) => Effect.either(versionIn(store, key)))
      const failed = keys.filter((_, index) => found[index]._tag === "Left")
      assert.isTrue(failed.length > 0 && failed.length < keys.length)
      found.forEach((answer, index) => {
        if (answer._tag === "Right") deepStrictEqual(answer.right, Option.some(keys[index]))
        else assert.match(answer.left.description, /^Memcached is not connected: /)
      })
      for (const { port } of others) {
        const text = yield* MemcachedServer.ask(port, ...failed.map((key) => `mg ${name(key)}`))
        assert.notInclude(text, "HD")
      }
      yield* lost.start()
      for (const key of failed) assert.isTrue(yield* store.set(key, entry("again"), Option.none()))
    }))
})

describe("MemcachedTokenStore, options", () => {
  const failure = (options: Partial<MemcachedTokenStore.Options>) =>
    failureOf(Effect.scoped(MemcachedTokenStore.make(options as MemcachedTokenStore.Options)))

  it.live("names the option at fault, and shows no password", () =>
    rowsEffect(
      [
        [{}, "servers is missing"],
        [{ servers: "" }, "servers is empty"],
        [{ servers: [] }, "servers is empty"],
        [{ servers: "redis://:hunter2@localhost" }, "servers must begin with memcached://, or with a host"],
        [{ servers: "memcached://app:hunter2@" }, "servers has a server that is not host or host:port"],
        [{ servers: "memcached://app:hunter2%@localhost" }, "servers has credentials that are not percent-encoded"],
        [{ servers: "memcached://hunter2@localhost" }, "servers has a user without a password"],
        [{ servers: "memcached://app:hunter%202@localhost" }, "password must be a text without spaces"],
        [{ servers: "localhost/path" }, "servers has a server that is not host or host:port"],
        [{ servers: ["localhost", ""] }, "servers has a server that is not host or host:port"],
        [{ servers: "localhost:0" }, "servers has a port that is not between 1 and 65535"],
        [{ servers: "localhost:65536" }, "servers has a port that is not between 1 and 65535"],
        [{ servers: "localhost", password: Redacted.make("hunter2") }, "username must be a text without spaces"],
        [{ servers: "localhost", username: "app" }, "password must be a text without spaces"],
        [{ servers: "localhost", prefix: "a b" }, "prefix must be at most 194 ASCII characters"],
        [{ servers: "localhost", prefix: "x".repeat(201) }, "prefix must be at most 194 ASCII characters"],
        [{ servers: "localhost", commandTimeout: 0 }, "commandTimeout must be longer than zero"],
        [{ servers: "localhost", connectTimeout: -1 }, "connectTimeout is negative"]
      ] as ReadonlyArray<readonly [Partial<MemcachedTokenStore.Options>, string]>,
      ([, message]) => message,
      ([options, message]) =>
        Effect.map(failure(options), (error) => {
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.isTrue(error.message.startsWith(`MemcachedTokenStore.${message}`), error.message)
          assertHides(error, "hunter")
        })
    ))

  it.live("names every option at fault", () =>
    Effect.gen(function*() {
      const error = yield* failure({ servers: "", prefix: "a b", commandTimeout: 0, connectTimeout: 0 })
      for (const option of ["servers", "prefix", "commandTimeout", "connectTimeout"]) {
        assert.include(error.message, `MemcachedTokenStore.${option} `)
      }
    }))

  it.scopedLive("sends user and password, also encoded ones, only if the server requires them", () =>
    Effect.gen(function*() {
      const { address } = yield* MemcachedServer.withPassword("app", "p@ss:w/rd#%ü")
      const url = (password: string) => Redacted.make(`memcached://app:${encodeURIComponent(password)}@${address}`)
      for (
        const options of [
          { servers: url("p@ss:w/rd#%ü") },
          { servers: address, username: "app", password: Redacted.make("p@ss:w/rd#%ü") }
        ]
      ) {
        const store = yield* open(options)
        assert.isTrue(yield* store.set(newKey(), entry("v1"), Option.none()))
      }
      const wrong = yield* failureOf((yield* open({ servers: url("hunter2") })).get("k"))
      assert.match(wrong.description, /^CLIENT_ERROR authentication failure \(the username or the password is wrong\)/)
      assertHides(wrong, "hunter2")
      const none = yield* failureOf((yield* open({ servers: address })).get("k"))
      assert.match(none.description, /\(the server requires a username and a password\)$/)
    }))

  it.scopedLive("does not send a password that the server does not require", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      const store = yield* open({ servers: `memcached://app:hunter2@${server.address}` })
      yield* store.get("k")
      assert.strictEqual((yield* MemcachedServer.commands(server.port)).get("cmd_set"), 0)
    }))

  it.scopedLive("layerConfig reads options from a configuration, and names the variable at fault", () =>
    Effect.gen(function*() {
      const { address, port } = yield* MemcachedServer.make()
      const prefix = newPrefix()
      const configured = MemcachedTokenStore.layerConfig({
        servers: Config.redacted("APP_MEMCACHED"),
        prefix: Config.string("APP_PREFIX")
      }, { commandTimeout: hang })
      const provide = (entries: ReadonlyArray<readonly [string, string]>) =>
        Layer.provide(configured, Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries))))
      const written = yield* TokenStore.TokenStore.pipe(
        Effect.flatMap((store) => store.set("k", entry("v1"), Option.none())),
        Effect.provide(provide([["APP_MEMCACHED", address], ["APP_PREFIX", prefix]]))
      )
      assert.isTrue(written)
      assert.match(yield* MemcachedServer.ask(port, `mg ${prefix}entry:k s`), /^HD/)
      const wrong = yield* failureOf(
        Effect.provide(TokenStore.TokenStore, provide([["APP_MEMCACHED", "http://:hunter2@x"], ["APP_PREFIX", prefix]]))
      )
      assert.include(String(wrong), "APP_MEMCACHED must begin with memcached://, or with a host")
      assertHides(wrong, "hunter2")
    }))

  it.live("names the package memcache if it is not installed", () =>
    Effect.gen(function*() {
      vi.doMock("memcache", () => {
        throw new Error("Cannot find package 'memcache'")
      })
      const error = yield* Effect.ensuring(
        failure({ servers: "localhost" }),
        Effect.sync(() => vi.doUnmock("memcache"))
      )
      assert.match(error.message, /^MemcachedTokenStore needs the package memcache, .*\(npm install memcache\)/)
    }))

  it("accepts the client of the package", () => {
    const client: MemcachedClient.Client = new Memcache("localhost:1")
    assert.isFunction(client.getNodesByKey)
  })
})
