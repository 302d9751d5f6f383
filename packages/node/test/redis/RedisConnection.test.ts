import type { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import * as TlsCertificate from "@effect-alf/servers/redis/TlsCertificate"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option, Redacted } from "effect"
import { createServer } from "node:net"
import * as LocalServer from "../LocalServer.js"
import {
  entry,
  eventually,
  failureOf,
  hearsAgain,
  makeSocket,
  newKey,
  open,
  tellsOf,
  versionIn
} from "../RedisBench.js"

/** Two processes with the same options share an entry, and one tells the other. */
const shares = (options: RedisTokenStore.Options) =>
  Effect.gen(function*() {
    const one = yield* open(options)
    const other = yield* open(options)
    const told = yield* tellsOf(other)
    const key = newKey()
    assert.isTrue(yield* one.set(key, entry("v1"), Option.none()))
    deepStrictEqual(yield* versionIn(other, key), Option.some("v1"))
    yield* hearsAgain(told, one)
  })

/** A cluster of one node, which says where a key has moved to when it is left, and not before. */
const makeMoving = Effect.gen(function*() {
  let moves = 0
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let ending = ""
    const node = `*3\r\n$9\r\n127.0.0.1\r\n:${port}\r\n$1\r\n0\r\n`
    const answer = (command: string) => {
      if (/slots/i.test(command)) return `*1\r\n*3\r\n:0\r\n:16383\r\n${node}`
      if (!/evalsha/i.test(command)) return "+OK\r\n"
      if (moves > 0) return "*2\r\n$-1\r\n:-2\r\n"
      ending = `-MOVED 0 localhost:${port}\r\n`
      return ""
    }
    socket.on("data", (chunk) => {
      for (const command of `${chunk}`.split(/(?=\*\d+\r\n)/)) socket.write(answer(command))
    })
    socket.on("end", () => {
      if (ending !== "") moves++
      socket.end(ending)
    })
  })
  const { port } = yield* LocalServer.listen(server)
  return { nodes: [{ host: "127.0.0.1", port }], moves: () => moves }
})

describe.concurrent("RedisConnection", () => {
  it.scopedLive("reconnects to a cluster when it names another node", () =>
    Effect.gen(function*() {
      const { moves, nodes } = yield* makeMoving
      const store = yield* open({ cluster: { nodes }, commandTimeout: "200 millis" })
      yield* eventually(store.get("k"))
      assert.isAbove(moves(), 0)
    }))

  it.scopedLive("TLS: connects only with the authority that signed the server's certificate", () =>
    Effect.gen(function*() {
      const { args, ca } = yield* TlsCertificate.make
      const server = yield* RedisServer.make({ args: (port) => ["--port", "0", "--tls-port", `${port}`, ...args] })
      for (const host of ["127.0.0.1", "localhost"]) {
        const url = `rediss://${host}:${server.port}`
        yield* shares({ url, redis: { tls: { ca } } })
      }
      const distrustful = yield* open({ url: `rediss://127.0.0.1:${server.port}` })
      const error = yield* failureOf(distrustful.get("k"))
      assert.match(error.description, /^Redis is not connected: .*(certificate|CERT|ISSUER)/)
      const plain = yield* open({
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
      const store = yield* open({ url: `unix://${directory}/nothing.sock` })
      assert.match((yield* failureOf(store.get("k"))).description, /^Redis is not connected: .*ENOENT/)
    }))
})
