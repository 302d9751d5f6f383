/**
 * The stores that the demo and the fleet can keep their tokens in: how each is
 * started, and the layer that an app has over it. A further one is an entry of
 * the table.
 */
import { OAuthError } from "@effect-alf/core"
import type { TokenStore } from "@effect-alf/core"
import { MemcachedTokenStore, RedisTokenStore, SqlTokenStore } from "@effect-alf/node"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as PostgresServer from "@effect-alf/servers/postgres/PostgresServer"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { ServerError } from "@effect-alf/servers/ServerError"
import * as ServerFolder from "@effect-alf/servers/ServerFolder"
import { Reactivity } from "@effect/experimental"
import { LibsqlClient } from "@effect/sql-libsql"
import { PgClient } from "@effect/sql-pg"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Either, Redacted } from "effect"
import type { Duration, Layer, Scope } from "effect"
import { join } from "node:path"

export interface Address {
  readonly url: string
  /** What every key begins with. */
  readonly prefix?: string
}

/** How long it is waited for; each store has its defaults. */
export interface Limits {
  readonly commandTimeout?: Duration.DurationInput
  readonly connectTimeout?: Duration.DurationInput
}

/** A server that runs. */
export interface Running {
  readonly address: Address
  /** What it is and where. */
  readonly name: string
  /** How often it was given each command so far, without this question; missing where it does not tell. */
  readonly commands?: Effect.Effect<ReadonlyMap<string, number>, ServerError>
}

export interface SharedStore {
  /** What people call it. */
  readonly title: string
  /** Starts a server of its own, installed if it must be. */
  readonly start: Effect.Effect<Running, ServerError, Scope.Scope>
  readonly layer: (address: Address & Limits) => Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions>
}

const redis: SharedStore = {
  title: "Redis",
  start: Effect.map(Effect.zipRight(RedisServer.install, RedisServer.make()), ({ name, port, url }) => ({
    address: { url },
    name: `${name} on 127.0.0.1:${port}`,
    commands: RedisServer.commands(port)
  })),
  layer: RedisTokenStore.layer
}

const memcached: SharedStore = {
  title: "Memcached",
  start: Effect.map(Effect.zipRight(MemcachedServer.install, MemcachedServer.make()), ({ address, port }) => ({
    address: { url: `memcached://${address}` },
    name: `memcached on ${address}`,
    commands: MemcachedServer.commands(port)
  })),
  layer: ({ url, ...options }) => MemcachedTokenStore.layer({ servers: url, ...options })
}

// Each process makes the table when it first uses the store, all of them at once
const createTable = true

const postgres: SharedStore = {
  title: "Postgres",
  start: Effect.gen(function*() {
    yield* PostgresServer.install
    const { port, url } = yield* PostgresServer.make({ args: ["-c", "shared_preload_libraries=pg_stat_statements"] })
    return {
      address: { url },
      name: `Postgres on 127.0.0.1:${port}`,
      ...(yield* countStatements(url))
    }
  }),
  layer: ({ prefix: _, url, ...limits }) =>
    SqlTokenStore.layerWithClient(PgClient.layer({ url: Redacted.make(url) }), { createTable, ...limits })
}

/** The statements of a server by their texts; `ping` is what a connection that listens tells itself. */
const countStatements = (url: string) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.make({ url: Redacted.make(url) })
    yield* sql`CREATE EXTENSION pg_stat_statements`
    const counted = sql<{ name: string; calls: number }>`
SELECT CASE WHEN query LIKE 'SELECT pg_notify%' THEN 'ping' ELSE query END AS name, sum(calls)::int AS calls
FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' GROUP BY 1`
    return { commands: Effect.map(toServerError(counted), (rows) => new Map(rows.map((row) => [row.name, row.calls]))) }
  }).pipe(Effect.provide(Reactivity.layer), toServerError)

const toServerError = Effect.mapError((error: SqlError) =>
  new ServerError({ message: `Postgres does not count its statements: ${OAuthError.describe(error.cause)}` })
)

const sqlite: SharedStore = {
  title: "SQLite",
  start: Effect.map(ServerFolder.make("sqlite", []), ({ path }) => ({
    address: { url: `file:${join(path, "tokens.db")}` },
    name: `the file ${join(path, "tokens.db")} of SQLite`
  })),
  layer: ({ prefix: _, url, ...limits }) =>
    SqlTokenStore.layerWithClient(LibsqlClient.layer({ url }), { createTable, ...limits })
}

export const all = { redis, memcached, postgres, sqlite }

export type Name = keyof typeof all

export const names = Object.keys(all) as ReadonlyArray<Name>

/** For people. */
export const list = new Intl.ListFormat("en", { type: "disjunction" }).format(names)

/** Takes `--store NAME` out of the arguments of a command; says what is wrong. */
export const fromArgs = (
  args: ReadonlyArray<string>
): Either.Either<{ readonly store: Name | undefined; readonly rest: ReadonlyArray<string> }, string> => {
  const index = args.indexOf("--store")
  if (index < 0) return Either.right({ store: undefined, rest: args })
  const store = names.find((name) => name === args[index + 1])
  return store === undefined
    ? Either.left(`--store takes ${list}.`)
    : Either.right({ store, rest: args.filter((_, at) => at !== index && at !== index + 1) })
}
