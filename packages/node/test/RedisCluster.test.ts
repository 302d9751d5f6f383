import { EncryptedTokenStore } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisCluster from "@effect-alf/servers/redis/RedisCluster"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Duration, Effect, Layer, Option, Redacted, Schedule } from "effect"
import { Cluster } from "ioredis"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { isThorough } from "../../core/test/support/Runs.js"
import { shared } from "../../core/test/support/shared.js"
import {
  becomes,
  failureOf,
  hearsAgain,
  keepsContract,
  makeClient,
  newKey,
  open,
  type Store,
  tellsOf,
  write
} from "./RedisBench.js"

const makeApp = (addresses: RedisCluster.RedisCluster["addresses"]) =>
  Effect.acquireRelease(
    Effect.sync(() => new Cluster(Arr.copy(addresses))),
    (cluster) => Effect.sync(() => cluster.disconnect())
  )

class Three extends Context.Tag("Three")<Three, RedisCluster.RedisCluster>() {
  static readonly layer = Layer.scoped(Three, RedisCluster.make())
}

const ownStore = (options?: Partial<RedisTokenStore.Options>) =>
  Effect.flatMap(Three, ({ addresses: [first] }) => open({ cluster: { nodes: [first] }, ...options }))

const storeOverApp = (options?: RedisTokenStore.ClientOptions) =>
  Effect.gen(function*() {
    const { addresses } = yield* Three
    return yield* RedisTokenStore.fromClient(yield* makeApp(addresses), { commandTimeout: hang, ...options })
  })

describe.concurrent("RedisConnection", () => {
  shared(Three.layer)("a cluster", (it) => {
    it.scopedLive("keeps the contract of a token store", () =>
      Effect.gen(function*() {
        const { primaries } = yield* Three
        const prefix = "contract:"
        const [store, other] = yield* Effect.all([ownStore({ prefix }), storeOverApp({ prefix })])
        yield* keepsContract({ nodes: primaries.map(({ url }) => url), other, prefix, store })
      }))

    if (isThorough) {
      it.scopedLive("keeps the contract with encryption", () =>
        Effect.gen(function*() {
          const { primaries } = yield* Three
          const prefix = "encrypted:"
          const keys = [{ id: "one", key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) }]
          const encrypt = Effect.flatMap((store: Store) => EncryptedTokenStore.make(store, { keys }))
          const [store, other] = yield* Effect.all([encrypt(ownStore({ prefix })), encrypt(storeOverApp({ prefix }))])
          yield* keepsContract({ nodes: primaries.map(({ url }) => url), other, prefix, store })
        }))
    }

    it.scopedLive("a key and its lease are on one node, and every node reports its changes", () =>
      Effect.gen(function*() {
        const { primaries } = yield* Three
        const store = yield* ownStore()
        // Each on a node that it picks itself
        const told = yield* Effect.all(Arr.makeBy(6, () => Effect.flatMap(storeOverApp(), tellsOf)))
        yield* Effect.forEach(told, (told) => hearsAgain(told, store))
        const keys = Arr.makeBy(30, newKey)
        yield* Effect.forEach(keys, (key) => write(store, key), { concurrency: "unbounded" })
        yield* Effect.forEach(keys, (key) => store.acquireLease(key, "a", Duration.hours(1)))
        yield* becomes(() => told.every((told) => keys.every((key) => told.includes(key))))
        const held = yield* Effect.forEach(
          primaries,
          ({ url }) =>
            Effect.scoped(
              Effect.flatMap(makeClient(url), (client) => Effect.promise(() => client.keys("effect-alf:*")))
            )
        )
        for (const keysOfNode of held) {
          assert.isNotEmpty(keysOfNode)
          for (const key of keys) {
            assert.strictEqual(
              keysOfNode.includes(`effect-alf:{${key}}`),
              keysOfNode.includes(`effect-alf:{${key}}#lease`)
            )
          }
        }
        yield* Effect.forEach(keys, (key) => store.remove(key, "v1"))
      }))

    it.scopedLive("a URL names one of the nodes", () =>
      Effect.gen(function*() {
        const { primaries } = yield* Three
        const store = yield* open({
          url: `${primaries[2].url}/0`,
          cluster: {},
          redis: { keyPrefix: "app:" }
        })
        const told = yield* tellsOf(
          yield* open({ url: primaries[0].url, cluster: {}, prefix: "app:effect-alf:" })
        )
        yield* hearsAgain(told, store)
      }))

    it.scopedLive("works if the first named node is down", () =>
      Effect.gen(function*() {
        const { addresses } = yield* Three
        const store = yield* open({ cluster: { nodes: [{ host: "127.0.0.1", port: 1 }, addresses[1]] } })
        assert.isTrue(yield* write(store, newKey()))
      }))

    it.scopedLive("many simultaneous calls, before it is connected", () =>
      Effect.gen(function*() {
        const store = yield* ownStore()
        const found = yield* Effect.forEach(Arr.makeBy(100, newKey), (key) => store.get(key), {
          concurrency: "unbounded"
        })
        assert.isTrue(found.every(Option.isNone))
      }))
  })

  describe("a cluster that is down", () => {
    it.live("options without a node are reported", () =>
      rowsEffect<readonly [RedisTokenStore.Options, string], unknown, never>(
        [
          [{ cluster: {} }, "RedisTokenStore.url is missing"],
          [{ cluster: { nodes: [] } }, "RedisTokenStore.url is missing"],
          [
            { url: "redis://host/2", cluster: {} },
            "RedisTokenStore.url names a database, but a cluster has only database 0"
          ],
          [{ url: "unix:///path", cluster: {} }, "RedisTokenStore.url is a socket, which a cluster does not have"]
        ],
        ([_, message]) => message,
        ([options, message]) =>
          Effect.gen(function*() {
            const error = yield* Effect.scoped(failureOf(RedisTokenStore.make(options)))
            assert.strictEqual(error.message, message)
          })
      ))

    it.scopedLive("costs no more than one wait", () =>
      Effect.gen(function*() {
        // Nothing else would end it
        const store = yield* RedisTokenStore.make({
          cluster: { nodes: [{ host: "127.0.0.1", port: 1 }] },
          connectTimeout: "200 millis",
          commandTimeout: hang
        })
        // A slow machine may still be connecting
        yield* Effect.repeat(failureOf(store.get("k")), {
          until: ({ description }) =>
            description.startsWith("Redis is not connected: no node of the cluster knows the others: "),
          schedule: Schedule.spaced("20 millis")
        })
      }))
  })
})
