import { EncryptedTokenStore, type OAuthError } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisCluster from "@effect-alf/servers/redis/RedisCluster"
import * as RedisSentinel from "@effect-alf/servers/redis/RedisSentinel"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import * as TlsCertificate from "@effect-alf/servers/redis/TlsCertificate"
import * as ServerProcess from "@effect-alf/servers/ServerProcess"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Array as Arr,
  Context,
  Duration,
  Effect,
  Fiber,
  Layer,
  Option,
  Queue,
  Redacted,
  Schedule,
  Stream
} from "effect"
import { Cluster } from "ioredis"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { shared } from "../../core/test/support/shared.js"
import {
  assertHides,
  becomes,
  documentedRights,
  entry,
  eventually,
  failsWith,
  failureOf,
  hearsAgain,
  keepsContract,
  loadForLong,
  makeClient,
  newKey,
  open,
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

/** Clusters, nodes of which fail: as many as there are tests, each of which takes one. The first primary has a replica. */
class Failing extends Context.Tag("Failing")<Failing, Queue.Dequeue<RedisCluster.RedisCluster>>() {
  static readonly layer = (count: number) =>
    Layer.scoped(
      Failing,
      Effect.gen(function*() {
        const clusters = yield* Effect.replicateEffect(
          RedisCluster.make({
            replicas: 1,
            args: ["--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"]
          }),
          count,
          { concurrency: "unbounded" }
        )
        const queue = yield* Queue.unbounded<RedisCluster.RedisCluster>()
        yield* Queue.offerAll(queue, clusters)
        return queue
      })
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

    it.scopedLive("keeps it encrypted as well", () =>
      Effect.gen(function*() {
        const { primaries } = yield* Three
        const prefix = "encrypted:"
        const keys = [{ id: "one", key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) }]
        const encrypt = Effect.flatMap((store: Store) => EncryptedTokenStore.make(store, { keys }))
        const [store, other] = yield* Effect.all([encrypt(ownStore({ prefix })), encrypt(storeOverApp({ prefix }))])
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
        const port = yield* ServerProcess.freePort
        const { primaries: [node] } = yield* RedisCluster.make({
          size: 1,
          args: [
            ...["--tls-cluster", "yes", "--tls-port", `${port}`, ...args],
            ...["--user", "app", "on", ">correct-horse", ...(yield* documentedRights()), "+cluster", "+client", "+info"]
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

  shared(Failing.layer(5))("a cluster that fails", ({ scopedLive }) => {
    // It belongs to the first primary
    const key = "b"

    /** How long nodes wait before they call another one failed; it is also how soon they tell each other of anything. */
    const setPatience = (
      { primaries, replicas }: RedisCluster.RedisCluster,
      millis: number,
      gone?: RedisServer.RedisServer
    ) =>
      Effect.forEach(
        [...primaries, ...replicas].filter((node) => node !== gone),
        ({ port }) => RedisServer.ask(port, (node) => node.config("SET", "cluster-node-timeout", millis)),
        { concurrency: "unbounded", discard: true }
      )

    // It must find out that nobody answers
    const impatient = { connectTimeout: "500 millis", commandTimeout: "200 millis" } as const

    // Nothing else would end its wait
    const bounded = { connectTimeout: "500 millis", commandTimeout: hang } as const

    /** A store that holds the key, what another one is told, and who else holds it. */
    const start = (options: Partial<RedisTokenStore.Options> = {}) =>
      Effect.gen(function*() {
        const cluster = yield* Effect.flatMap(Failing, Queue.take)
        const { addresses, agrees, primaries, primaryOf, replicas } = cluster
        assert.strictEqual(yield* primaryOf(key), primaries[0])
        yield* agrees
        // From now on none is given up but the one that is to be
        yield* setPatience(cluster, hang)
        const address = { cluster: { nodes: addresses } }
        const store = yield* RedisTokenStore.make({ ...address, ...impatient, ...options })
        const other = yield* RedisTokenStore.make({ ...address, ...impatient })
        const told = yield* tellsOf(other)
        yield* hearsAgain(told, store)
        // On a machine that is slow the replica may take over at the start, and what the primary had is gone
        const pair = [primaries[0], replicas[0]]
        const standby = Effect.zipRight(eventually(write(store, key)), Effect.findFirst(pair, isStandby))
        const replica = yield* eventually(Effect.flatten(standby))
        const [primary] = pair.filter((node) => node !== replica)
        return { cluster, primary, replica, store, told }
      })

    /** Whether a node is a replica that has the key. */
    const isStandby = ({ port }: RedisServer.RedisServer) =>
      RedisServer.ask(port, async (node) => {
        await node.readonly()
        return await node.exists(`effect-alf:{${key}}`) === 1 &&
          (await node.info("replication")).includes("master_link_status:up")
      })

    const goesOn = (
      { store, told }: { readonly store: Store; readonly told: ReadonlyArray<string> }
    ) =>
      Effect.gen(function*() {
        deepStrictEqual(yield* eventually(versionIn(store, key)), Option.some("v1"))
        yield* hearsAgain(told, store)
      })

    scopedLive("all of it is gone, and comes back empty", () =>
      Effect.gen(function*() {
        const { cluster: { primaries, replicas }, store, told } = yield* start(bounded)
        yield* Effect.forEach([...primaries, ...replicas], ({ kill }) => kill, { concurrency: "unbounded" })
        assert.match((yield* failureOf(store.get(key))).description, /^Redis is not connected: /)
        yield* Effect.forEach([...primaries, ...replicas], ({ start }) => start(), { concurrency: "unbounded" })
        deepStrictEqual(yield* eventually(store.get(key)), Option.none())
        yield* hearsAgain(told, store)
      }))

    scopedLive("a primary that hangs", () =>
      Effect.gen(function*() {
        const { cluster, primary, ...rest } = yield* start()
        yield* primary.pause
        assert.strictEqual((yield* failureOf(rest.store.get(key))).reason, "Timeout")
        yield* setPatience(cluster, 300, primary)
        yield* goesOn(rest)
      }))

    scopedLive("a primary that is gone", () =>
      Effect.gen(function*() {
        const { cluster, primary, ...rest } = yield* start(bounded)
        yield* primary.kill
        assert.match((yield* failureOf(rest.store.get(key))).description, /^Redis is not connected: /)
        yield* setPatience(cluster, 300, primary)
        yield* goesOn(rest)
      }))

    scopedLive("a failover that was planned", () =>
      Effect.gen(function*() {
        const { replica, ...rest } = yield* start()
        yield* Effect.raceFirst(
          // Redis gives it up after five seconds
          Effect.forever(Effect.zipRight(
            Effect.ignore(RedisServer.ask(replica.port, (node) => node.cluster("FAILOVER"))),
            Effect.sleep("6 seconds")
          )),
          RedisServer.askUntil(replica.port, (node) => node.role(), ([role]) => role === "master")
        )
        yield* goesOn(rest)
      }))

    scopedLive("slots that nobody holds", () =>
      Effect.gen(function*() {
        const { primary: { port }, store, told } = yield* start(bounded)
        const slot = yield* RedisServer.ask(port, (node) => node.cluster("KEYSLOT", key))
        yield* RedisServer.ask(port, (node) => node.cluster("DELSLOTS", slot))
        assert.match((yield* failureOf(store.get(key))).description, /^CLUSTERDOWN Hash slot not served/)
        yield* RedisServer.ask(port, (node) => node.cluster("ADDSLOTS", slot))
        yield* eventually(store.get(key))
        yield* hearsAgain(told, store)
      }))
  })
})

describe.concurrent("RedisConnection, sentinels", () => {
  it.scopedLive("sentinels: the store follows the primary, and so do the notices", () =>
    Effect.gen(function*() {
      const { name, primary, replica, sentinel, watch } = yield* RedisSentinel.make
      // It must find out that nobody answers
      const options: RedisTokenStore.Options = {
        connectTimeout: "500 millis",
        commandTimeout: "200 millis",
        redis: { sentinels: [{ host: "127.0.0.1", port: sentinel.port }], name }
      }
      const store = yield* RedisTokenStore.make(options)
      const other = yield* RedisTokenStore.make(options)
      const told = yield* tellsOf(other)
      yield* hearsAgain(told, store)
      assert.isTrue(yield* (yield* open({ url: primary.url })).set("k", entry("v1"), Option.none()))
      deepStrictEqual(yield* eventually(versionIn(store, "k")), Option.some("v1"))
      yield* RedisServer.askUntil(replica.port, (client) => client.exists("effect-alf:{k}"), (count) => count === 1)

      // It does not answer any more, and its connections stay open
      yield* primary.pause
      assert.strictEqual((yield* failureOf(store.get("k"))).reason, "Timeout")
      yield* sentinel.kill
      const unreachable = yield* eventually(
        Effect.filterOrFail(failureOf(store.get("k")), ({ description }) => description.includes("sentinels"))
      )
      assert.match(unreachable.description, /^Redis is not connected: All sentinels are unreachable\./)
      yield* sentinel.start()
      yield* watch
      deepStrictEqual(yield* eventually(versionIn(store, "k")), Option.some("v1"))
      assert.isTrue(yield* eventually(store.set("k", entry("v2"), Option.some("v1"))))
      yield* hearsAgain(told, store)
    }))
})

describe.concurrent("RedisTokenStore, a server that is there and does not answer", () => {
  const secret = "the-secret-payload"

  it.scopedLive("LOADING, until it has loaded", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* loadForLong(server)
      const connectTimeout = "200 millis"
      const waiting = yield* open({ url: server.url, connectTimeout })
      // Before that it may still connect
      yield* failsWith(waiting.get("k"), /^LOADING /)
      const error = yield* failureOf(waiting.set("k", entry("v1", secret), Option.none()))
      assert.match(error.description, /^LOADING Redis is loading the dataset in memory$/)
      assert.strictEqual(error.reason, "Unavailable")
      assertHides(error, secret)
      const appClient = yield* makeClient(server.url, { enableReadyCheck: false })
      yield* Effect.promise(() => new Promise<void>((resolve) => appClient.once("ready", () => resolve())))
      const unready = yield* RedisTokenStore.fromClient(appClient, { commandTimeout: hang })
      assert.match((yield* failureOf(unready.get("k"))).description, /^LOADING /)
      const store = yield* open({ url: server.url, connectTimeout })
      yield* Effect.promise(() => appClient.config("SET", "key-load-delay", "0"))
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("stopped by SIGSTOP: every call is bounded; it works again after SIGCONT", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const store = yield* RedisTokenStore.make({ url: server.url, commandTimeout: "200 millis" })
      const slower = yield* RedisTokenStore.make({ url: server.url, commandTimeout: "800 millis" })
      yield* eventually(slower.get("k"))
      yield* eventually(write(store, "k"))
      yield* server.pause
      const calls: ReadonlyArray<Effect.Effect<unknown, OAuthError.TokenStoreError>> = [
        store.get("k"),
        store.set("k", entry("v2", "the-payload"), Option.some("v1")),
        store.remove("k", "v1"),
        store.acquireLease("k", "a", Duration.hours(1)),
        store.extendLease("k", "a", Duration.hours(1)),
        store.releaseLease("k", "a")
      ]
      // Timers end in the order of their times, however late
      const ended: Array<string> = []
      const errors = yield* Effect.all(
        [...calls, slower.get("k")].map((call, index) =>
          Effect.tap(failureOf(call), () => ended.push(index < calls.length ? "quick" : "slow"))
        ),
        { concurrency: "unbounded" }
      )
      deepStrictEqual(ended, [...calls.map(() => "quick"), "slow"])
      for (const error of errors.slice(0, calls.length)) {
        assert.strictEqual(error.description, "Redis gave no answer within 200ms")
        assert.strictEqual(error.reason, "Timeout")
        assertHides(error, "the-payload")
      }
      // Also for a process that starts now: nothing else would end its wait
      yield* Effect.scoped(
        RedisTokenStore.make({ url: server.url, connectTimeout: "200 millis", commandTimeout: hang })
      )
      yield* server.resume
      yield* eventually(store.get("k"))
    }))
})

describe.concurrent("RedisNotices, a server that comes and goes", () => {
  it.scopedLive("down at the start, killed, stopped: the stream stays open, and tells again when the server is back", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* server.kill
      const quick = { url: server.url, connectTimeout: "200 millis", commandTimeout: "200 millis" } as const
      const store = yield* RedisTokenStore.make(quick)
      const other = yield* RedisTokenStore.make(quick)
      const open = yield* Effect.forkScoped(Stream.runDrain(store.changes))
      const told = yield* tellsOf(store)
      yield* server.start()
      yield* hearsAgain(told, other)
      yield* server.kill
      yield* server.start()
      yield* hearsAgain(told, other)
      yield* server.pause
      yield* failureOf(other.get("k"))
      yield* server.resume
      yield* hearsAgain(told, other)
      // A connection that begins while the server is stopped
      yield* server.pause
      const third = yield* RedisTokenStore.make(quick)
      const late = yield* tellsOf(third)
      yield* failureOf(third.get("k"))
      yield* server.resume
      yield* hearsAgain(late, other)
      assert.isTrue(Option.isNone(yield* Fiber.poll(open)))
    }))
})
