import { EncryptedTokenStore, TokenStore } from "@effect-alf/core"
import { type RedisClient, RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Config, ConfigProvider, Context, Duration, Effect, Exit, Layer, Option, Redacted } from "effect"
import type { Redis } from "ioredis"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { shared } from "../../core/test/support/shared.js"
import {
  assertHides,
  entry,
  failureOf,
  keepsContract,
  makeClient,
  makeStore,
  newKey,
  Shared,
  sharedClient,
  type Store,
  versionIn
} from "./RedisBench.js"

shared(Shared.layer)("RedisTokenStore, entries", (it) => {
  it.scopedLive("an entry is read with its remaining lifetime", () =>
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

  it.scopedLive("the lifetime is Redis' own: PX and PTTL", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "2 hours"), Option.none())
      const anHour = Duration.toMillis("1 hour")
      yield* Effect.promise(() => client.pexpire(`${prefix}{${key}}`, anHour))
      const found = Option.getOrThrow(yield* store.get(key))
      assert.isAtMost(Duration.toMillis(found.timeToLive), anHour)
    }))

  it.scopedLive("an entry is removed when it expires", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "1 millis"), Option.none())
      yield* Effect.repeat(store.get(key), { until: Option.isNone })
      assert.isTrue(yield* store.set(key, entry("v2"), Option.none()))
    }))

  it.scopedLive("an entry without expiry stays", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "1 hour"), Option.none())
      yield* store.set(key, entry("v2", "p", Duration.infinity), Option.some("v1"))
      const found = Option.getOrThrow(yield* store.get(key))
      assert.isFalse(Duration.isFinite(found.timeToLive))
      assert.strictEqual(yield* Effect.promise(() => client.pttl(`${prefix}{${key}}`)), -1)
      yield* store.remove(key, "v2")
    }))

  it.live("accepts a lifetime of any number of milliseconds", () =>
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
          yield* store.remove(key, "v1")
        })
    ))

  it.live("a payload with any characters is read unchanged", () =>
    rowsEffect(
      ["", "two\nlines", "alf1:x\ny", "Grüße 🌊", "a\r\n\u0000b", "x".repeat(300_000)],
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
        })
    ))

  it.scopedLive("a write replaces only the expected version", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      // Nothing is there: whatever the writer has seen is gone
      assert.isTrue(yield* store.set(key, entry("v1"), Option.some("v0")))
      assert.isFalse(yield* store.set(key, entry("v2"), Option.none()))
      assert.isFalse(yield* store.set(key, entry("v2"), Option.some("v0")))
      assert.isFalse(yield* store.set(key, entry("v2"), Option.some("")))
      deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
      assert.isTrue(yield* store.set(key, entry("v2"), Option.some("v1")))
      deepStrictEqual(yield* versionIn(store, key), Option.some("v2"))
    }))

  it.scopedLive("exactly one of many simultaneous writers wins", () =>
    Effect.gen(function*() {
      const stores = yield* Effect.all(Arr.makeBy(5, () => makeStore()), { concurrency: "unbounded" })
      const key = newKey()
      const race = (round: string, replaces: Option.Option<string>) =>
        Effect.forEach(
          Arr.makeBy(100, (index) => `${round}-${index}`),
          (version, index) => stores[index % 5].set(key, entry(version), replaces),
          { concurrency: "unbounded" }
        )
      for (const round of ["first", "second", "third"]) {
        const before = yield* versionIn(stores[0], key)
        const wins = (yield* race(round, before)).flatMap((won, index) => won ? [`${round}-${index}`] : [])
        assert.lengthOf(wins, 1)
        deepStrictEqual(yield* versionIn(stores[1], key), Option.some(wins[0]))
      }
    }))

  it.scopedLive("only the expected version is removed", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      assert.isFalse(yield* store.remove(key, "v1"))
      yield* store.set(key, entry("v1"), Option.none())
      assert.isFalse(yield* store.remove(key, "v0"))
      assert.isFalse(yield* store.remove(key, ""))
      assert.isTrue(yield* store.remove(key, "v1"))
      deepStrictEqual(yield* store.get(key), Option.none())
    }))

  it.live("a value of another program is an invalid entry: it can be replaced, but not removed", () =>
    rowsEffect(
      [
        ["a text", (client: Redis, key: string) => client.set(key, "somebody's text")],
        ["an empty text", (client: Redis, key: string) => client.set(key, "")],
        ["bytes", (client: Redis, key: string) => client.set(key, Buffer.from([0xff, 0xfe, 0x0a]))],
        ["an older format", (client: Redis, key: string) => client.set(key, "alf0:v1\npayload")],
        ["a hash", (client: Redis, key: string) => client.hset(key, "field", "value")],
        ["a list", (client: Redis, key: string) => client.rpush(key, "value")]
      ] as const,
      ([name]) => name,
      ([_, write]) =>
        Effect.gen(function*() {
          const { prefix } = yield* Shared
          const store = yield* makeStore()
          const client = yield* sharedClient
          const key = newKey()
          yield* Effect.promise(async () => write(client, `${prefix}{${key}}`))
          const error = yield* failureOf(store.get(key))
          assert.strictEqual(error._tag, "TokenStoreError")
          assert.strictEqual(error.reason, "InvalidEntry")
          assert.strictEqual(
            error.message,
            "Token store, get: the entry was not written by this library; it will be replaced"
          )
          assert.isFalse(yield* store.remove(key, "v1"))
          assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
          deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
        })
    ))

  it.scopedLive("keys have the prefix and a hash tag, and another prefix is another store", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const other = yield* makeStore({ prefix: `${prefix}other:` })
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1"), Option.none())
      yield* store.acquireLease(key, "owner", Duration.hours(1))
      assert.strictEqual(yield* Effect.promise(() => client.exists(`${prefix}{${key}}`, `${prefix}{${key}}#lease`)), 2)
      deepStrictEqual(yield* other.get(key), Option.none())
    }))

  it.scopedLive("works if the server loses the scripts", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1"), Option.none())
      yield* Effect.promise(() => client.script("FLUSH"))
      assert.isTrue(yield* store.set(key, entry("v2"), Option.some("v1")))
      deepStrictEqual(yield* versionIn(store, key), Option.some("v2"))
    }))
})

shared(Shared.layer)("RedisTokenStore", (it) => {
  it.scopedLive("keeps the contract of a token store", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* Shared
      const [store, other] = yield* Effect.all([makeStore(), makeStore()])
      yield* keepsContract({ nodes: [url], other, prefix, store })
    }))
})

shared(Shared.layer)("RedisTokenStore, encrypted", (it) => {
  const makeKey = (id: string) => ({ id, key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) })
  const keys = { one: makeKey("one"), two: makeKey("two") }
  const makeEncrypted = (id: keyof typeof keys) =>
    Effect.flatMap(makeStore(), (store) => EncryptedTokenStore.make(store, { keys: [keys[id]] }))

  it.scopedLive("keeps the contract of a token store", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* Shared
      const [store, other] = yield* Effect.all([makeEncrypted("one"), makeEncrypted("one")])
      yield* keepsContract({ nodes: [url], other, prefix, store })
    }))

  it.scopedLive("Redis sees no payload, and an entry encrypted with another key is replaced", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const client = yield* sharedClient
      const key = newKey()
      const [one, two] = yield* Effect.all([makeEncrypted("one"), makeEncrypted("two")])
      assert.isTrue(yield* one.set(key, entry("v1", "a secret"), Option.none()))
      assert.notInclude(yield* Effect.promise(() => client.get(`${prefix}{${key}}`)), "a secret")
      assert.strictEqual((yield* failureOf(two.get(key))).reason, "InvalidEntry")
      assert.isTrue(yield* two.set(key, entry("v2"), Option.none()))
      deepStrictEqual(yield* versionIn(two, key), Option.some("v2"))
    }))
})

shared(Shared.layer)("RedisTokenStore, leases", (it) => {
  it.scopedLive("a lease has one owner at a time", () =>
    Effect.gen(function*() {
      const a = yield* makeStore()
      const b = yield* makeStore()
      const key = newKey()
      assert.isTrue(yield* a.acquireLease(key, "a", Duration.hours(1)))
      assert.isFalse(yield* b.acquireLease(key, "b", Duration.hours(1)))
      assert.isTrue(yield* a.acquireLease(key, "a", Duration.hours(1)))
      assert.isTrue(yield* b.acquireLease(newKey(), "b", Duration.hours(1)))
      yield* b.releaseLease(key, "b")
      assert.isFalse(yield* b.acquireLease(key, "b", Duration.hours(1)))
      yield* a.releaseLease(key, "a")
      assert.isTrue(yield* b.acquireLease(key, "b", Duration.hours(1)))
    }))

  it.scopedLive("exactly one of many simultaneous owners acquires a lease", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      const got = yield* Effect.forEach(
        Arr.range(1, 50),
        (owner) => store.acquireLease(key, `${owner}`, Duration.hours(1)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(got.filter((granted) => granted), 1)
    }))

  it.scopedLive("only its current owner extends a lease", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      assert.isFalse(yield* store.extendLease(key, "a", Duration.hours(1)))
      yield* store.acquireLease(key, "a", Duration.hours(1))
      assert.isFalse(yield* store.extendLease(key, "b", Duration.hours(1)))
      assert.isTrue(yield* store.extendLease(key, "a", Duration.hours(2)))
      const remaining = yield* Effect.promise(() => client.pttl(`${prefix}{${key}}#lease`))
      assert.isAbove(remaining, Duration.toMillis("1 hour"))
    }))

  it.scopedLive("an expired lease is free", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.acquireLease(key, "a", Duration.millis(1))
      yield* Effect.repeat(store.acquireLease(key, "b", Duration.hours(1)), { until: (granted) => granted })
      assert.isFalse(yield* store.extendLease(key, "a", Duration.hours(1)))
      yield* store.releaseLease(key, "a")
      assert.isTrue(yield* store.extendLease(key, "b", Duration.hours(1)))
    }))
})

shared(Shared.layer)("RedisTokenStore.layerFromClient", (it) => {
  const useStore = <A, E, R, EC = never, RC = never>(
    client: RedisClient.Client | Effect.Effect<RedisClient.Client, EC, RC>,
    use: (store: Store) => Effect.Effect<A, E, R>,
    options?: RedisTokenStore.ClientOptions
  ) =>
    Effect.provide(
      Effect.flatMap(TokenStore.TokenStore, use),
      RedisTokenStore.layerFromClient(client, { commandTimeout: hang, ...options })
    )

  it.live("works with a client with any options, and leaves it open", () =>
    rowsEffect(
      [
        ["its defaults", {}],
        ["a key prefix", { keyPrefix: "app:" }],
        ["numbers as strings", { stringNumbers: true }],
        ["automatic pipelines", { enableAutoPipelining: true }],
        ["a lazy connection", { lazyConnect: true }]
      ] as const,
      ([name]) => name,
      ([_, options]) =>
        Effect.gen(function*() {
          const { prefix, url } = yield* Shared
          const client = yield* makeClient(url, options)
          const key = newKey()
          yield* useStore(client, (store) =>
            Effect.gen(function*() {
              const listeners = client.eventNames().map((event) => client.listenerCount(event))
              assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
              assert.isFalse(yield* store.set(key, entry("v2"), Option.none()))
              deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
              assert.isTrue(yield* store.acquireLease(key, "a", Duration.hours(1)))
              assert.isFalse(yield* store.acquireLease(key, "b", Duration.hours(1)))
              assert.isTrue(yield* store.remove(key, "v1"))
              deepStrictEqual(client.eventNames().map((event) => client.listenerCount(event)), listeners)
            }), { prefix })
          assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
        })
    ))

  it.scopedLive("accepts an effect for the client, with its error", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* Shared
      class AppRedis extends Context.Tag("AppRedis")<AppRedis, Redis>() {}
      const found = yield* Effect.provideServiceEffect(
        useStore(AppRedis, (store) => store.get(newKey()), { prefix }),
        AppRedis,
        makeClient(url)
      )
      deepStrictEqual(found, Option.none())
      const exit = yield* Effect.exit(useStore(Effect.fail("no client" as const), (store) => store.get("k")))
      deepStrictEqual(exit, Exit.fail("no client" as const))
    }))

  it.scopedLive("is bounded with a client that waits for ever", () =>
    Effect.gen(function*() {
      const client = yield* makeClient("redis://127.0.0.1:1", { maxRetriesPerRequest: null })
      client.on("error", () => {})
      const error = yield* useStore(
        client,
        (store) => failureOf(store.set("k", entry("v1", "the-payload"), Option.none())),
        { commandTimeout: "50 millis" }
      )
      assert.strictEqual(error.message, "Token store, set: Redis gave no answer within 50ms")
      assert.strictEqual(error.reason, "Timeout")
      assertHides(error, "the-payload")
    }))

  it.scopedLive("reports that the client is closed", () =>
    Effect.gen(function*() {
      const { url } = yield* Shared
      const client = yield* makeClient(url)
      yield* Effect.promise(() => client.quit())
      const error = yield* useStore(client, (store) => failureOf(store.get("k")))
      assert.strictEqual(error.message, "Token store, get: Redis is not connected: the client is not connected")
    }))
})

describe("RedisTokenStore, options", () => {
  const failure = (options: RedisTokenStore.Options) => Effect.scoped(failureOf(RedisTokenStore.make(options)))

  it.live("an invalid URL is reported", () =>
    rowsEffect(
      [
        [undefined, "is missing"],
        ["", "is empty"],
        ["localhost", "is not a URL"],
        ["redis.example.com:6379", "must begin with redis://, rediss:// or unix:///"],
        ["https://redis.example.com", "must begin with redis://, rediss:// or unix:///"],
        ["redis://", "has no host"],
        ["redis:///0", "has no host"],
        ["redis:localhost", "has no host"],
        ["redis://:hunter2@host:port", "is not a URL"],
        ["redis://:hunter2@host/zero", "has a path that is not the number of a database"],
        ["redis://:hunter2@host/0/1", "has a path that is not the number of a database"],
        ["redis://:hunter2@host?enableOfflineQueue=true", "must not have a query: give these options in redis"],
        ["redis://:hunter2@host/0#x", "must not have a fragment: # in a password is %23"],
        ["redis://:hunter2%@host", "has credentials that are not percent-encoded"],
        ["unix://hunter2/redis.sock", "has a host before the path of its socket"],
        ["unix:///redis.sock?password=hunter2", "must not have a query: give these options in redis"]
      ] as const,
      ([url]) => `${url}`,
      ([url, description]) =>
        Effect.gen(function*() {
          const error = yield* failure({ url })
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.message, `RedisTokenStore.url ${description}`)
          assertHides(error, "hunter2")
        })
    ))

  it.live("an invalid time limit is reported", () =>
    rowsEffect(
      [
        [{ commandTimeout: -1 }, "RedisTokenStore.commandTimeout is negative"],
        [{ commandTimeout: 0 }, "RedisTokenStore.commandTimeout must be longer than zero"],
        [{ connectTimeout: "-1 seconds" as Duration.DurationInput }, "RedisTokenStore.connectTimeout is negative"],
        [{ connectTimeout: 0 }, "RedisTokenStore.connectTimeout must be longer than zero"]
      ] as const,
      ([_, message]) => message,
      ([options, message]) =>
        Effect.gen(function*() {
          const error = yield* failure({ url: "redis://localhost", ...options })
          assert.strictEqual(error.message, message)
        })
    ))

  it.scopedLive("layerConfig reads the URL and all other options", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* RedisServer.shared
      const configured = RedisTokenStore.layerConfig({
        url: Config.redacted("APP_REDIS"),
        prefix: Config.string("APP_PREFIX"),
        commandTimeout: Config.duration("APP_TIMEOUT")
      }, { connectTimeout: hang })
      const provide = (entries: ReadonlyArray<readonly [string, string]>) =>
        Layer.provide(configured, Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries))))
      const rest = [["APP_PREFIX", prefix], ["APP_TIMEOUT", `${hang} millis`]] as const
      const written = yield* TokenStore.TokenStore.pipe(
        Effect.flatMap((store) => store.set("k", entry("v1"), Option.none())),
        Effect.provide(provide([["APP_REDIS", url], ...rest]))
      )
      assert.isTrue(written)
      const client = yield* makeClient(url)
      assert.strictEqual(yield* Effect.promise(() => client.exists(`${prefix}{k}`)), 1)
      const wrong = yield* failureOf(
        Effect.provide(TokenStore.TokenStore, provide([["APP_REDIS", "http://:hunter2@redis"], ...rest]))
      )
      assert.include(String(wrong), "APP_REDIS must begin with redis://, rediss:// or unix:///")
      const missing = yield* failureOf(Effect.provide(TokenStore.TokenStore, provide(rest)))
      assert.include(String(missing), "APP_REDIS")
    }))

  it.live("the error says that ioredis is not installed", () =>
    Effect.gen(function*() {
      vi.doMock("ioredis", () => {
        throw new Error("Cannot find package 'ioredis'")
      })
      const error = yield* Effect.ensuring(
        failure({ url: "redis://localhost" }),
        Effect.sync(() => vi.doUnmock("ioredis"))
      )
      assert.match(error.message, /^RedisTokenStore needs the package ioredis, .*\(npm install ioredis\)/)
    }))
})
