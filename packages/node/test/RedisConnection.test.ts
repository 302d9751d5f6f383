import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import * as RedisSentinel from "@effect-alf/redis-server/RedisSentinel"
import * as TlsCertificate from "@effect-alf/redis-server/TlsCertificate"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Option, Redacted } from "effect"
import {
  entry,
  eventually,
  failureOf,
  hearsAgain,
  makeClient,
  makeSocket,
  newKey,
  tellsOf,
  versionIn
} from "./RedisBench.js"

/** Two processes with the same options share an entry, and one tells the other. */
const shares = (options: RedisTokenStore.Options) =>
  Effect.gen(function*() {
    const one = yield* RedisTokenStore.make(options)
    const other = yield* RedisTokenStore.make(options)
    const told = yield* tellsOf(other)
    const key = newKey()
    assert.isTrue(yield* one.set(key, entry("v1"), Option.none()))
    deepStrictEqual(yield* versionIn(other, key), Option.some("v1"))
    yield* hearsAgain(told, one)
  })

describe("RedisConnection", () => {
  it.scopedLive("TLS: with the authority that signed the server's certificate, and not without", () =>
    Effect.gen(function*() {
      const { args, ca } = yield* TlsCertificate.make
      const server = yield* RedisServer.make({ args: (port) => ["--port", "0", "--tls-port", `${port}`, ...args] })
      for (const host of ["127.0.0.1", "localhost"]) {
        const url = `rediss://${host}:${server.port}`
        yield* shares({ url, redis: { tls: { ca } } })
      }
      const distrustful = yield* RedisTokenStore.make({ url: `rediss://127.0.0.1:${server.port}` })
      const error = yield* failureOf(distrustful.get("k"))
      assert.match(error.description, /^Redis is not connected: .*(certificate|CERT|ISSUER)/)
      const plain = yield* RedisTokenStore.make({
        url: `redis://127.0.0.1:${server.port}`,
        connectTimeout: "200 millis"
      })
      assert.match((yield* failureOf(plain.get("k"))).description, /^Redis is not connected: /)
    }))

  it.scopedLive("a user with a password, over TLS, and a database", () =>
    Effect.gen(function*() {
      const { args, ca } = yield* TlsCertificate.make
      const server = yield* RedisServer.make({
        args: (port) => [
          ...["--port", "0", "--tls-port", `${port}`, ...args],
          ...["--user", "app", "on", ">correct-horse", "~*", "&*", "+@all"]
        ]
      })
      const url = Redacted.make(`rediss://app:correct-horse@127.0.0.1:${server.port}/3`)
      yield* shares({ url, redis: { tls: { ca } } })
      yield* shares({
        redis: { host: "127.0.0.1", port: server.port, username: "app", password: "correct-horse", tls: { ca } }
      })
    }))

  it.scopedLive("the socket of a server on the same machine", () =>
    Effect.gen(function*() {
      const { directory, path, url } = yield* makeSocket
      yield* shares({ redis: { path } })
      yield* shares({ url })
      yield* shares({ url: new URL(`unix:${path}`) })
      const store = yield* RedisTokenStore.make({ url: `unix://${directory}/nothing.sock` })
      assert.match((yield* failureOf(store.get("k"))).description, /^Redis is not connected: .*ENOENT/)
    }))

  it.scopedLive("sentinels: the store follows the primary, and so do the notices", () =>
    Effect.gen(function*() {
      const { name, primary, replica, sentinel } = yield* RedisSentinel.make
      const options: RedisTokenStore.Options = {
        connectTimeout: "500 millis",
        commandTimeout: "300 millis",
        redis: { sentinels: [{ host: "127.0.0.1", port: sentinel.port }], name }
      }
      const store = yield* RedisTokenStore.make(options)
      const other = yield* RedisTokenStore.make(options)
      const told = yield* tellsOf(other)
      assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
      yield* hearsAgain(told, store)
      const onReplica = yield* makeClient(replica.url)
      yield* Effect.promise(() => onReplica.exists("effect-alf:{k}")).pipe(Effect.repeat({ until: (n) => n === 1 }))

      // It does not answer any more, and its connections stay open
      yield* primary.pause
      const [took, error] = yield* Effect.timed(failureOf(store.get("k")))
      assert.strictEqual(error.reason, "Timeout")
      assert.isBelow(Duration.toMillis(took), 1_000)
      yield* sentinel.kill
      const unreachable = yield* eventually(
        Effect.filterOrFail(failureOf(store.get("k")), ({ description }) => description.includes("sentinels"))
      )
      assert.match(unreachable.description, /^Redis is not connected: All sentinels are unreachable\./)
      yield* sentinel.start()
      deepStrictEqual(yield* eventually(versionIn(store, "k")), Option.some("v1"))
      assert.isTrue(yield* eventually(store.set("k", entry("v2"), Option.some("v1"))))
      yield* hearsAgain(told, store)
    }))
})
