import { AuthedHttpClient } from "@effect-alf/core"
import { type NodeAuthedHttpClient, SqlTokenStore } from "@effect-alf/node"
import * as PostgresServer from "@effect-alf/servers/postgres/PostgresServer"
import * as ServerProcess from "@effect-alf/servers/ServerProcess"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, type Duration, Effect, Layer, Option, Redacted } from "effect"
import { createServer } from "node:net"
import { shared } from "../../core/test/support/shared.js"
import * as ClockAhead from "./ClockAhead.js"
import * as Process from "./Process.js"
import { fitIntoOneSecond } from "./slowAnswers.js"
import { entry, eventually, failureOf, makeProxy, newTable, patient, postgresClient, versionIn } from "./SqlBench.js"

class Server extends Context.Tag("Server")<Server, PostgresServer.PostgresServer>() {
  static readonly layer = Layer.scoped(Server, Effect.zipRight(PostgresServer.install, PostgresServer.make()))
}

const clientAt = (port: number, connectTimeout: Duration.DurationInput = "2 seconds") =>
  PgClient.layer({ url: Redacted.make(`postgres://postgres@127.0.0.1:${port}/postgres`), connectTimeout })

/** Two processes over Postgres, with whatever is between. */
const makeProcesses = (
  port: number,
  options: SqlTokenStore.ClientOptions = {},
  client?: Pick<NodeAuthedHttpClient.Options, "storeTimeout">
) =>
  Process.makeTwo({
    ...client,
    tokenStore: Layer.orDie(
      SqlTokenStore.layerWithClient(clientAt(port, options.connectTimeout), {
        table: newTable(),
        createTable: true,
        ...options
      })
    )
  })

/** For processes that have to detect that the server does not respond. */
const impatient = { connectTimeout: "500 millis", commandTimeout: "500 millis" } as const

const makeProxied = Effect.gen(function*() {
  const server = yield* Server
  const port = yield* ServerProcess.freePort
  return { ...(yield* makeProxy(server.port, { port })), port }
})

const makeTable = Effect.gen(function*() {
  const { url } = yield* Server
  const sql = Context.get(yield* Layer.build(postgresClient(url)), SqlClient.SqlClient)
  const table = newTable()
  yield* Effect.provideService(SqlTokenStore.migration({ table }), SqlClient.SqlClient, sql)
  return { sql, table }
})

shared(Server.layer)("SqlTokenStore over Postgres, under traffic", (it) => {
  it.scoped("100 requests within the lifetime of a token cost no statement", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxied
      const { sql, table } = yield* makeTable
      const { clients: [client], log, request } = yield* makeProcesses(proxy.port, { ...patient, table })
      assert.strictEqual(yield* request, 1)
      // Until the token is stored and its lease is over
      yield* Effect.repeat(Effect.orDie(sql`SELECT id FROM ${sql(table)}`), {
        until: (rows) => rows.length === 1 && String(rows[0].id).startsWith("entry:")
      })
      const get = client.get("/").pipe(AuthedHttpClient.withTokenScope("scope-0"))
      const statements = Effect.gen(function*() {
        const before = proxy.asked.length
        yield* log(Effect.replicateEffect(get, 100, { concurrency: 16, discard: true }))
        // What the write has removed in passing, and the end of connections that nobody uses
        return proxy.asked.slice(before).filter((chunk) => !/DELETE|^X/.test(chunk))
      })
      // The process that hears of the new token may read it meanwhile, once
      deepStrictEqual(yield* Effect.repeat(statements, { until: (asked) => asked.length === 0, times: 1 }), [])
    }))

  it.scopedLive("if the server is down at the start, the store is made, and works once the server is up", () =>
    Effect.gen(function*() {
      const server = yield* Server
      yield* server.kill
      const table = newTable()
      const store = yield* SqlTokenStore.makeWithClient(clientAt(server.port), { ...patient, table, createTable: true })
      const error = yield* failureOf(store.get("k"))
      assert.match(error.description, /^the database fails: .*ECONNREFUSED/)
      yield* server.start()
      assert.isTrue(yield* eventually(store.set("k", entry("v1"), Option.none())))
    }))

  it.scopedLive("a client that does not answer is replaced", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxied
      const store = yield* SqlTokenStore.makeWithClient(clientAt(proxy.port), {
        table: newTable(),
        createTable: true,
        commandTimeout: "500 millis",
        notices: false
      })
      yield* eventually(store.set("k", entry("v1"), Option.none()))
      proxy.swallow()
      const error = yield* failureOf(store.get("k"))
      assert.strictEqual(error.reason, "Timeout")
      assert.strictEqual(error.description, "the database gave no answer within 500ms")
      proxy.pass()
      deepStrictEqual(yield* eventually(versionIn(store, "k")), Option.some("v1"))
    }))

  it.scopedLive("rule 8: no request fails while the network drops everything, and afterwards the token is shared again", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxied
      yield* Process.surviveDrops(proxy, yield* makeProcesses(proxy.port, impatient))
    }).pipe(ClockAhead.provide))

  it.scoped("rule 8: a request waits for slow responses no longer than the limit for one", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxied
      const { messages, request, server: { tokenRequests } } = yield* makeProcesses(
        proxy.port,
        { ...patient, notices: false },
        { storeTimeout: "1 second" }
      )
      yield* fitIntoOneSecond({ proxy, miss: /SELECT 0/, request, messages: () => messages, tokenRequests })
    }))

  it.scopedLive("rule 8: no request fails if something other than the database responds", () =>
    Effect.gen(function*() {
      const port = yield* ServerProcess.freePort
      const garbage = createServer((socket) =>
        socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
      )
      yield* Effect.acquireRelease(
        Effect.async<void>((resume) => void garbage.listen(port, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => garbage.close())
      )
      const { messages, request } = yield* makeProcesses(port)
      assert.strictEqual(yield* request, 2)
      yield* request
      assert.lengthOf(messages.filter(Process.isWarning), 2)
    }))
})
