import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import * as RedisCluster from "@effect-alf/redis-server/RedisCluster"
import * as TlsCertificate from "@effect-alf/redis-server/TlsCertificate"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Duration, Effect, Layer, Option, Redacted, type Scope } from "effect"
import { Cluster } from "ioredis"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { shared } from "../../core/test/support/shared.js"
import {
  assertHides,
  becomes,
  documentedRights,
  eventually,
  failureOf,
  hearsAgain,
  keepsContract,
  makeClient,
  newKey,
  open,
  tellsOf,
  versionIn,
  write
} from "./RedisBench.js"

const makeApp = (addresses: RedisCluster.RedisCluster["addresses"]) =>
  Effect.acquireRelease(
    Effect.sync(() => new Cluster(Arr.copy(addresses))),
    (cluster) => Effect.sync(() => cluster.disconnect())
  )

/** A cluster, some nodes of which fail. */
class Replicated extends Context.Tag("Replicated")<
  Replicated,
  RedisCluster.RedisCluster & {
    /** One test at a time, in the order in which they are written. */
    readonly turn: Effect.Semaphore
  }
>() {
  static readonly layer = Layer.scoped(
    Replicated,
    Effect.zipWith(
      RedisCluster.make({
        replicated: true,
        args: ["--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"]
      }),
      Effect.makeSemaphore(1),
      (cluster, turn) => ({ ...cluster, turn })
    )
  )
}

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

// Side by side, as a cluster takes two seconds to start
describe.concurrent("RedisConnection", () => {
  shared(Three.layer)("a cluster", (it) => {
    it.scopedLive("keeps the contract of a token store", () =>
      Effect.gen(function*() {
        const { primaries } = yield* Three
        const prefix = "contract:"
        const [store, other] = yield* Effect.all([ownStore({ prefix }), storeOverApp({ prefix })])
        yield* keepsContract({ nodes: primaries.map(({ url }) => url), other, prefix, store })
      }))

    it.scopedLive("each key is on its own node with all that belongs to it, and every node tells of it", () =>
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

    it.scopedLive("a url is one of the nodes", () =>
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

    it.scopedLive("a node that is asked first and is not there", () =>
      Effect.gen(function*() {
        const { addresses } = yield* Three
        const store = yield* open({ cluster: { nodes: [{ host: "127.0.0.1", port: 1 }, addresses[1]] } })
        assert.isTrue(yield* write(store, newKey()))
      }))

    it.scopedLive("many calls at once, from the first on", () =>
      Effect.gen(function*() {
        const store = yield* ownStore()
        const found = yield* Effect.forEach(Arr.makeBy(100, newKey), (key) => store.get(key), {
          concurrency: "unbounded"
        })
        assert.isTrue(found.every(Option.isNone))
      }))
  })

  describe("a cluster with TLS and a user", () => {
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
        const store = yield* open(options("correct-horse"))
        const told = yield* tellsOf(yield* open(options("correct-horse")))
        yield* hearsAgain(told, store)
        deepStrictEqual(yield* RedisServer.ask(node.port, (client) => client.acl("LOG")), [])
        const error = yield* Effect.flatMap(
          open(options("wrong-horse")),
          ({ get }) => failureOf(get("k"))
        )
        assert.match(error.description, /^Redis is not connected: no node of the cluster .*: WRONGPASS /)
        assertHides(error, "horse")
      }))
  })

  describe("a cluster that is not there", () => {
    it.live("options that name none", () =>
      rowsEffect<readonly [RedisTokenStore.Options, string], unknown, never>(
        [
          [{ cluster: {} }, "RedisTokenStore.url is missing"],
          [{ cluster: { nodes: [] } }, "RedisTokenStore.url is missing"],
          [
            { url: "redis://host/2", cluster: {} },
            "RedisTokenStore.url names a database, and a cluster has none but 0"
          ],
          [{ url: "unix:///path", cluster: {} }, "RedisTokenStore.url is a socket, and a cluster has none"]
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
        const error = yield* failureOf(store.get("k"))
        assert.match(error.description, /^Redis is not connected: no node of the cluster tells of the others: /)
      }))
  })

  shared(Replicated.layer)("a cluster that fails", ({ scopedLive }) => {
    const key = "k"

    const inTurn = (name: string, test: () => Effect.Effect<unknown, unknown, Replicated | Scope.Scope>) =>
      scopedLive(name, () => Effect.flatMap(Replicated, ({ turn }) => turn.withPermits(1)(Effect.scoped(test()))))

    /** The primary that has the key, and its replica, which is up to date. */
    const holders = Effect.gen(function*() {
      const { primaries, primaryOf, replicas } = yield* Replicated
      const index = primaries.indexOf(yield* primaryOf(key))
      const pair = [primaries[index], replicas[index]] as const
      const info = yield* RedisServer.ask(pair[0].port, (node) => node.info("replication"))
      const [primary, replica] = info.includes("role:master") ? pair : [pair[1], pair[0]]
      yield* RedisServer.askUntil(
        replica.port,
        async (node) => {
          await node.readonly()
          return await node.exists(`effect-alf:{${key}}`) === 1 &&
            (await node.info("replication")).includes("master_link_status:up")
        },
        Boolean
      )
      return { primary, replica }
    })

    /** How long nodes wait before they call another one failed; it is also how soon they tell each other of anything. */
    const setPatience = (millis: number, gone?: RedisServer.RedisServer) =>
      Effect.flatMap(Replicated, ({ primaries, replicas }) =>
        Effect.forEach(
          [...primaries, ...replicas].filter((node) => node !== gone),
          ({ port }) => RedisServer.ask(port, (node) => node.config("SET", "cluster-node-timeout", millis)),
          { concurrency: "unbounded", discard: true }
        ))

    // It must find out that nobody answers
    const impatient = { connectTimeout: "500 millis", commandTimeout: "200 millis" } as const

    /** A store that holds the key, and what another one is told. */
    const start = (options: Partial<RedisTokenStore.Options> = {}) =>
      Effect.gen(function*() {
        const { addresses, agrees } = yield* Replicated
        // What the test before has done must be over for all nodes: a replica takes over the slots that it has heard of
        yield* setPatience(1_000)
        yield* agrees
        // From now on none is given up but the one that is to be
        yield* setPatience(hang)
        const address = { cluster: { nodes: addresses } }
        const store = yield* RedisTokenStore.make({ ...address, ...impatient, ...options })
        const other = yield* RedisTokenStore.make({ ...address, ...impatient })
        const told = yield* tellsOf(other)
        yield* hearsAgain(told, store)
        yield* eventually(store.remove(key, "v1"))
        yield* eventually(write(store, key))
        return { store, told }
      })

    const goesOn = ({ store, told }: Effect.Effect.Success<ReturnType<typeof start>>) =>
      Effect.gen(function*() {
        deepStrictEqual(yield* eventually(versionIn(store, key)), Option.some("v1"))
        yield* hearsAgain(told, store)
      })

    // Nothing else would end its wait
    const bounded = { connectTimeout: "500 millis", commandTimeout: hang } as const

    inTurn("a failover that was planned", () =>
      Effect.gen(function*() {
        const started = yield* start()
        const { replica } = yield* holders
        yield* RedisServer.ask(replica.port, (node) => node.cluster("FAILOVER"))
        yield* RedisServer.askUntil(replica.port, (node) => node.role(), ([role]) => role === "master")
        yield* goesOn(started)
      }))

    inTurn("a primary that hangs", () =>
      Effect.gen(function*() {
        const started = yield* start()
        const { primary } = yield* holders
        yield* primary.pause
        assert.strictEqual((yield* failureOf(started.store.get(key))).reason, "Timeout")
        yield* setPatience(300, primary)
        yield* goesOn(started)
        yield* primary.resume
      }))

    inTurn("a primary that is gone", () =>
      Effect.gen(function*() {
        const started = yield* start(bounded)
        const { primary } = yield* holders
        yield* primary.kill
        assert.match((yield* failureOf(started.store.get(key))).description, /^Redis is not connected: /)
        yield* setPatience(300, primary)
        yield* goesOn(started)
        yield* primary.start()
      }))

    inTurn("all of it is gone, and comes back empty", () =>
      Effect.gen(function*() {
        const { store, told } = yield* start(bounded)
        const { primaries, replicas } = yield* Replicated
        yield* Effect.forEach([...primaries, ...replicas], ({ kill }) => kill, { concurrency: "unbounded" })
        assert.match((yield* failureOf(store.get(key))).description, /^Redis is not connected: /)
        yield* Effect.forEach([...primaries, ...replicas], ({ start }) => start(), { concurrency: "unbounded" })
        deepStrictEqual(yield* eventually(store.get(key)), Option.none())
        yield* hearsAgain(told, store)
      }))

    // The last one: a replica that had taken over before it heard of the slot again would have lost it for all
    inTurn("slots that nobody holds", () =>
      Effect.gen(function*() {
        const started = yield* start(bounded)
        const { port } = (yield* holders).primary
        const slot = yield* RedisServer.ask(port, (node) => node.cluster("KEYSLOT", key))
        yield* RedisServer.ask(port, (node) => node.cluster("DELSLOTS", slot))
        assert.match((yield* failureOf(started.store.get(key))).description, /^CLUSTERDOWN Hash slot not served/)
        yield* RedisServer.ask(port, (node) => node.cluster("ADDSLOTS", slot))
        yield* eventually(started.store.get(key))
        yield* hearsAgain(started.told, started.store)
      }))
  })
})
