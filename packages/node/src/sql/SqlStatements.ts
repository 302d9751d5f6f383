/**
 * The statements of a store, in the dialect of each database. A call is one
 * statement, or two if the database has no conditional insert. All times are those
 * of the database: milliseconds since 1970, or null without an expiry.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment, Statement } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** The supported databases, by Effect's names. */
export type Dialect = keyof typeof tables

/** A row, with its remaining lifetime (ms). */
export interface Row {
  readonly version: string
  readonly payload: string
  readonly remaining: number | null
}

/** Which row a write may replace. An expired one may always be replaced. */
export interface Over {
  readonly version: string | null
  /** A row with a longer lifetime (ms), or with none, may be replaced. */
  readonly longest?: number | null | undefined
}

/** The notice that the statement sends to other processes when it changes a row. */
export interface Notice {
  readonly channel: string
  readonly message: string
}

/** The statements for one table. Writes return whether they changed a row. */
export interface SqlStatements {
  readonly createTable: Effect.Effect<unknown, SqlError>
  readonly read: (id: string) => Effect.Effect<Option.Option<Row>, SqlError>
  readonly write: (
    id: string,
    row: Row,
    over: Over,
    notice?: Notice | undefined
  ) => Effect.Effect<boolean, SqlError>
  readonly extend: (id: string, version: string, millis: number | null) => Effect.Effect<boolean, SqlError>
  readonly remove: (id: string, version: string, notice?: Notice | undefined) => Effect.Effect<boolean, SqlError>
  /** Removes some expired rows. */
  readonly removeExpired: Effect.Effect<unknown, SqlError>
}

// More than a write adds; after an outage, or in a restored backup, many rows may have expired
const maxRemoved = 100

// The second key is the index by expiry, created by the same statement as the table
const tables = {
  pg: (table: string) =>
    `CREATE TABLE IF NOT EXISTS ${table} (
  id TEXT PRIMARY KEY,
  version TEXT NOT NULL,
  payload TEXT NOT NULL,
  expires_at BIGINT,
  UNIQUE (expires_at, id)
)`,
  // VARBINARY compares bytes: case and spaces at the end count
  mysql: (table: string) =>
    `CREATE TABLE IF NOT EXISTS ${table} (
  id VARBINARY(255) PRIMARY KEY,
  version VARBINARY(255) NOT NULL,
  payload MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL,
  expires_at BIGINT,
  UNIQUE (expires_at, id)
) ENGINE = InnoDB`,
  sqlite: (table: string) =>
    `CREATE TABLE IF NOT EXISTS ${table} (
  id TEXT PRIMARY KEY,
  version TEXT NOT NULL,
  payload TEXT NOT NULL,
  expires_at INTEGER,
  UNIQUE (expires_at, id)
) STRICT`
}

const epochMillis = (timestamp: string) => `floor(extract(epoch FROM ${timestamp}) * 1000)::bigint`

/** The database's clock. */
const clockOf = (dialect: Dialect): string => {
  switch (dialect) {
    case "pg":
      // The time of this call, not of the statement's start: in between it may have waited for a lock
      return epochMillis("clock_timestamp()")
    case "mysql":
      // In UTC: local time repeats an hour when summer time ends
      return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000"
    case "sqlite":
      // In every version only the Julian day has milliseconds
      return "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
  }
}

/** Whether the dialect is supported. */
export const isKnown = (dialect: string): dialect is Dialect => Object.hasOwn(tables, dialect)

/** The statement that creates the table. */
export const ddl = (dialect: Dialect, table: string): string => {
  const quote = dialect === "mysql" ? "`" : "\""
  return tables[dialect](table.split(".").map((part) => `${quote}${part}${quote}`).join("."))
}

/** The dialect of a client, by Effect's name. */
export const dialectOf = (sql: SqlClient): string =>
  sql.onDialectOrElse({
    pg: () => "pg",
    mysql: () => "mysql",
    sqlite: () => "sqlite",
    mssql: () => "mssql",
    clickhouse: () => "clickhouse",
    orElse: () => "unknown"
  })

/** The statements for a table of a client. */
export const make = (sql: SqlClient, dialect: Dialect, name: string): SqlStatements => {
  const table = sql(name)
  const now = sql.literal(clockOf(dialect))
  const createTable = sql.unsafe(ddl(dialect, name)).raw

  // The app's client may transform the names of columns; ours stay as they are
  const rows = <A extends object>(statement: Statement<A>) => statement.withoutTransform
  const isAny = (statement: Statement<object>) => Effect.map(rows(statement), ({ length }) => length > 0)

  const inTime = sql`(expires_at IS NULL OR expires_at > ${now})`

  const isReplaced = (column: (name: "version" | "expires_at") => Fragment, { longest, version }: Over) =>
    longest === undefined
      ? sql`(${column("version")} = ${version} OR ${column("expires_at")} <= ${now})`
      : sql`(${column("version")} = ${version} OR ${column("expires_at")} IS NULL OR ${
        column("expires_at")
      } <= ${now} OR ${column("expires_at")} > ${now} + ${longest})`

  const read = (version: Fragment): SqlStatements["read"] => (id) =>
    Effect.map(
      rows(sql<{ version: string; payload: string; remaining: number | string | null }>`
SELECT ${version} AS version, payload, expires_at - ${now} AS remaining FROM ${table} WHERE id = ${id} AND ${inTime}`),
      ([row]) =>
        row === undefined ? Option.none() : Option.some({
          ...row,
          // Some drivers return a 64-bit integer as a string
          remaining: row.remaining === null ? null : Number(row.remaining)
        })
    )

  if (dialect === "mysql") {
    /**
     * MySQL returns no changed row, only their number. For an update it also says how many rows matched: without the flag
     * FOUND_ROWS, `affectedRows` does not count a row whose values stayed the same.
     */
    const isChanged = (statement: Statement<object>) =>
      Effect.map(statement.raw, (result) => {
        const { affectedRows, info } = result as { readonly affectedRows: number; readonly info?: string }
        return Number(/\d+/.exec(info ?? "")?.[0] ?? affectedRows) > 0
      })
    const column = (name: string) => sql.literal(name)
    return {
      createTable,
      read: read(sql.literal("CONVERT(version USING utf8mb4)")),
      write: (id, { payload, remaining, version }, over) =>
        Effect.flatMap(
          isChanged(sql`
UPDATE ${table} SET version = ${version}, payload = ${payload}, expires_at = ${now} + ${remaining}
WHERE id = ${id} AND ${isReplaced(column, over)}`),
          (replaced) =>
            replaced ? Effect.succeed(true) : isChanged(sql`
INSERT IGNORE INTO ${table} (id, version, payload, expires_at)
VALUES (${id}, ${version}, ${payload}, ${now} + ${remaining})`)
        ),
      extend: (id, version, millis) =>
        isChanged(sql`
UPDATE ${table} SET expires_at = ${now} + ${millis} WHERE id = ${id} AND version = ${version} AND ${inTime}`),
      remove: (id, version) =>
        isChanged(sql`DELETE FROM ${table} WHERE id = ${id} AND version = ${version} AND ${inTime}`),
      removeExpired: sql`DELETE FROM ${table} WHERE expires_at <= ${now} LIMIT ${sql.literal(String(maxRemoved))}`.raw
    }
  }

  /** Sends the notice in the same statement as the change. */
  const telling = (change: Statement<object>, notice: Notice | undefined) =>
    dialect === "pg" && notice !== undefined
      ? sql`WITH changed AS (${change}) SELECT pg_notify(${notice.channel}, ${notice.message}) FROM changed`
      : change

  const kept = (name: string) => sql.literal(`kept.${name}`)
  const isPostgres = dialect === "pg"
  const locked = sql.literal(isPostgres ? "FOR UPDATE SKIP LOCKED" : "")
  // Postgres uses no index for a time that changes within a statement
  const atStart = isPostgres ? sql.literal(epochMillis("statement_timestamp()")) : now

  return {
    createTable,
    read: read(sql.literal("version")),
    write: (id, { payload, remaining, version }, over, notice) =>
      isAny(telling(
        sql`
INSERT INTO ${table} AS kept (id, version, payload, expires_at)
VALUES (${id}, ${version}, ${payload}, ${now} + ${remaining})
ON CONFLICT (id) DO UPDATE
SET version = excluded.version, payload = excluded.payload, expires_at = excluded.expires_at
WHERE ${isReplaced(kept, over)}
RETURNING id`,
        notice
      )),
    extend: (id, version, millis) =>
      isAny(sql`
UPDATE ${table} SET expires_at = ${now} + ${millis} WHERE id = ${id} AND version = ${version} AND ${inTime}
RETURNING id`),
    remove: (id, version, notice) =>
      isAny(telling(
        sql`DELETE FROM ${table} WHERE id = ${id} AND version = ${version} AND ${inTime} RETURNING id`,
        notice
      )),
    removeExpired: rows(sql`
DELETE FROM ${table} WHERE id IN (
  SELECT id FROM ${table} WHERE expires_at <= ${atStart} LIMIT ${sql.literal(String(maxRemoved))} ${locked}
)`)
  }
}
