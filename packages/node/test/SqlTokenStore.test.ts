import { EncryptedTokenStore } from "@effect-alf/core"
import { SqlTokenStore } from "@effect-alf/node"
import { Reactivity } from "@effect/experimental"
import { Migrator, SqlClient, SqlError, Statement } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Array as Arr,
  Chunk,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schedule,
  String as Str,
  TestClock,
  Tracer
} from "effect"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { isThorough } from "../../core/test/support/Runs.js"
import { shared } from "../../core/test/support/shared.js"
import * as OAuthServer from "./OAuthServer.js"
import {
  assertHides,
  Database,
  databases,
  entry,
  failureOf,
  keepsContract,
  makeStore,
  newKey,
  newTable,
  patient,
  postgresClient,
  versionIn
} from "./SqlBench.js"
import * as StoreUrl from "./StoreUrl.js"

/** How many rows there are of the table, or of those that match. */
const countRows = (like = "%") =>
  Effect.flatMap(
    Database,
    ({ sql, table }) =>
      Effect.map(
        sql<{ n: number | string }>`SELECT count(*) AS n FROM ${sql(table)} WHERE id LIKE ${like}`,
        ([{ n }]) => Number(n)
      )
  )

for (const [name, database] of Object.entries(databases)) {
  shared(database)(`SqlTokenStore over ${name}`, (it) => {
    it.scopedLive("fulfils the contract of a token store", () =>
      Effect.gen(function*() {
        const [store, other] = yield* Effect.all([makeStore(), makeStore()])
        yield* keepsContract({ other, store })
      }))

    it.scopedLive("fulfils it with encryption too, and the database sees no payload", () =>
      Effect.gen(function*() {
        const keys = [{ id: "one", key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) }]
        const encrypted = Effect.flatMap(makeStore(), (store) => EncryptedTokenStore.make(store, { keys }))
        const [store, other] = yield* Effect.all([encrypted, encrypted])
        // In CI with each of them
        if (name === "SQLite" || isThorough) yield* keepsContract({ other, store })
        const { sql, table } = yield* Database
        const key = newKey()
        yield* store.set(key, entry("v1", "a secret"), Option.none())
        const stored = yield* sql`SELECT payload FROM ${sql(table)}`
        assert.notInclude(JSON.stringify(stored), "a secret")
        deepStrictEqual(Option.map(yield* other.get(key), ({ payload }) => payload), Option.some("a secret"))
      }))

    it.scopedLive("processes share a token through the one that ALF_STORE_URL names, and another table is another store", () =>
      Effect.gen(function*() {
        const { table, url } = yield* Database
        const server = yield* OAuthServer.make()
        const variables = { ...StoreUrl.variablesFor(server), ALF_STORE_URL: url, ALF_SQL_TABLE: table }
        for (let process = 0; process < 2; process++) assert.strictEqual(yield* StoreUrl.run(variables), 200)
        assert.lengthOf(server.tokenRequests, 1)
        yield* StoreUrl.run({ ...variables, ALF_SQL_TABLE: newTable(), ALF_SQL_CREATE_TABLE: "true" })
        assert.lengthOf(server.tokenRequests, 2)
      }))

    if (name === "MariaDB") {
      it.scopedLive("works with a client that counts changed rows only", () =>
        Effect.gen(function*() {
          const { table, url } = yield* Database
          const { hostname, password, pathname, port, username } = new URL(url)
          const client = MysqlClient.layer({
            host: hostname,
            port: Number(port),
            database: pathname.slice(1),
            username,
            password: Redacted.make(password),
            poolConfig: { flags: ["-FOUND_ROWS"] }
          })
          const store = yield* SqlTokenStore.makeWithClient(client, { ...patient, table })
          const [key, noEnd] = [newKey(), Duration.infinity]
          // What these write is there already
          assert.isTrue(yield* store.acquireLease(key, "one", noEnd))
          assert.isTrue(yield* store.extendLease(key, "one", noEnd))
          assert.isTrue(yield* store.acquireLease(key, "one", noEnd))
          assert.isFalse(yield* store.extendLease(key, "other", noEnd))
          assert.isTrue(yield* store.set(key, entry("v1"), Option.none()))
          assert.isFalse(yield* store.set(key, entry("v2"), Option.some("v0")))
          assert.isTrue(yield* store.remove(key, "v1"))
          assert.isFalse(yield* store.remove(key, "v1"))
        }))
    }

    it.scopedLive("accepts any lifetime in milliseconds", () =>
      Effect.flatMap(makeStore(), (store) =>
        rowsEffect(
          [0, -5, 0.4, 1.9, 3e9, 1e15, 1e18, Number.MAX_VALUE],
          (millis) => `${millis} ms`,
          (millis) =>
            Effect.gen(function*() {
              const key = newKey()
              assert.isTrue(yield* store.set(key, entry("v1", "p", Duration.millis(millis)), Option.none()))
              if (millis > 1e9) {
                const { timeToLive } = Option.getOrThrow(yield* store.get(key))
                const most = Math.min(millis, 2 ** 52)
                const remaining = Duration.toMillis(timeToLive)
                // The clocks of two connections to MariaDB may be some microseconds apart, on either side of a millisecond
                assert.isTrue(remaining > most * 0.9 && remaining <= most + 1, `${remaining} ms remain`)
              }
            })
        )))

    it.scopedLive("distinguishes keys of any length and with any characters", () =>
      Effect.flatMap(makeStore(), (store) =>
        rowsEffect(
          [
            "",
            "with space ",
            "a\u0000b",
            "line\r\nbreak",
            "ключ",
            "'; DROP TABLE x --",
            "x".repeat(300),
            "x".repeat(9_000)
          ],
          (key) => JSON.stringify(key.slice(0, 20)),
          (key) =>
            Effect.gen(function*() {
              const other = `${key}.`
              for (const name of [key, other]) {
                assert.isTrue(yield* store.set(name, entry(`of ${name.length}`), Option.none()))
                assert.isTrue(yield* store.acquireLease(name, "one", Duration.minutes(1)))
                assert.isFalse(yield* store.acquireLease(name, "another", Duration.minutes(1)))
              }
              for (const name of [key, other]) {
                deepStrictEqual(yield* versionIn(store, name), Option.some(`of ${name.length}`))
                assert.isTrue(yield* store.remove(name, `of ${name.length}`))
              }
            })
        )))

    it.scopedLive("exactly one of many simultaneous writers wins", () =>
      Effect.gen(function*() {
        const stores = yield* Effect.all(Arr.makeBy(3, () => makeStore()))
        const key = newKey()
        for (const round of ["first", "second"]) {
          const before = yield* versionIn(stores[0], key)
          const won = yield* Effect.forEach(
            Arr.makeBy(30, (index) => `${round}-${index}`),
            (version, index) => stores[index % 3].set(key, entry(version), before),
            { concurrency: "unbounded" }
          )
          const winners = won.flatMap((won, index) => won ? [`${round}-${index}`] : [])
          assert.lengthOf(winners, 1)
          deepStrictEqual(yield* versionIn(stores[1], key), Option.some(winners[0]))
        }
      }))

    it.scopedLive("a lease without expiry, or with a distant one as in a restored backup, counts as free", () =>
      Effect.gen(function*() {
        const { sql, table } = yield* Database
        const store = yield* makeStore()
        for (const end of [null, 4e12]) {
          const key = newKey()
          yield* store.acquireLease(key, "a", Duration.minutes(1))
          yield* sql`UPDATE ${sql(table)} SET expires_at = ${end} WHERE id = ${`lease:${key}`}`
          assert.isTrue(yield* store.acquireLease(key, "b", Duration.minutes(1)))
          assert.isFalse(yield* store.acquireLease(key, "a", Duration.minutes(1)))
          yield* store.releaseLease(key, "b")
        }
      }))

    it.scopedLive("later writes remove expired rows, at most 100 each", () =>
      Effect.gen(function*() {
        const { sql, table } = yield* Database
        const store = yield* makeStore()
        const old = Arr.makeBy(250, (n) => ({ id: `old ${n}`, version: "v", payload: "p", expires_at: 1 }))
        yield* sql`INSERT INTO ${sql(table)} ${sql.insert(old)}`
        yield* store.set(newKey(), entry("v1"), Option.none())
        yield* Effect.repeat(countRows("old %"), { until: (count) => count === 150 })
        yield* Effect.repeat(
          Effect.zipRight(store.set(newKey(), entry("v1"), Option.none()), countRows("old %")),
          { until: (count) => count === 0 }
        )
      }))

    it.scopedLive("a call after the scope closed fails, and makes no client", () =>
      Effect.gen(function*() {
        const { client, table } = yield* Database
        let clients = 0
        const counted = Layer.tap(client, () => Effect.sync(() => clients++))
        const store = yield* Effect.scoped(
          Effect.tap(SqlTokenStore.makeWithClient(counted, { ...patient, table }), (store) => store.get("k"))
        )
        const error = yield* failureOf(store.get("k"))
        assert.strictEqual(error.description, "the database fails: the store is closed")
        assert.strictEqual(clients, 1)
      }))

    // SQLite's clients have one connection, for which the call waits until the transaction is over
    if (name !== "SQLite") {
      it.scopedLive("a call within a transaction of the app is not part of it", () =>
        Effect.gen(function*() {
          const { client, table } = yield* Database
          const context = yield* Layer.build(client)
          const sql = Context.get(context, SqlClient.SqlClient)
          const store = yield* Effect.provide(SqlTokenStore.make({ table }), context)
          const key = newKey()
          yield* Effect.exit(sql.withTransaction(
            Effect.zipRight(store.set(key, entry("v1"), Option.none()), Effect.fail("rolled back"))
          ))
          deepStrictEqual(yield* versionIn(store, key), Option.some("v1"))
        }))
    }

    if (name === "Postgres") {
      it.scopedLive("a client may transform names of tables and columns: those of the store stay the same", () =>
        Effect.gen(function*() {
          const { sql, url } = yield* Database
          const client = PgClient.layer({
            url: Redacted.make(url),
            transformQueryNames: Str.camelToSnake,
            transformResultNames: (name) => `${name}Column`
          })
          const table = `${newTable()}Camels`
          const store = yield* SqlTokenStore.makeWithClient(client, { ...patient, table, createTable: true })
          assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
          deepStrictEqual(yield* versionIn(store, "k"), Option.some("v1"))
          assert.isTrue(yield* store.remove("k", "v1"))
          yield* sql`DROP TABLE ${sql(table)}`
        }))

      it.scopedLive("expired rows are found by an index", () =>
        Effect.gen(function*() {
          const { sql } = yield* Database
          const table = newTable()
          yield* Effect.scoped(Effect.gen(function*() {
            const store = yield* makeStore({ table, createTable: true })
            yield* store.get("k")
            yield* sql`
    INSERT INTO ${sql(table)} SELECT n::text, 'v', 'p', CASE n WHEN 1 THEN 1 ELSE 1e14 + n END
    FROM generate_series(1, 20000) AS n`
            yield* sql`ANALYZE ${sql(table)}`
            yield* store.set("k", entry("v1"), Option.none())
            const isRemoved = Effect.map(sql`SELECT id FROM ${sql(table)} WHERE id = '1'`, ({ length }) => length === 0)
            yield* Effect.repeat(isRemoved, { until: (isRemoved) => isRemoved })
          }))
          // A connection that ends is counted, another one only after 10 seconds
          yield* Effect.repeat(
            sql<{ scans: string }>`
    SELECT idx_scan AS scans FROM pg_stat_user_indexes WHERE relname = ${table} AND indexrelname LIKE '%expires%'`,
            { until: ([{ scans }]) => Number(scans) > 0, schedule: Schedule.spaced("20 millis") }
          )
          yield* sql`DROP TABLE ${sql(table)}`
        }))

      it.live("exactly one of many simultaneous writers and lease holders wins, at every isolation level", () =>
        rowsEffect(
          ["read committed", "repeatable read", "serializable"],
          (level) => level,
          (level) =>
            Effect.gen(function*() {
              const { table, url } = yield* Database
              const options = encodeURIComponent(`-c default_transaction_isolation=${level.replace(" ", "\\ ")}`)
              const client = postgresClient(`${url}?options=${options}`)
              const sql = Context.get(yield* Layer.build(client), SqlClient.SqlClient)
              deepStrictEqual(yield* sql`SHOW transaction_isolation`, [{ transaction_isolation: level }])
              const stores = yield* Effect.replicateEffect(
                SqlTokenStore.makeWithClient(client, { ...patient, table }),
                2
              )
              const key = newKey()
              const all = <A, E>(call: (index: number) => Effect.Effect<A, E>) =>
                Effect.forEach(Arr.range(1, 20), call, { concurrency: "unbounded" })
              for (const before of [Option.none(), Option.some("first")]) {
                const won = yield* all((index) => stores[index % 2].set(key, entry(`v${index}`), before))
                assert.lengthOf(won.filter((won) => won), 1)
                const version = Option.getOrThrow(yield* versionIn(stores[0], key))
                assert.isTrue(yield* stores[0].set(key, entry("first"), Option.some(version)))
              }
              const granted = yield* all((index) =>
                stores[index % 2].acquireLease(key, `${index}`, Duration.minutes(1))
              )
              assert.lengthOf(granted.filter((granted) => granted), 1)
            }).pipe(Effect.scoped)
        ))

      it.scopedLive("a table may be in another schema", () =>
        Effect.gen(function*() {
          const { sql } = yield* Database
          const schema = `s${crypto.randomUUID().slice(0, 8)}`
          yield* sql`CREATE SCHEMA ${sql(schema)}`
          const table = `${schema}.tokens`
          const store = yield* makeStore({ table, createTable: true })
          assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
          assert.lengthOf(yield* sql`SELECT id FROM ${sql(table)}`, 1)
          yield* sql`DROP SCHEMA ${sql(schema)} CASCADE`
        }))
    }

    it.scopedLive("without its table the error says how to create it, and createTable does, also in several processes at once", () =>
      Effect.gen(function*() {
        const { sql } = yield* Database
        const table = newTable()
        const lacking = yield* makeStore({ table })
        const error = yield* failureOf(lacking.set("k", entry("v1", "the-secret"), Option.none()))
        assert.strictEqual(error.reason, "Unavailable")
        assert.match(error.description, /; SqlTokenStore\.migration or the option createTable creates it$/)
        assertHides(error, "the-secret")
        const stores = yield* Effect.all(Arr.makeBy(4, () => makeStore({ table, createTable: true })))
        const won = yield* Effect.forEach(stores, (store) => store.set("k", entry("v1"), Option.none()), {
          concurrency: "unbounded"
        })
        assert.lengthOf(won.filter((won) => won), 1)
        deepStrictEqual(yield* versionIn(lacking, "k"), Option.some("v1"))
        yield* sql`DROP TABLE ${sql(table)}`
        // Also one that was there before
        assert.isTrue(yield* stores[0].set("k", entry("v2"), Option.none()))
        deepStrictEqual(yield* versionIn(stores[1], "k"), Option.some("v2"))
        yield* sql`DROP TABLE ${sql(table)}`
      }))

    it.scopedLive("the migration runs among those of an app, and ddl is its statement", () =>
      Effect.gen(function*() {
        const { sql } = yield* Database
        const [table, migrations] = [newTable(), newTable()]
        const migrate = Effect.provideService(
          Migrator.make({})({
            loader: Migrator.fromRecord({ "0007_tokens": SqlTokenStore.migration({ table }) }),
            table: migrations
          }),
          SqlClient.SqlClient,
          sql
        )
        deepStrictEqual(yield* migrate, [[7, "tokens"]])
        deepStrictEqual(yield* migrate, [])
        const dialect = sql.onDialectOrElse({
          pg: () => "pg" as const,
          mysql: () => "mysql" as const,
          orElse: () => "sqlite" as const
        })
        // It is there already, and of this form
        yield* sql.unsafe(SqlTokenStore.ddl(dialect, table))
        const store = yield* makeStore({ table })
        assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
        yield* sql`DROP TABLE ${sql(table)}`
        yield* sql`DROP TABLE ${sql(migrations)}`
      }))
  })
}

shared(databases.SQLite)("SqlTokenStore with a client of its own for SQLite", (it) => {
  it.scopedLive("waits for half of commandTimeout while another process writes the file", () =>
    Effect.gen(function*() {
      const { client, table } = yield* Database
      const context = yield* Layer.build(client)
      const sql = Context.get(context, SqlClient.SqlClient)
      const wait = Effect.map(sql<{ timeout: number }>`PRAGMA busy_timeout`, ([{ timeout }]) => timeout)
      assert.strictEqual(yield* wait, 0)
      const options = { ...patient, table, commandTimeout: "30 seconds" } as const
      const store = yield* SqlTokenStore.makeWithClient(Layer.succeedContext(context), options)
      assert.isTrue(yield* store.set("k", entry("v1"), Option.none()))
      assert.strictEqual(yield* wait, 15_000)
    }))

  it.scoped("after a wait for the file that failed, other processes see the store's next writes", () =>
    Effect.gen(function*() {
      const { client, sql, table } = yield* Database
      const store = yield* SqlTokenStore.makeWithClient(client, { ...patient, table, commandTimeout: "100 millis" })
      const [early, late] = [newKey(), newKey()]
      yield* store.get(early)
      const sleeping = Chunk.size(yield* TestClock.sleeps())
      yield* sql`BEGIN IMMEDIATE`
      const first = yield* Effect.fork(Effect.exit(store.set(early, entry("v1"), Option.none())))
      // It has failed, or waits to try again within its limit
      yield* Effect.repeat(Effect.zip(Fiber.poll(first), TestClock.sleeps()), {
        until: ([exit, sleeps]) => Option.isSome(exit) || Chunk.size(sleeps) > sleeping + 1
      })
      yield* sql`COMMIT`
      yield* TestClock.adjust("20 millis")
      const isWritten = Exit.isSuccess(yield* Fiber.join(first))
      assert.isTrue(yield* store.set(late, entry("v1"), Option.none()))
      const other = yield* makeStore()
      deepStrictEqual(
        [yield* versionIn(other, early), yield* versionIn(other, late)],
        [isWritten ? Option.some("v1") : Option.none(), Option.some("v1")]
      )
      assert.isTrue(yield* other.set(late, entry("v2"), Option.some("v1")))
    }))
})

/** A client that asks nothing, of a dialect. */
const clientOf = (dialect: Statement.Dialect) =>
  Layer.effect(
    SqlClient.SqlClient,
    SqlClient.make({
      acquirer: Effect.dieMessage("nothing is asked"),
      compiler: Statement.makeCompiler({
        dialect,
        placeholder: () => "?",
        onIdentifier: (name) => name,
        onCustom: () => ["", []],
        onRecordUpdate: () => ["", []]
      }),
      spanAttributes: []
    })
  ).pipe(Layer.provide(Reactivity.layer))

const problemOf = (options: SqlTokenStore.ClientOptions, dialect: Statement.Dialect = "sqlite") =>
  Effect.map(
    Effect.flip(Layer.build(Layer.provide(SqlTokenStore.layer(options), clientOf(dialect)))),
    ({ message }) => message
  )

/** A client whose driver fails, and quotes what it was given. */
const quoting = Layer.effect(
  SqlClient.SqlClient,
  Effect.suspend(() => {
    const fail = (statement: string, values: ReadonlyArray<unknown>) =>
      Effect.fail(new SqlError.SqlError({ cause: new Error(`cannot run ${values.join()} in ${statement}`) }))
    return SqlClient.make({
      acquirer: Effect.succeed({
        execute: fail,
        executeRaw: fail,
        executeStream: fail,
        executeValues: fail,
        executeUnprepared: fail
      }),
      compiler: Statement.makeCompilerSqlite(),
      spanAttributes: []
    })
  })
).pipe(Layer.provide(Reactivity.layer))

describe("SqlTokenStore, secrets", () => {
  it.scopedLive("hides the password of a URL, in whatever form a client reports it", () =>
    rowsEffect(
      [
        "connect to postgres://app:hunter2@db/app failed",
        "URL_INVALID: the URL 'mysql://app:hun/ter2@db/app' is not valid",
        "libsql://db?authToken=hunter2: unknown",
        "host=db user=app password=hunter2 dbname=app",
        "connect {\"password\": \"hunter2\"}"
      ],
      (message) => message,
      (message) =>
        Effect.gen(function*() {
          const client = Layer.fail(new SqlError.SqlError({ cause: new Error(message) }))
          const store = yield* SqlTokenStore.makeWithClient(client)
          const error = yield* failureOf(store.get("k"))
          assert.match(error.description, /^the database fails: /)
          assertHides(error, "hunter2", "ter2@")
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("hides a payload that a driver quotes in an error or a span", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(quoting)
      const own = yield* SqlTokenStore.makeWithClient(quoting, patient)
      const overApp = yield* Effect.provide(SqlTokenStore.make(), context)
      const spans: Array<unknown> = []
      const tracer = Tracer.make({
        context: (f) => f(),
        span: (name, parent, context, links, startTime, kind) => {
          const attributes = new Map<string, unknown>()
          return {
            _tag: "Span",
            spanId: name,
            traceId: "trace",
            sampled: true,
            name,
            parent,
            context,
            links,
            kind,
            attributes,
            status: { _tag: "Started", startTime },
            attribute: (key, value) => void attributes.set(key, value),
            event: (...event) => void spans.push(event),
            addLinks: () => {},
            end: (_, exit) => void spans.push(name, attributes, exit)
          }
        }
      })
      for (const store of [own, overApp]) {
        const error = yield* store.set("k", entry("v1", "the-payload"), Option.none()).pipe(
          failureOf,
          Effect.withSpan("request"),
          Effect.withTracer(tracer)
        )
        assert.match(error.description, /^the database fails: cannot run .*<redacted>.* in /)
        assertHides(error, "the-payload")
      }
      assert.include(spans, "request")
      assertHides(spans, "the-payload")
    }))
})

describe("SqlTokenStore, options", () => {
  it.live("refuses an invalid name of a table", () =>
    rowsEffect(
      [
        "",
        "a b",
        "a;b",
        "\"a\"",
        "a.b.c",
        ".a",
        "a.",
        "1a",
        "ä",
        "a".repeat(64),
        `${"a".repeat(40)}.${"b".repeat(30)}`
      ],
      (table) => table,
      (table) =>
        Effect.gen(function*() {
          assert.match(yield* problemOf({ table }), /^SqlTokenStore\.table is not the name of a table: /)
          const own = yield* Effect.flip(SqlTokenStore.makeWithClient(clientOf("sqlite"), { table }))
          assert.strictEqual(own.problems[0].option, "SqlTokenStore.table")
          const migration = Effect.provide(SqlTokenStore.migration({ table }), clientOf("sqlite"))
          assert.match((yield* Effect.flip(migration)).message, /^SqlTokenStore\.table /)
        })
    ))

  it.scopedLive("refuses an unsupported database", () =>
    Effect.gen(function*() {
      for (const dialect of ["mssql", "clickhouse"] as const) {
        const expected =
          `SqlTokenStore does not know the SQL of ${dialect}: it knows that of Postgres, MySQL and SQLite`
        assert.strictEqual(yield* problemOf({}, dialect), expected)
        const store = yield* SqlTokenStore.makeWithClient(clientOf(dialect))
        const error = yield* failureOf(store.get("k"))
        assert.include(error.message, expected)
      }
    }))

  it.live("refuses an invalid duration", () =>
    rowsEffect(["commandTimeout", "connectTimeout"] as const, (name) => name, (name) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(SqlTokenStore.makeWithClient(clientOf("sqlite"), { [name]: 0 }))
        assert.strictEqual(error.message, `SqlTokenStore.${name} must be longer than zero`)
      })))

  it.scopedLive("names every option at fault", () =>
    Effect.gen(function*() {
      const options = { commandTimeout: 0, connectTimeout: 0, table: "a b" }
      const { problems } = yield* Effect.flip(SqlTokenStore.makeWithClient(clientOf("sqlite"), options))
      deepStrictEqual(
        problems.map(({ option }) => option),
        ["SqlTokenStore.commandTimeout", "SqlTokenStore.connectTimeout", "SqlTokenStore.table"]
      )
    }))

  it.scopedLive("layerConfig names the invalid variable", () =>
    Effect.gen(function*() {
      const problem = (variables: Record<string, string>) =>
        SqlTokenStore.layerConfig(SqlTokenStore.environment).pipe(
          Layer.provide(clientOf("sqlite")),
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))),
          Layer.build,
          Effect.flip,
          Effect.map(String)
        )
      assert.match(yield* problem({ ALF_SQL_TABLE: "a b" }), /ALF_SQL_TABLE is not the name of a table/)
      assert.match(yield* problem({ ALF_SQL_CREATE_TABLE: "maybe" }), /ALF_SQL_CREATE_TABLE.*is neither true nor false/)
    }))
})
