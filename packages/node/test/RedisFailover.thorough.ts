import { RedisTokenStore } from "@effect-alf/node"
import * as RedisCluster from "@effect-alf/servers/redis/RedisCluster"
import * as RedisSentinel from "@effect-alf/servers/redis/RedisSentinel"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import * as TlsCertificate from "@effect-alf/servers/redis/TlsCertificate"
import * as ServerProcess from "@effect-alf/servers/ServerProcess"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Option, Queue, Redacted } from "effect"
import { hang } from "../../core/test/support/hang.js"
import { shared } from "../../core/test/support/shared.js"
import {
  assertHides,
  documentedRights,
  entry,
  eventually,
  failureOf,
  hearsAgain,
  open,
  type Store,
  tellsOf,
  versionIn,
  write
} from "./RedisBench.js"

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

// Side by side, as a cluster takes two seconds to start
describe.concurrent("RedisConnection", () => {
  describe("a cluster with TLS and a user", () => {
    it.scopedLive("TLS and credentials of the URL are used for every node", () =>
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

    scopedLive("all nodes are down, and come back empty", () =>
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

    scopedLive("a primary that is down", () =>
      Effect.gen(function*() {
        const { cluster, primary, ...rest } = yield* start(bounded)
        yield* primary.kill
        assert.match((yield* failureOf(rest.store.get(key))).description, /^Redis is not connected: /)
        yield* setPatience(cluster, 300, primary)
        yield* goesOn(rest)
      }))

    scopedLive("a planned failover", () =>
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

    scopedLive("slots without a node", () =>
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
  it.scopedLive("the store and its notices follow the primary", () =>
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
