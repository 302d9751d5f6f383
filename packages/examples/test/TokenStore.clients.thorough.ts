import { type OAuthError, TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { KeyValueStore } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import KeyvRedis from "@keyv/redis"
import { Duration, Effect, Layer, Option, type Scope, TestClock } from "effect"
import { Redis } from "ioredis"
import { Redis as Valkey } from "iovalkey"
import { Keyv } from "keyv"
import { MemcacheClient } from "memcache-client"
import { Client as MemJs } from "memjs"
import { createClient } from "redis"
import { createStorage } from "unstorage"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { WorkersKv } from "./WorkersKv.js"

type Store = Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions>

// Time passes on the test's clock alone
const contract = TokenStoreContract.make({
  advance: TestClock.adjust,
  shortTime: "20 seconds",
  compareAndSet: false,
  leases: false,
  notices: false
})

const open = <A>(client: A, close: (client: A) => unknown) =>
  Effect.acquireRelease(Effect.succeed(client), (client) => Effect.promise(async () => void await close(client)))

/** On a server's clock nothing expires before a test ends: a minute of the contract lasts as long as `hang`. */
const millis = (duration: Duration.Duration) => Duration.toMinutes(duration) * hang

const seconds = (duration: Duration.Duration) => millis(duration) / 1000

const keyvFor = (keyv: Keyv) => ({
  timeToLive: (key: string, value: string, time: Duration.Duration) => keyv.set(key, value, millis(time))
})

/** Common clients without options, and with `timeToLive` where they support one. */
const clients: Record<string, Effect.Effect<ReadonlyArray<Store>, unknown, Scope.Scope>> = {
  "a Map": Effect.sync(() => [TokenStore.layer(new Map<string, string>())]),
  "KeyValueStore of Effect": Effect.map(
    Effect.provide(KeyValueStore.KeyValueStore, KeyValueStore.layerMemory),
    (store) => [TokenStore.layer(store)]
  ),
  "ioredis": Effect.gen(function*() {
    const { url } = yield* RedisServer.shared
    const redis = yield* open(new Redis(url), (redis) => redis.quit())
    return [
      TokenStore.layer(redis),
      TokenStore.layer(redis, { timeToLive: (key, value, time) => redis.set(key, value, "PX", millis(time)) })
    ]
  }),
  "iovalkey": Effect.gen(function*() {
    const { url } = yield* RedisServer.shared
    const valkey = yield* open(new Valkey(url), (valkey) => valkey.quit())
    return [
      TokenStore.layer(valkey),
      TokenStore.layer(valkey, { timeToLive: (key, value, time) => valkey.set(key, value, "PX", millis(time)) })
    ]
  }),
  "redis": Effect.gen(function*() {
    const { url } = yield* RedisServer.shared
    const redis = yield* open(createClient({ url }), (redis) => redis.close())
    yield* Effect.promise(() => redis.connect())
    return [
      TokenStore.layer(redis),
      TokenStore.layer(redis, { timeToLive: (key, value, time) => redis.set(key, value, { PX: millis(time) }) })
    ]
  }),
  "memjs": Effect.gen(function*() {
    const { address } = yield* MemcachedServer.make()
    const memcached = yield* open(MemJs.create(address, { timeout: hang / 1000 }), (memcached) => memcached.quit())
    return [
      TokenStore.layer(memcached),
      TokenStore.layer(memcached, {
        timeToLive: (key, value, time) => memcached.set(key, value, { expires: seconds(time) })
      })
    ]
  }),
  "memcache-client": Effect.gen(function*() {
    const { address } = yield* MemcachedServer.make()
    const memcached = yield* open(
      new MemcacheClient({ server: address, cmdTimeout: hang, connectTimeout: hang }),
      (memcached) => memcached.shutdown()
    )
    return [
      TokenStore.layer(memcached),
      TokenStore.layer(memcached, {
        timeToLive: (key, value, time) => memcached.set(key, value, { lifetime: seconds(time) })
      })
    ]
  }),
  "keyv in memory": Effect.sync(() => {
    const keyv = new Keyv()
    return [TokenStore.layer(keyv), TokenStore.layer(keyv, keyvFor(keyv))]
  }),
  "keyv over Redis": Effect.gen(function*() {
    const { url } = yield* RedisServer.shared
    const keyv = yield* open(new Keyv(new KeyvRedis(url)), (keyv) => keyv.disconnect())
    return [TokenStore.layer(keyv), TokenStore.layer(keyv, keyvFor(keyv))]
  }),
  "unstorage": Effect.sync(() => [TokenStore.layer(createStorage())]),
  // Written after Cloudflare's: workerd, which has the real one, is no dependency of this project
  "Cloudflare KV, whose set is called put": Effect.sync(() => {
    const kv = new WorkersKv()
    const wrapped = {
      get: (key: string) => kv.get(key),
      set: (key: string, value: string) => kv.put(key, value),
      delete: (key: string) => kv.delete(key)
    }
    return [
      TokenStore.layer(wrapped),
      TokenStore.layer(wrapped, {
        timeToLive: (key, value, time) =>
          // Workers KV accepts no expiration below a minute
          kv.put(key, value, { expirationTtl: Math.max(60, Math.ceil(Duration.toSeconds(time))) })
      })
    ]
  })
}

describe("TokenStore.layer", () => {
  for (const [name, stores] of Object.entries(clients)) {
    it.scoped(`keeps the contract of a token store over ${name}`, () =>
      Effect.flatMap(stores, (stores) =>
        rowsEffect(
          stores.flatMap((store, n) => contract.map((row) => ({ ...row, name: `${row.name} (${n})`, store }))),
          ({ name }) => name,
          ({ effect, store }) => Effect.provide(effect, store)
        )))
  }

  it.effect("explains in the error how to wrap a client without set, such as Cloudflare KV's", () =>
    Effect.gen(function*() {
      // @ts-expect-error: it has no set
      const error = yield* Effect.flip(Layer.build(TokenStore.layer(new WorkersKv())))
      assert.match(error.message, /^TokenStore\.backend has no set: wrap the client as \{ get: .*, set: /)
    }).pipe(Effect.scoped))

  it.effect("reports why a client rejects a write, such as Cloudflare KV's minimum expiration", () =>
    Effect.gen(function*() {
      const kv = new WorkersKv()
      const store = TokenStore.make({ get: (key) => kv.get(key), set: (key, value) => kv.put(key, value) }, {
        timeToLive: (key, value, time) => kv.put(key, value, { expirationTtl: Duration.toSeconds(time) })
      })
      const error = yield* Effect.flip(
        store.set("k", { version: "1", payload: "p", timeToLive: Duration.seconds(59) }, Option.none())
      )
      assert.include(error.message, "Expiration TTL must be at least 60")
    }))

  it.scopedLive("sets the expiration of entries on the server if timeToLive is configured", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServer.shared
      const redis = yield* open(new Redis(url), (redis) => redis.quit())
      const keyv = yield* open(new Keyv(new KeyvRedis(url)), (keyv) => keyv.disconnect())
      const remaining = (key: string, store: TokenStore.TokenStore["Type"]) =>
        store.set(key, { version: "1", payload: "p", timeToLive: Duration.hours(1) }, Option.none()).pipe(
          // Keyv puts a namespace before it
          Effect.andThen(Effect.promise(() => redis.keys(`*${key}`))),
          Effect.andThen(([name]) => Effect.promise(() => redis.pttl(name)))
        )
      assert.strictEqual(yield* remaining("never-expires", TokenStore.make(redis)), -1)
      const expiring = TokenStore.make(redis, {
        timeToLive: (key, value, time) => redis.set(key, value, "PX", Duration.toMillis(time))
      })
      assert.isAbove(yield* remaining("expires-by-px", expiring), 0)
      assert.isAbove(yield* remaining("expires-by-keyv", TokenStore.make(keyv, { timeToLive: "milliseconds" })), 0)
    }))
})
