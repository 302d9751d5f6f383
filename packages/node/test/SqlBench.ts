/** What tests of a store over a database share, whatever database it is. */
import { SqlTokenStore } from "@effect-alf/node"
import * as MariaDbServer from "@effect-alf/servers/mariadb/MariaDbServer"
import * as PostgresServer from "@effect-alf/servers/postgres/PostgresServer"
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Context, Duration, Effect, Layer, Redacted } from "effect"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { hang } from "../../core/test/support/hang.js"
import { isThorough } from "../../core/test/support/Runs.js"
import * as StoreBench from "./StoreBench.js"
import { becomes, eventually, makeDirectory, newKey, patient, type Store, tellsOf, write } from "./StoreBench.js"

export * from "./StoreBench.js"

export type ClientLayer = Layer.Layer<SqlClient.SqlClient, unknown>

/** A database, and a table in it that nobody else uses. */
export class Database extends Context.Tag("Database")<Database, {
  /** Makes a client, as a process does. */
  readonly client: ClientLayer
  /** As ALF_STORE_URL names it. */
  readonly url: string
  /** Looks at what is stored. */
  readonly sql: SqlClient.SqlClient
  readonly table: string
}>() {}

const make = (url: string, client: ClientLayer) =>
  Effect.gen(function*() {
    const sql = yield* Effect.map(Layer.build(client), Context.get(SqlClient.SqlClient))
    const table = newTable()
    yield* Effect.provideService(SqlTokenStore.migration({ table }), SqlClient.SqlClient, sql)
    yield* Effect.addFinalizer(() => Effect.ignore(sql`DROP TABLE ${sql(table)}`))
    return Database.of({ client, url, sql, table })
  })

export const newTable = () => `alf_test_${crypto.randomUUID().replaceAll("-", "")}`

// Enough to get in each other's way: a connection costs the server more than the statements of a test
const maxConnections = 2

export const postgresClient = (url: string): ClientLayer =>
  PgClient.layer({ url: Redacted.make(url), connectTimeout: hang, maxConnections })

const postgres = Layer.scoped(
  Database,
  Effect.flatMap(PostgresServer.shared, (url) => make(url, postgresClient(url)))
)

const mariadb = Layer.scoped(
  Database,
  Effect.gen(function*() {
    yield* MariaDbServer.install
    const { url } = yield* MariaDbServer.make()
    return yield* make(url, MysqlClient.layer({ url: Redacted.make(url), maxConnections }))
  })
)

const sqlite = Layer.scoped(
  Database,
  Effect.flatMap(makeDirectory, (directory) => {
    const file = join(directory, "tokens.db")
    const client = Layer.tap(
      LibsqlClient.layer({ url: `file:${file}` }),
      (context) => Context.get(context, SqlClient.SqlClient)`PRAGMA synchronous = OFF`
    )
    return make(`sqlite:${file}`, client)
  })
)

/** By their names; MariaDB in CI only. */
export const databases = { Postgres: postgres, SQLite: sqlite, ...isThorough && { MariaDB: mariadb } }

/** A store as a process of its own has it. */
export const makeStore = (options?: SqlTokenStore.ClientOptions) =>
  Effect.flatMap(
    Database,
    ({ client, table }) => SqlTokenStore.makeWithClient(client, { ...patient, table, ...options })
  )

/** Takes time from all that is stored. */
export const age = (duration: Duration.DurationInput) =>
  Effect.flatMap(
    Database,
    ({ sql, table }) =>
      Effect.orDie(sql`UPDATE ${sql(table)} SET expires_at = expires_at - ${Duration.toMillis(duration)}`)
  )

/** Writes under new keys until one is heard of: when a subscription begins to work only the server knows. */
export const hearsAgain = (told: ReadonlyArray<string>, store: Store) =>
  Effect.suspend(() => {
    const written = new Set<string>()
    const writeNew = Effect.suspend(() => {
      const key = newKey()
      written.add(key)
      return write(store, key)
    })
    return Effect.repeat(Effect.zipLeft(eventually(writeNew), Effect.promise(() => setTimeout(10))), {
      until: () => told.some((key) => written.has(key))
    })
  })

/** The contract of a store, which another process sees as `other`. */
export const keepsContract = ({ other, store }: { readonly store: Store; readonly other: Store }) =>
  Effect.gen(function*() {
    const { sql, table } = yield* Database
    const context = yield* Effect.context<Database>()
    const notices = sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    const told = yield* tellsOf(other)
    if (notices) yield* hearsAgain(told, store)
    /** Whatever was sent before has arrived as well. */
    const delivered = Effect.suspend(() => {
      const marker = newKey()
      return Effect.zipRight(
        sql`SELECT pg_notify(${table}, ${`${crypto.randomUUID()} ${marker}`})`,
        becomes(() => told.includes(marker))
      )
    })
    yield* StoreBench.keepsContract({
      store,
      other,
      notices,
      advance: (duration) =>
        Effect.orDie(Effect.zipRight(Effect.provide(age(duration), context), notices ? delivered : Effect.void))
    })
  })
