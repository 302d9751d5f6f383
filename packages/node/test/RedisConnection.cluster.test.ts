import { TokenStore, TokenStoreContract } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import * as RedisCluster from "@effect-alf/redis-server/RedisCluster"
import * as TlsCertificate from "@effect-alf/redis-server/TlsCertificate"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Duration, Effect, Layer, Option, Redacted, Schedule } from "effect"
import { Cluster } from "ioredis"
import { shared } from "../../core/test/support/shared.js"
import {
  assertHides,
  becomes,
  documentedRights,
  eventually,
  failureOf,
  hearsAgain,
  makeClient,
  newKey,
  shortTime,
  type Store,
  tellsOf,
  versionIn,
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

const ownStore = Effect.flatMap(
  Three,
  // More time than a busy machine takes
  ({ addresses: [first] }) => RedisTokenStore.make({ cluster: { nodes: [first] }, commandTimeout: "10 seconds" })
)

const storeOverApp = Effect.gen(function*() {
  const { addresses } = yield* Three
  return yield* RedisTokenStore.fromClient(yield* makeApp(addresses), { commandTimeout: "10 seconds" })
})

shared(Three.layer)("RedisConnection, a cluster", (it) => {
  describe.concurrent("contract", () => {
    for (const row of TokenStoreContract.make({ advance: Effect.sleep, other: storeOverApp, shortTime })) {
      it.scopedLive(row.name, () => Effect.provideServiceEffect(row.effect, TokenStore.TokenStore, ownStore))
    }
  })

  it.scopedLive("each key is on its own node with all that belongs to it, and every node tells of it", () =>
    Effect.gen(function*() {
      const { primaries } = yield* Three
      const store = yield* ownStore
      // Each on a node that it picks itself
      const told = yield* Effect.all(Arr.makeBy(6, () => Effect.flatMap(storeOverApp, tellsOf)))
      yield* Effect.forEach(told, (told) => hearsAgain(told, store))
      const keys = Arr.makeBy(30, newKey)
      yield* Effect.forEach(keys, (key) => write(store, key), { concurrency: "unbounded" })
      yield* Effect.forEach(keys, (key) => store.acquireLease(key, "a", Duration.minutes(1)))
      yield* becomes(() => told.every((told) => keys.every((key) => told.includes(key))))
      const held = yield* Effect.forEach(
        primaries,
        ({ url }) =>
          Effect.scoped(Effect.flatMap(makeClient(url), (client) => Effect.promise(() => client.keys("effect-alf:*"))))
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

  it.scopedLive("a url is one of the nodes", () =>
    Effect.gen(function*() {
      const { primaries } = yield* Three
      const store = yield* RedisTokenStore.make({
        url: `${primaries[2].url}/0`,
        cluster: {},
        redis: { keyPrefix: "app:" }
      })
      const told = yield* tellsOf(
        yield* RedisTokenStore.make({ url: primaries[0].url, cluster: {}, prefix: "app:effect-alf:" })
      )
      yield* hearsAgain(told, store)
    }))

  it.scopedLive("a node that is asked first and is not there", () =>
    Effect.gen(function*() {
      const { addresses } = yield* Three
      const store = yield* RedisTokenStore.make({ cluster: { nodes: [{ host: "127.0.0.1", port: 1 }, addresses[1]] } })
      assert.isTrue(yield* write(store, newKey()))
    }))

  it.scopedLive("many calls at once, from the first on", () =>
    Effect.gen(function*() {
      const store = yield* ownStore
      const found = yield* Effect.forEach(Arr.makeBy(100, newKey), (key) => store.get(key), {
        concurrency: "unbounded"
      })
      assert.isTrue(found.every(Option.isNone))
    }))
})

describe("RedisConnection, a cluster with TLS and a user", () => {
  it.scopedLive("what the url says holds for every node", () =>
    Effect.gen(function*() {
      const { args, ca } = yield* TlsCertificate.make
      const port = yield* RedisServer.freePort
      const { primaries: [node] } = yield* RedisCluster.make({
        size: 1,
        args: [
          ...["--tls-cluster", "yes", "--tls-port", `${port}`, ...args],
          ...["--user", "app", "on", ">correct-horse", ...(yield* documentedRights()), "+cluster"]
        ]
      })
      const options = (password: string) => ({
        url: Redacted.make(`rediss://app:${password}@localhost:${port}`),
        redis: { tls: { ca } },
        cluster: {}
      })
      const store = yield* RedisTokenStore.make(options("correct-horse"))
      const told = yield* tellsOf(yield* RedisTokenStore.make(options("correct-horse")))
      yield* hearsAgain(told, store)
      deepStrictEqual(yield* RedisServer.ask(node.port, (client) => client.acl("LOG")), [])
      const error = yield* Effect.flatMap(
        RedisTokenStore.make(options("wrong-horse")),
        ({ get }) => failureOf(get("k"))
      )
      assert.match(error.description, /^Redis is not connected: no node of the cluster .*: WRONGPASS /)
      assertHides(error, "horse")
    }))
})

describe("RedisConnection, a cluster that is not there", () => {
  it.live.each<readonly [RedisTokenStore.Options, string]>([
    [{ cluster: {} }, "RedisTokenStore.url is missing"],
    [{ cluster: { nodes: [] } }, "RedisTokenStore.url is missing"],
    [{ url: "redis://host/2", cluster: {} }, "RedisTokenStore.url names a database, and a cluster has none but 0"],
    [{ url: "unix:///path", cluster: {} }, "RedisTokenStore.url is a socket, and a cluster has none"]
  ])("%o", ([options, message]) =>
    Effect.gen(function*() {
      const error = yield* Effect.scoped(failureOf(RedisTokenStore.make(options)))
      assert.strictEqual(error.message, message)
    }))

  it.scopedLive("costs no more than one wait", () =>
    Effect.gen(function*() {
      const [took, store] = yield* Effect.timed(
        RedisTokenStore.make({ cluster: { nodes: [{ host: "127.0.0.1", port: 1 }] } })
      )
      assert.isBelow(Duration.toMillis(took), 2_500)
      const error = yield* failureOf(store.get("k"))
      assert.match(error.description, /^Redis is not connected: no node of the cluster tells of the others: /)
    }))
})

class Replicated extends Context.Tag("Replicated")<Replicated, RedisCluster.RedisCluster>() {
  static readonly layer = Layer.scoped(
    Replicated,
    RedisCluster.make({ replicated: true, args: ["--cluster-node-timeout", "1000"] })
  )
}

shared(Replicated.layer)("RedisConnection, a cluster that fails", (it) => {
  const key = "k"

  /** The primary that has the key, and its replica, which is up to date. */
  const holders = Effect.gen(function*() {
    const { primaries, primaryOf, replicas } = yield* Replicated
    const index = primaries.indexOf(yield* primaryOf(key))
    const pair = [primaries[index], replicas[index]] as const
    const info = yield* RedisServer.ask(pair[0].port, (node) => node.info("replication"))
    const [primary, replica] = info.includes("role:master") ? pair : [pair[1], pair[0]]
    yield* Effect.repeat(RedisServer.ask(replica.port, (node) => node.info("replication")), {
      until: (info) => info.includes("master_link_status:up"),
      schedule: Schedule.spaced("20 millis")
    })
    return { primary, replica }
  })

  /** A store that holds the key, and what another one is told. */
  const start = Effect.gen(function*() {
    const { addresses, agrees } = yield* Replicated
    // What the test before has done must be over for all nodes: a replica takes over the slots that it has heard of
    yield* agrees
    // A call outlasts the four redirections, with 100 ms before each, and then says that nothing is connected
    const options = {
      cluster: { nodes: addresses },
      connectTimeout: "500 millis",
      commandTimeout: "1 second"
    } as const
    const store = yield* RedisTokenStore.make(options)
    const told = yield* tellsOf(yield* RedisTokenStore.make(options))
    yield* hearsAgain(told, store)
    yield* eventually(store.remove(key, "v1"))
    assert.isTrue(yield* write(store, key))
    return { store, told }
  })

  const goesOn = ({ store, told }: Effect.Effect.Success<typeof start>) =>
    Effect.gen(function*() {
      deepStrictEqual(yield* eventually(versionIn(store, key)), Option.some("v1"))
      yield* hearsAgain(told, store)
    })

  const failsSoon = (store: Store) =>
    Effect.map(Effect.timed(failureOf(store.get(key))), ([took, error]) => {
      assert.isBelow(Duration.toMillis(took), 5_000)
      return error
    })

  it.scopedLive("a failover that was planned", () =>
    Effect.gen(function*() {
      const started = yield* start
      const { replica } = yield* holders
      yield* RedisServer.ask(replica.port, (node) => node.cluster("FAILOVER"))
      yield* Effect.repeat(RedisServer.ask(replica.port, (node) => node.role()), {
        until: ([role]) => role === "master",
        schedule: Schedule.spaced("20 millis")
      })
      yield* goesOn(started)
    }))

  it.scopedLive("a primary that hangs", () =>
    Effect.gen(function*() {
      const started = yield* start
      const { primary } = yield* holders
      yield* primary.pause
      assert.strictEqual((yield* failsSoon(started.store)).reason, "Timeout")
      yield* goesOn(started)
      yield* primary.resume
    }))

  it.scopedLive("a primary that is gone", () =>
    Effect.gen(function*() {
      const started = yield* start
      const { primary } = yield* holders
      yield* primary.kill
      assert.match((yield* failsSoon(started.store)).description, /^Redis is not connected: /)
      yield* goesOn(started)
      yield* primary.start()
    }))

  it.scopedLive("all of it is gone, and comes back empty", () =>
    Effect.gen(function*() {
      const { store, told } = yield* start
      const { primaries, replicas } = yield* Replicated
      yield* Effect.forEach([...primaries, ...replicas], ({ kill }) => kill)
      assert.match((yield* failsSoon(store)).description, /^Redis is not connected: /)
      yield* Effect.forEach([...primaries, ...replicas], ({ start }) => start())
      deepStrictEqual(yield* eventually(store.get(key)), Option.none())
      yield* hearsAgain(told, store)
    }))

  // The last one: a replica that had taken over before it heard of the slot again would have lost it for all
  it.scopedLive("slots that nobody holds", () =>
    Effect.gen(function*() {
      const started = yield* start
      const { port } = (yield* holders).primary
      const slot = yield* RedisServer.ask(port, (node) => node.cluster("KEYSLOT", key))
      yield* RedisServer.ask(port, (node) => node.cluster("DELSLOTS", slot))
      assert.match((yield* failsSoon(started.store)).description, /^CLUSTERDOWN Hash slot not served/)
      yield* RedisServer.ask(port, (node) => node.cluster("ADDSLOTS", slot))
      yield* eventually(started.store.get(key))
      yield* hearsAgain(started.told, started.store)
    }))
})
