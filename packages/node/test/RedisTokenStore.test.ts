import { type OAuthError, TokenStore, TokenStoreContract } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import { assert, describe, it, layer, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Array as Arr,
  Cause,
  Config,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schedule
} from "effect"
import { Cluster, Redis, type RedisOptions } from "ioredis"
import { readFile } from "node:fs/promises"
import { createConnection, createServer, type Socket } from "node:net"
import { inspect } from "node:util"

type Store = TokenStore.TokenStore["Type"]

/** A server, and a prefix that nobody else uses on it. */
class Shared extends Context.Tag("Shared")<Shared, { readonly url: string; readonly prefix: string }>() {
  static readonly layer = Layer.scoped(Shared, RedisServer.shared)
}

const makeStore = (options?: Partial<RedisTokenStore.Options>) =>
  Effect.flatMap(Shared, (shared) => RedisTokenStore.make({ ...shared, ...options }))

/** A plain client to look at what a store has done. */
const makeClient = (url: string, options: RedisOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis(url, options)),
    (client) => Effect.sync(() => client.disconnect())
  )

const sharedClient = Effect.flatMap(Shared, ({ url }) => makeClient(url))

let keys = 0
const newKey = () => `key-${keys++}`

const entry = (
  version: string,
  payload = `payload of ${version}`,
  timeToLive: Duration.DurationInput = "1 minute"
) => ({
  version,
  payload,
  timeToLive: Duration.decode(timeToLive)
})

const versionIn = (store: Store, key: string) => Effect.map(store.get(key), Option.map((found) => found.version))

const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

/** Every text that an error could end up in a log with. */
const shown = (error: unknown) =>
  [
    inspect(error, { depth: null, showHidden: true }),
    JSON.stringify(error),
    String(error),
    error instanceof Error ? `${error.message}${error.stack}${inspect(error.cause)}` : "",
    Cause.pretty(Cause.fail(error))
  ].join("\n")

const assertHides = (error: unknown, ...secrets: ReadonlyArray<string>) => {
  for (const secret of secrets) assert.notInclude(shown(error), secret)
}

/** Tries until the store works: it comes back by itself, at a moment that only it knows. */
const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.retry(effect, Schedule.spaced("20 millis")).pipe(Effect.timeout("15 seconds"))

layer(Shared.layer, { excludeTestServices: true })("RedisTokenStore, entries", (it) => {
  it.scoped("an entry that was written is read back, with what remains of its time", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      deepStrictEqual(yield* store.get(key), Option.none())
      assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
      const found = Option.getOrThrow(yield* store.get(key))
      assert.strictEqual(found.version, "v1")
      assert.strictEqual(found.payload, "payload of v1")
      const remaining = Duration.toMillis(found.timeToLive)
      assert.isTrue(remaining > 50_000 && remaining <= 60_000, `${remaining} ms remain`)
    }))

  it.scoped("the lifetime is Redis' own: PX and PTTL", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "30 seconds"), Option.none())
      yield* Effect.promise(() => client.pexpire(`${prefix}{${key}}`, 5_000))
      const found = Option.getOrThrow(yield* store.get(key))
      assert.isAtMost(Duration.toMillis(found.timeToLive), 5_000)
    }))

  it.scoped("an entry is gone when its time is over", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "1 millis"), Option.none())
      yield* store.get(key).pipe(Effect.repeat({ until: Option.isNone }), Effect.timeout("5 seconds"))
      assert.isTrue(yield* store.set(key, entry("v2"), Option.none()))
    }))

  it.scoped("an entry without an end stays", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1", "p", "1 minute"), Option.none())
      yield* store.set(key, entry("v2", "p", Duration.infinity), Option.some("v1"))
      const found = Option.getOrThrow(yield* store.get(key))
      assert.isFalse(Duration.isFinite(found.timeToLive))
      assert.strictEqual(yield* Effect.promise(() => client.pttl(`${prefix}{${key}}`)), -1)
      yield* store.remove(key, "v2")
    }))

  it.scoped.each([0, -5, 0.4, 1.9, 1e15, 1e18, Number.MAX_VALUE])(
    "takes a lifetime of %d ms",
    (millis) =>
      Effect.gen(function*() {
        const store = yield* makeStore()
        const key = newKey()
        assert.isTrue(
          yield* store.set(key, { ...entry("v1"), timeToLive: Duration.millis(millis) }, Option.none())
        )
        yield* store.remove(key, "v1")
      })
  )

  it.scoped.each(["", "two\nlines", "alf1:x\ny", "Grüße 🌊", "a\r\n\u0000b", "x".repeat(300_000)])(
    "payload %#, whatever is in it, comes back as it was",
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
  )

  it.scoped("a write replaces only the version that its writer has seen", () =>
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

  it.scoped("of many writers at once, exactly one wins", () =>
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

  it.scoped("only the version that was seen is removed", () =>
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

  describe.each(
    [
      ["a text", (client: Redis, key: string) => client.set(key, "somebody's text")],
      ["an empty text", (client: Redis, key: string) => client.set(key, "")],
      ["bytes", (client: Redis, key: string) => client.set(key, Buffer.from([0xff, 0xfe, 0x0a]))],
      ["an older format", (client: Redis, key: string) => client.set(key, "alf0:v1\npayload")],
      ["a hash", (client: Redis, key: string) => client.hset(key, "field", "value")],
      ["a list", (client: Redis, key: string) => client.rpush(key, "value")]
    ] as const
  )("%s that another program left", (_, write) => {
    it.scoped("is an invalid entry, which may be written over but not removed", () =>
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
      }))
  })

  it.scoped("keys have the prefix and a hash tag, and another prefix is another store", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const other = yield* makeStore({ prefix: `${prefix}other:` })
      const client = yield* sharedClient
      const key = newKey()
      yield* store.set(key, entry("v1"), Option.none())
      yield* store.acquireLease(key, "owner", Duration.minutes(1))
      assert.strictEqual(yield* Effect.promise(() => client.exists(`${prefix}{${key}}`, `${prefix}{${key}}#lease`)), 2)
      deepStrictEqual(yield* other.get(key), Option.none())
    }))

  it.scoped("the server may forget the scripts at any time", () =>
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

layer(Shared.layer, { excludeTestServices: true })("RedisTokenStore, contract", (it) => {
  for (const row of TokenStoreContract.make({ advance: Effect.sleep })) {
    it.scoped(row.name, () => Effect.provideServiceEffect(row.effect, TokenStore.TokenStore, makeStore()))
  }
})

layer(Shared.layer, { excludeTestServices: true })("RedisTokenStore, encrypted", (it) => {
  const makeEncrypted = (id: string) =>
    Effect.flatMap(
      makeStore(),
      (store) =>
        TokenStore.makeEncrypted(store, {
          keys: [{ id, key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) }]
        })
    )

  for (const row of TokenStoreContract.make({ advance: Effect.sleep })) {
    it.scoped(row.name, () => Effect.provideServiceEffect(row.effect, TokenStore.TokenStore, makeEncrypted("a")))
  }

  it.scoped("Redis sees no payload, and what another key has written is overwritten", () =>
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

layer(Shared.layer, { excludeTestServices: true })("RedisTokenStore, leases", (it) => {
  it.scoped("one owner at a time holds the lease of a key", () =>
    Effect.gen(function*() {
      const a = yield* makeStore()
      const b = yield* makeStore()
      const key = newKey()
      assert.isTrue(yield* a.acquireLease(key, "a", Duration.minutes(1)))
      assert.isFalse(yield* b.acquireLease(key, "b", Duration.minutes(1)))
      assert.isTrue(yield* a.acquireLease(key, "a", Duration.minutes(1)))
      assert.isTrue(yield* b.acquireLease(newKey(), "b", Duration.minutes(1)))
      yield* b.releaseLease(key, "b")
      assert.isFalse(yield* b.acquireLease(key, "b", Duration.minutes(1)))
      yield* a.releaseLease(key, "a")
      assert.isTrue(yield* b.acquireLease(key, "b", Duration.minutes(1)))
    }))

  it.scoped("of many who want the lease at once, one gets it", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      const got = yield* Effect.forEach(
        Arr.range(1, 50),
        (owner) => store.acquireLease(key, `${owner}`, Duration.minutes(1)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(got.filter((granted) => granted), 1)
    }))

  it.scoped("only its owner extends a lease, and only while he holds it", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Shared
      const store = yield* makeStore()
      const client = yield* sharedClient
      const key = newKey()
      assert.isFalse(yield* store.extendLease(key, "a", Duration.minutes(1)))
      yield* store.acquireLease(key, "a", Duration.seconds(10))
      assert.isFalse(yield* store.extendLease(key, "b", Duration.minutes(1)))
      assert.isTrue(yield* store.extendLease(key, "a", Duration.minutes(1)))
      const remaining = yield* Effect.promise(() => client.pttl(`${prefix}{${key}}#lease`))
      assert.isAbove(remaining, 10_000)
    }))

  it.scoped("a lease that ran out is free", () =>
    Effect.gen(function*() {
      const store = yield* makeStore()
      const key = newKey()
      yield* store.acquireLease(key, "a", Duration.millis(1))
      yield* store.acquireLease(key, "b", Duration.minutes(1)).pipe(
        Effect.repeat({ until: (granted) => granted }),
        Effect.timeout("5 seconds")
      )
      assert.isFalse(yield* store.extendLease(key, "a", Duration.minutes(1)))
      yield* store.releaseLease(key, "a")
      assert.isTrue(yield* store.extendLease(key, "b", Duration.minutes(1)))
    }))
})

layer(Shared.layer, { excludeTestServices: true })("RedisTokenStore.layerFromClient", (it) => {
  const useStore = <A, E, R, EC = never, RC = never>(
    client: RedisTokenStore.Client | Effect.Effect<RedisTokenStore.Client, EC, RC>,
    use: (store: Store) => Effect.Effect<A, E, R>,
    options?: RedisTokenStore.ClientOptions
  ) => Effect.provide(Effect.flatMap(TokenStore.TokenStore, use), RedisTokenStore.layerFromClient(client, options))

  it.scoped.each(
    [
      ["its defaults", {}],
      ["a key prefix", { keyPrefix: "app:" }],
      ["numbers as strings", { stringNumbers: true }],
      ["automatic pipelines", { enableAutoPipelining: true }],
      ["a lazy connection", { lazyConnect: true }]
    ] as const
  )("works over a client with %s, and leaves it open", ([_, options]) =>
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
          assert.isTrue(yield* store.acquireLease(key, "a", Duration.minutes(1)))
          assert.isFalse(yield* store.acquireLease(key, "b", Duration.minutes(1)))
          assert.isTrue(yield* store.remove(key, "v1"))
          deepStrictEqual(client.eventNames().map((event) => client.listenerCount(event)), listeners)
        }), { prefix })
      assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
    }))

  it.scoped("takes an effect that gives the client, and its error", () =>
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

  it.scoped("is bounded over a client that would wait for ever", () =>
    Effect.gen(function*() {
      const client = yield* makeClient("redis://127.0.0.1:1", { maxRetriesPerRequest: null })
      client.on("error", () => {})
      const error = yield* useStore(
        client,
        (store) => failureOf(store.set("k", entry("v1", "the-payload"), Option.none())),
        { commandTimeout: "200 millis" }
      )
      assert.strictEqual(error.message, "Token store, set: Redis gave no answer within 200ms")
      assert.strictEqual(error.reason, "Timeout")
      assertHides(error, "the-payload")
    }))

  it.scoped("says so when the client is closed", () =>
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

  it.effect.each<readonly [string | undefined, string]>([
    [undefined, "is missing"],
    ["", "is empty"],
    ["localhost", "is not a URL"],
    ["redis.example.com:6379", "must begin with redis:// or rediss://"],
    ["https://redis.example.com", "must begin with redis:// or rediss://"],
    ["redis://", "has no host"],
    ["redis:///0", "has no host"],
    ["redis:localhost", "has no host"],
    ["redis://:hunter2@host:port", "is not a URL"],
    ["redis://:hunter2@host/zero", "has a path that is not the number of a database"],
    ["redis://:hunter2@host/0/1", "has a path that is not the number of a database"],
    ["redis://:hunter2@host?enableOfflineQueue=true", "must not have a query: give such options as redis"],
    ["redis://:hunter2@host/0#x", "must not have a fragment: # in a password is %23"],
    ["redis://:hunter2%@host", "has credentials that are not percent-encoded"]
  ])("url %s: %s", ([url, description]) =>
    Effect.gen(function*() {
      const error = yield* failure({ url })
      assert.strictEqual(error._tag, "InvalidOptions")
      assert.strictEqual(error.message, `RedisTokenStore.url ${description}`)
      assertHides(error, "hunter2")
    }))

  it.effect.each(
    [
      [{ commandTimeout: -1 }, "RedisTokenStore.commandTimeout is negative"],
      [{ commandTimeout: 0 }, "RedisTokenStore.commandTimeout must be longer than zero"],
      [{ connectTimeout: "-1 seconds" as Duration.DurationInput }, "RedisTokenStore.connectTimeout is negative"],
      [{ connectTimeout: 0 }, "RedisTokenStore.connectTimeout must be longer than zero"]
    ] as const
  )("%o", ([options, message]) =>
    Effect.gen(function*() {
      const error = yield* failure({ url: "redis://localhost", ...options })
      assert.strictEqual(error.message, message)
    }))

  it.scopedLive("layerConfig reads the url and the rest", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* RedisServer.shared
      const configured = RedisTokenStore.layerConfig({
        url: Config.redacted("APP_REDIS"),
        prefix: Config.string("APP_PREFIX"),
        commandTimeout: Config.duration("APP_TIMEOUT")
      })
      const provide = (entries: ReadonlyArray<readonly [string, string]>) =>
        Layer.provide(configured, Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries))))
      const rest = [["APP_PREFIX", prefix], ["APP_TIMEOUT", "3 seconds"]] as const
      const written = yield* TokenStore.TokenStore.pipe(
        Effect.flatMap((store) => store.set("k", entry("v1"), Option.none())),
        Effect.provide(provide([["APP_REDIS", url], ...rest]))
      )
      assert.isTrue(written)
      const client = yield* makeClient(url)
      assert.strictEqual(yield* Effect.promise(() => client.exists(`${prefix}{k}`)), 1)
      const missing = yield* failureOf(Effect.provide(TokenStore.TokenStore, provide(rest)))
      assert.include(String(missing), "APP_REDIS")
    }))

  it.effect("ioredis is asked for when it is not installed", () =>
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

describe("RedisTokenStore, a server that refuses", () => {
  const password = "correct-horse"
  const secret = "the-secret-payload"

  /** What a store says to a write and, without a look at the connection, to a read. */
  const askBoth = (options: RedisTokenStore.Options) =>
    Effect.gen(function*() {
      const store = yield* RedisTokenStore.make(options)
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
      assert.match(error.description, /^Redis is not connected: .*NOAUTH /)
    }))

  it.scopedLive("WRONGPASS", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--requirepass", password] })
      const url = `redis://:wrong-horse@127.0.0.1:${server.port}`
      const { error } = yield* askBoth({ url: Redacted.make(url) })
      assert.match(error.description, /^Redis is not connected: WRONGPASS invalid username-password pair/)
    }))

  it.scopedLive("the right password, also one that must be encoded", () =>
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
        const store = yield* RedisTokenStore.make(options)
        assert.isTrue(yield* store.set(newKey(), entry("v1"), Option.none()))
      }
      const client = yield* makeClient(`redis://:${encodeURIComponent(odd)}@${address}/1`)
      assert.strictEqual(yield* Effect.promise(() => client.dbsize()), 1)
    }))

  it.scopedLive("READONLY, until the replica is promoted", () =>
    Effect.gen(function*() {
      const primary = yield* RedisServer.make({ args: ["--repl-diskless-sync-delay", "0"] })
      const replica = yield* RedisServer.make({ args: ["--replicaof", "127.0.0.1", `${primary.port}`] })
      const client = yield* makeClient(replica.url)
      const inSync = Effect.promise(() => client.info("replication")).pipe(
        Effect.repeat({
          until: (info) => info.includes("master_link_status:up"),
          schedule: Schedule.spaced("20 millis")
        })
      )
      yield* inSync
      const { error, read } = yield* askBoth({ url: replica.url })
      deepStrictEqual(read, Either.right(Option.none()))
      assert.match(error.description, /READONLY You can't write against a read only replica\.?$/)
      const store = yield* RedisTokenStore.make({ url: replica.url })
      yield* Effect.promise(() => client.replicaof("NO", "ONE"))
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("OOM", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--maxmemory", "1", "--maxmemory-policy", "noeviction"] })
      const { error, read } = yield* askBoth({ url: server.url })
      deepStrictEqual(read, Either.right(Option.none()))
      assert.match(error.description, /OOM command not allowed when used memory > 'maxmemory'\.?$/)
    }))

  it.scopedLive("LOADING, until it has loaded", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url, { retryStrategy: () => null })
      client.on("error", () => {})
      const fillers = Arr.makeBy(200, (n) => [`filler-${n}`, "x".repeat(2_000)] as const)
      yield* Effect.promise(() => client.mset(Object.fromEntries(fillers)))
      yield* Effect.promise(() => client.config("SET", "rdbcompression", "no"))
      yield* Effect.promise(() => client.save())
      yield* server.kill
      // 50 ms for each of 200 keys, with a look at the connections after each
      yield* server.start(["--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024"])
      const { error } = yield* askBoth({ url: server.url, connectTimeout: "50 millis" })
      assert.strictEqual(
        error.description,
        "Redis is not connected: it accepts connections, but is not ready yet"
      )
      const appClient = yield* makeClient(server.url, { enableReadyCheck: false })
      yield* Effect.promise(() => new Promise<void>((resolve) => appClient.once("ready", () => resolve())))
      const unready = yield* RedisTokenStore.fromClient(appClient)
      assert.match((yield* failureOf(unready.get("k"))).description, /^LOADING /)
      const store = yield* RedisTokenStore.make({ url: server.url, connectTimeout: "50 millis" })
      yield* Effect.promise(() => appClient.config("SET", "key-load-delay", "0"))
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("CLUSTERDOWN, and a cluster that works", () =>
    Effect.gen(function*() {
      const bus = yield* RedisServer.freePort
      const server = yield* RedisServer.make({
        args: ["--cluster-enabled", "yes", "--cluster-port", `${bus}`, "--cluster-announce-ip", "127.0.0.1"]
      })
      const { error } = yield* askBoth({ url: server.url })
      assert.match(error.description, /^CLUSTERDOWN /)

      const node = yield* makeClient(server.url)
      yield* Effect.promise(() => node.cluster("ADDSLOTSRANGE", 0, 16383))
      yield* Effect.promise(() => node.cluster("INFO")).pipe(
        Effect.repeat({ until: (info) => info.includes("cluster_state:ok"), schedule: Schedule.spaced("20 millis") })
      )
      const cluster = yield* Effect.acquireRelease(
        Effect.sync(() => new Cluster([{ host: "127.0.0.1", port: server.port }])),
        (cluster) => Effect.sync(() => cluster.disconnect())
      )
      const store = yield* RedisTokenStore.fromClient(cluster, { prefix: "app:" })
      const key = newKey()
      assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
      assert.isFalse(yield* store.set(key, entry("v2"), Option.none()))
      assert.isTrue(yield* store.acquireLease(key, "a", Duration.minutes(1)))
      const slots = yield* Effect.promise(() =>
        Promise.all([`app:{${key}}`, `app:{${key}}#lease`].map((key) => node.cluster("KEYSLOT", key)))
      )
      assert.strictEqual(slots[0], slots[1])
    }))

  it.scopedLive("a server without scripts: what it quotes is cut", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ args: ["--rename-command", "EVALSHA", ""] })
      const { error } = yield* askBoth({ url: server.url })
      assert.match(error.description, /^ERR unknown command 'evalsha'$/i)
    }))

  it.scopedLive("a user with no more permissions than the README names", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const client = yield* makeClient(server.url)
      const readme = yield* Effect.promise(() => readFile(new URL("../README.md", import.meta.url), "utf8"))
      const permissions = readme.match(/\+[a-z]+/g)!
      assert.include(permissions, "+evalsha")
      yield* Effect.promise(() => client.acl("SETUSER", "app", "on", `>${password}`, "~p:*", ...permissions))
      const store = yield* RedisTokenStore.make({
        url: `redis://app:${password}@127.0.0.1:${server.port}`,
        prefix: "p:"
      })
      assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
      assert.isTrue(yield* store.set("k", entry("v2", "p", Duration.infinity), Option.some("v1")))
      deepStrictEqual(yield* versionIn(store, "k"), Option.some("v2"))
      assert.isTrue(yield* store.remove("k", "v2"))
      assert.isTrue(yield* store.acquireLease("k", "a", Duration.minutes(1)))
      assert.isTrue(yield* store.extendLease("k", "a", Duration.minutes(1)))
      yield* store.releaseLease("k", "a")
      const log = yield* Effect.promise(() => client.acl("LOG"))
      deepStrictEqual(log, [])
    }))

  it.scopedLive("a user who may not run scripts", () =>
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

/** Whatever is printed past Effect's logger while the scope lasts. */
const spyOnConsole = Effect.acquireRelease(
  Effect.sync(() => {
    const printed: Array<ReadonlyArray<unknown>> = []
    const spies = (["error", "warn", "log"] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args))
    )
    return { printed, spies }
  }),
  ({ spies }) => Effect.sync(() => spies.forEach((spy) => spy.mockRestore()))
).pipe(Effect.map(({ printed }) => printed))

/** Stands between a client and a server, and can stop to pass anything on without a word to either. */
const makeProxy = (port: number) =>
  Effect.acquireRelease(
    Effect.async<{ readonly sockets: Set<Socket>; readonly server: ReturnType<typeof createServer> }>((resume) => {
      const sockets = new Set<Socket>()
      const server = createServer((inbound) => {
        const outbound = createConnection({ host: "127.0.0.1", port })
        for (const socket of [inbound, outbound]) socket.on("error", () => {})
        inbound.pipe(outbound)
        outbound.pipe(inbound)
        sockets.add(inbound).add(outbound)
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ sockets, server })))
    }),
    ({ server, sockets }) =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(({ server, sockets }) => ({
    port: (server.address() as { readonly port: number }).port,
    connections: () => sockets.size / 2,
    swallow: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    }
  })))
