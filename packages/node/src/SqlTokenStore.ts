/**
 * A `TokenStore` in a database, over the `SqlClient` of `@effect/sql`: the
 * processes of an app share their tokens in Postgres, MySQL, MariaDB or SQLite.
 * Every write is one conditional statement, and every time is the database's.
 *
 * It does not need Node, only a client for the runtime. The package `@effect/sql` is loaded when a store is made.
 *
 * @since 0.1.0
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import { TokenStoreError } from "@effect-alf/core/OAuthError"
import { byTurns, TokenStore } from "@effect-alf/core/TokenStore"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as SqlConnection from "./sql/SqlConnection.js"
import * as SqlFailure from "./sql/SqlFailure.js"
import * as SqlNotices from "./sql/SqlNotices.js"
import * as SqlStatements from "./sql/SqlStatements.js"
import * as StoredKey from "./store/StoredKey.js"
import * as StoreVariables from "./store/StoreVariables.js"

/**
 * The databases that the store knows, by the names that Effect has for them;
 * `mysql` is MariaDB as well.
 *
 * @since 0.1.0
 * @category models
 */
export type Dialect = "pg" | "mysql" | "sqlite"

/**
 * Options of a store.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The table, with its schema if need be: letters, digits and `_`, at most 63 characters in all. The default is
   * `effect_alf_tokens`.
   */
  readonly table?: string | undefined
  /**
   * Creates the table whenever it is missing. The default is `false`, for an app that may not create tables and has
   * `migration` among its migrations.
   */
  readonly createTable?: boolean | undefined
  /**
   * Listens to what other processes store, over LISTEN and NOTIFY of Postgres, if the client is that of
   * `@effect/sql-pg`. The default is `true`; `false` is for a pooler without sessions, such as PgBouncer in transaction
   * mode, which delivers no notices.
   */
  readonly notices?: boolean | undefined
}

/**
 * Options of a store with a client of its own.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions extends Options {
  /**
   * How long one call may take before the store replaces its client. TokenProvider's `storeTimeout` applies too, and is
   * shorter by default. A synchronous driver, as those of SQLite are, is not bounded by either. The default is 1
   * second.
   */
  readonly commandTimeout?: Duration.DurationInput | undefined
  /** How long a client may take to be made. The default is 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
}

const defaultTable = "effect_alf_tokens"
// TokenProvider waits half as long: this limits calls that continue after that
const defaultCommandTimeout = Duration.seconds(1)
// The limit that the clients of @effect/sql have themselves
const defaultConnectTimeout = Duration.seconds(5)

// Postgres would cut a longer name; the limits of MySQL and of channels are not lower
const tableName = /^(?=.{1,63}$)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$/

const checkTable = ({ table = defaultTable }: Options): Effect.Effect<string, InvalidOptions> =>
  tableName.test(table)
    ? Effect.succeed(table)
    : LayerOptions.invalid(
      "SqlTokenStore.table",
      "is not the name of a table: letters, digits and _, perhaps with a schema before a dot, at most 63 characters"
    )

const checkDialect = (sql: SqlClient): Effect.Effect<Dialect, InvalidOptions> => {
  const dialect = SqlStatements.dialectOf(sql)
  return SqlStatements.isKnown(dialect) ? Effect.succeed(dialect) : LayerOptions.invalid(
    "SqlTokenStore",
    `does not know the SQL of ${dialect}: it knows that of Postgres, MySQL and SQLite`
  )
}

// -----------------------------------------------------------------------------
// tables
// -----------------------------------------------------------------------------

/**
 * The statement that creates the table, for apps that run it themselves.
 *
 * @since 0.1.0
 * @category tables
 */
export const ddl = (dialect: Dialect, table: string = defaultTable): string => SqlStatements.ddl(dialect, table)

/**
 * Creates the table if it is missing, as one of the app's migrations.
 *
 * @example
 * ```ts
 * import { SqlTokenStore } from "@effect-alf/node"
 * import { Migrator } from "@effect/sql"
 *
 * const loader = Migrator.fromRecord({
 *   "0007_effect_alf_tokens": SqlTokenStore.migration()
 * })
 * ```
 *
 * @since 0.1.0
 * @category tables
 */
export const migration = (
  options: Pick<Options, "table"> = {}
): Effect.Effect<void, InvalidOptions | SqlError, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* Effect.flatten(SqlConnection.Tag)
    const table = yield* checkTable(options)
    const dialect = yield* checkDialect(sql)
    yield* SqlStatements.make(sql, dialect, table).createTable
  })

// -----------------------------------------------------------------------------
// stores
// -----------------------------------------------------------------------------

/**
 * A store over the app's client, which it neither configures nor closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<TokenStore["Type"], InvalidOptions, SqlClient | Scope.Scope> =>
  Effect.gen(function*() {
    const sql = yield* Effect.flatten(SqlConnection.Tag)
    yield* checkDialect(sql)
    return yield* fromConnection(SqlConnection.fromClient(sql), options)
  })

/**
 * A store with a client of its own. It is a cache, not a dependency: it can be
 * built while the database is down, and works again when that is available.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeWithClient = <E, R>(
  client: Layer.Layer<SqlClient, E, R>,
  options: ClientOptions = {}
): Effect.Effect<TokenStore["Type"], InvalidOptions, R | Scope.Scope> =>
  Effect.gen(function*() {
    const limits = yield* LayerOptions.collect({
      commandTimeout: LayerOptions.positiveDuration(
        "SqlTokenStore.commandTimeout",
        options.commandTimeout ?? defaultCommandTimeout
      ),
      connectTimeout: LayerOptions.positiveDuration(
        "SqlTokenStore.connectTimeout",
        options.connectTimeout ?? defaultConnectTimeout
      ),
      table: checkTable(options)
    })
    return yield* fromConnection(yield* SqlConnection.make(client, limits), options)
  })

/**
 * A store over the app's client, or over that of a test.
 *
 * @example
 * ```ts
 * import { SqlTokenStore } from "@effect-alf/node"
 * import { LibsqlClient } from "@effect/sql-libsql"
 * import { Layer } from "effect"
 *
 * const layer = Layer.provide(SqlTokenStore.layer(), LibsqlClient.layer({ url: ":memory:" }))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<TokenStore, InvalidOptions, SqlClient> =>
  Layer.scoped(TokenStore, make(options))

/**
 * A store with a client of its own, closed with the layer.
 *
 * @example
 * ```ts
 * import { SqlTokenStore } from "@effect-alf/node"
 * import { PgClient } from "@effect/sql-pg"
 * import { Config, Effect, Layer } from "effect"
 *
 * const layer = Layer.unwrapEffect(Effect.map(
 *   Config.redacted("DATABASE_URL"),
 *   (url) => SqlTokenStore.layerWithClient(PgClient.layer({ url, connectTimeout: "2 seconds" }))
 * ))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithClient = <E, R>(
  client: Layer.Layer<SqlClient, E, R>,
  options?: ClientOptions
): Layer.Layer<TokenStore, InvalidOptions, Exclude<R, Scope.Scope>> =>
  Layer.scoped(TokenStore, makeWithClient(client, options))

/**
 * The variables of a store.
 *
 * @since 0.1.0
 * @category configurations
 */
export const variables = {
  sqlTable: StoreVariables.sqlTable,
  sqlCreateTable: StoreVariables.sqlCreateTable
}

/**
 * The variables of a store, for `layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const environment = {
  table: variables.sqlTable.config,
  createTable: variables.sqlCreateTable.config
}

/**
 * Reads the options from a configuration; those of the client are read by its
 * own `layerConfig`.
 *
 * @example
 * ```ts
 * import { SqlTokenStore } from "@effect-alf/node"
 * import { LibsqlClient } from "@effect/sql-libsql"
 * import { Layer } from "effect"
 *
 * const layer = SqlTokenStore.layerConfig(SqlTokenStore.environment).pipe(
 *   Layer.provide(LibsqlClient.layer({ url: ":memory:" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<Options>,
  options?: Options
): Layer.Layer<TokenStore, InvalidOptions | ConfigError.ConfigError, SqlClient> =>
  LayerOptions.make(config, (configured: Options) => layer({ ...options, ...configured }))

// Conflicts with other processes are retried within the time of one call
const tryAgain = Schedule.intersect(Schedule.jittered(Schedule.exponential("2 millis")), Schedule.recurs(8))

// 142,000 years, half of the largest exact number: if the clock of a database is set back, remaining lifetimes grow
const longestMillis = 2 ** 52

/** The lifetime for the database: whole milliseconds, at least one; null for an entry that does not expire. */
const encodeMillis = (duration: Duration.Duration): number | null =>
  Duration.isFinite(duration)
    ? Math.min(Math.max(1, Math.floor(Duration.toMillis(duration))), longestMillis)
    : null

const decodeMillis = (millis: number | null): Duration.Duration =>
  millis === null ? Duration.infinity : Duration.millis(millis)

/** A lease with more than ten times the requested duration left is ignored. */
const longestLease = (duration: Duration.Duration) => encodeMillis(Duration.times(duration, 10))

const toStoreError = (method: TokenStoreError["method"], error: unknown, secret?: string) =>
  error instanceof SqlConnection.Silence
    ? new TokenStoreError({
      method,
      reason: "Timeout",
      description: `the database gave no answer within ${Duration.format(error.limit)}`
    })
    : new TokenStoreError({ method, reason: "Unavailable", description: SqlFailure.describe(error, secret) })

// Calls never join a transaction of the app: other processes must see a lease or a token at once
const outsideTransactions: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E> = Effect.mapInputContext(() =>
  Context.empty()
)

// The span of a statement would end with the driver's error, which may quote a token
const withoutSpans = Effect.withTracerEnabled(false)

const closed = new Error("the store is closed")

const fromConnection = Effect.fnUntraced(function*(connection: SqlConnection.SqlConnection, options: Options) {
  const table = yield* checkTable(options)
  const { announce, changes } = options.notices === false
    ? SqlNotices.none
    : yield* SqlNotices.make(connection, table)
  const fork = yield* FiberSet.makeRuntime<never>()
  const mayCreate = options.createTable === true
  let isCreated = !mayCreate
  let last: { readonly sql: SqlClient; readonly statements: SqlStatements.SqlStatements } | undefined

  const statementsOf = (sql: SqlClient) =>
    last?.sql === sql ? Effect.succeed(last.statements) : Effect.map(checkDialect(sql), (dialect) => {
      last = { sql, statements: SqlStatements.make(sql, dialect, table) }
      return last.statements
    })

  const createTable = ({ createTable }: SqlStatements.SqlStatements) =>
    Effect.suspend(() => isCreated ? Effect.void : Effect.map(createTable, () => void (isCreated = true)))

  // The table, or the file that contains it, may be removed at any time
  const isToBeCreated = (error: SqlError) => mayCreate && SqlFailure.isNoTable(error)

  const run = <A>(
    method: TokenStoreError["method"],
    ask: (statements: SqlStatements.SqlStatements) => Effect.Effect<A, SqlError>,
    secret?: string
  ): Effect.Effect<A, TokenStoreError> =>
    connection.use((sql) =>
      Effect.flatMap(
        statementsOf(sql),
        (statements) =>
          createTable(statements).pipe(
            Effect.zipRight(ask(statements)),
            Effect.tapError((error) => {
              if (isToBeCreated(error)) isCreated = false
              return Effect.void
            }),
            Effect.retry({
              while: (error) => SqlFailure.isConflict(error) || isToBeCreated(error),
              schedule: tryAgain
            })
          )
      )
    ).pipe(
      outsideTransactions,
      withoutSpans,
      Effect.sandbox,
      // Calls end with the scope of the store
      Effect.mapError((cause) =>
        toStoreError(method, Cause.isInterruptedOnly(cause) ? closed : Cause.squash(cause), secret)
      )
    )

  let isTidying = false
  const tidy = Effect.suspend(() => {
    isTidying = true
    return Effect.ensuring(
      Effect.ignore(run("remove", ({ removeExpired }) => removeExpired)),
      Effect.sync(() => {
        isTidying = false
      })
    )
  })

  const entryId = (key: string) => StoredKey.entry("", key)
  const leaseId = (key: string) => StoredKey.lease("", key)

  return TokenStore.of({
    sharing: byTurns,
    get: (key) =>
      Effect.map(
        run("get", ({ read }) => read(entryId(key))),
        Option.map(({ payload, remaining, version }) => ({ version, payload, timeToLive: decodeMillis(remaining) }))
      ),
    set: (key, { payload, timeToLive, version }, replaces) =>
      Effect.tap(
        run("set", ({ write }) =>
          write(
            entryId(key),
            { version, payload, remaining: encodeMillis(timeToLive) },
            { version: Option.getOrNull(replaces) },
            announce(key)
          ), payload),
        () => {
          if (!isTidying) fork(tidy)
        }
      ),
    remove: (key, version) => run("remove", ({ remove }) => remove(entryId(key), version, announce(key))),
    acquireLease: (key, owner, duration) =>
      run("acquireLease", ({ write }) =>
        write(
          leaseId(key),
          { version: owner, payload: "", remaining: encodeMillis(duration) },
          { version: owner, longest: longestLease(duration) }
        )),
    extendLease: (key, owner, duration) =>
      run("extendLease", ({ extend }) => extend(leaseId(key), owner, encodeMillis(duration))),
    releaseLease: (key, owner) => Effect.asVoid(run("releaseLease", ({ remove }) => remove(leaseId(key), owner))),
    changes
  })
})
