import { SqlTokenStore } from "@effect-alf/node"
import * as MariaDbServer from "@effect-alf/servers/mariadb/MariaDbServer"
import * as PostgresServer from "@effect-alf/servers/postgres/PostgresServer"
import type { ServerProcess } from "@effect-alf/servers/ServerProcess"
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { shared } from "../../core/test/support/shared.js"
import * as Outage from "./Outage.js"
import { type ClientLayer, makeDirectory, patient, postgresClient } from "./SqlBench.js"
import { timePasses } from "./timePasses.js"

interface Stage extends Outage.Stage {
  /** Asks as the superuser, while the database answers. */
  readonly ask: (...statements: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>
}

interface ServerStage extends Stage {
  readonly server: ServerProcess
}

interface FileStage extends Stage {
  readonly file: string
  readonly setFull: (isFull: boolean) => Effect.Effect<void>
}

/** A store in the table of an app, which `admin` looks at. */
const makeStage = Effect.fnUntraced(function*(
  { admin, app, options, statements }: {
    readonly admin: ClientLayer
    readonly app: ClientLayer
    readonly options?: SqlTokenStore.ClientOptions
    /** Make the table. */
    readonly statements: ReadonlyArray<string>
  }
) {
  const sql = Context.get(yield* Layer.build(admin), SqlClient.SqlClient)
  const ask: Stage["ask"] = (...statements) => Effect.forEach(statements, (statement) => sql.unsafe(statement))
  yield* ask(...statements)
  const stage: Stage = {
    ask,
    tokenStore: Layer.orDie(SqlTokenStore.layerWithClient(app, { ...patient, ...options })),
    stored: Effect.map(sql.unsafe("SELECT payload FROM effect_alf_tokens"), (rows) => JSON.stringify(rows)),
    answered: Effect.repeatN(Effect.ignore(ask("SELECT 1")), 2)
  }
  return stage
})

const tell = (...statements: ReadonlyArray<string>) => ({ ask }: Stage) => ask(...statements)

const time = timePasses("100 millis")

const noAnswer = /: (no answer within 500ms|the calls for one token took more than 500ms)/

const hint = "; SqlTokenStore\\.migration or the option createTable creates it"

const play = <R, S extends Outage.Stage>(
  name: string,
  layer: Layer.Layer<R, unknown>,
  stage: Effect.Effect<S, unknown, R | Scope.Scope>,
  outages: Record<string, Outage.Outage<S>>
) =>
  shared(layer)(`While ${name} fails, requests are answered, and one warning says why`, (it) => {
    for (const [name, outage] of Object.entries(outages)) {
      it.scoped(name, () => Effect.flatMap(stage, (stage) => Outage.play(stage, outage)))
    }
  })

// -----------------------------------------------------------------------------
// Postgres
// -----------------------------------------------------------------------------

class Postgres extends Context.Tag("Postgres")<Postgres, PostgresServer.PostgresServer>() {
  static readonly layer = Layer.scoped(
    Postgres,
    Effect.zipRight(PostgresServer.install, PostgresServer.make({ withPassword: ["app"] }))
  )
}

// Existing connections stay open, and get the new setting with their next statement
const setting = (assignment: string) => tell(`ALTER SYSTEM ${assignment}`, "SELECT pg_reload_conf()")

const cutOff = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"

const inPostgres = Effect.gen(function*() {
  const server = yield* Postgres
  const stage = yield* makeStage({
    admin: postgresClient(server.url),
    app: PgClient.layer({ url: Redacted.make(server.url.replace("postgres@", "app:correct-horse@")) }),
    // Those have limits of seconds, which pass here faster than the server answers
    options: { notices: false },
    statements: [
      "DROP ROLE IF EXISTS app",
      "CREATE ROLE app LOGIN PASSWORD 'correct-horse'",
      SqlTokenStore.ddl("pg"),
      "GRANT ALL ON effect_alf_tokens TO app"
    ]
  })
  yield* Effect.addFinalizer(() => Effect.ignore(stage.ask(cutOff, "DROP TABLE effect_alf_tokens")))
  return { ...stage, server }
})

play<Postgres, ServerStage>("Postgres", Postgres.layer, inPostgres, {
  "the server is down": {
    begin: ({ server }) => server.kill,
    end: ({ server }) => server.start(),
    cause: /: the database fails: .*(ECONNREFUSED|terminat|ECONNRESET)/i
  },
  "it hangs": {
    begin: ({ server }) => server.pause,
    end: ({ server }) => server.resume,
    cause: noAnswer,
    meanwhile: time
  },
  "the server is read-only, as a standby": {
    begin: setting("SET default_transaction_read_only = on"),
    end: setting("RESET default_transaction_read_only"),
    cause: /: the database fails: 25006 cannot execute INSERT in a read-only transaction/
  },
  "the disk is full": {
    begin: tell(
      `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`,
      "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON effect_alf_tokens EXECUTE FUNCTION full_disk()"
    ),
    end: tell("DROP FUNCTION full_disk CASCADE"),
    cause: /: the database fails: 53100 could not extend file: No space left on device/
  },
  "all connections are in use": {
    begin: tell("ALTER ROLE app CONNECTION LIMIT 0", cutOff),
    end: tell("ALTER ROLE app CONNECTION LIMIT -1"),
    cause: /: the database fails: .*(too many connections for role "app"|terminat)/
  },
  "the user lacks permission": {
    begin: tell("REVOKE ALL ON effect_alf_tokens FROM app"),
    end: tell("GRANT ALL ON effect_alf_tokens TO app"),
    cause: /: the database fails: 42501 permission denied for table effect_alf_tokens/
  },
  "the table is missing": {
    begin: tell("ALTER TABLE effect_alf_tokens RENAME TO elsewhere"),
    end: tell("ALTER TABLE elsewhere RENAME TO effect_alf_tokens"),
    cause: new RegExp(`: the database fails: 42P01 relation .* does not exist${hint}`)
  },
  "the password was changed": {
    begin: tell("ALTER ROLE app PASSWORD 'another'", cutOff),
    end: tell("ALTER ROLE app PASSWORD 'correct-horse'"),
    cause: /: the database fails: .*(28P01 password authentication failed|terminat)/
  }
})

// -----------------------------------------------------------------------------
// MariaDB
// -----------------------------------------------------------------------------

class MariaDb extends Context.Tag("MariaDb")<MariaDb, MariaDbServer.MariaDbServer>() {
  static readonly layer = Layer.scoped(
    MariaDb,
    Effect.zipRight(MariaDbServer.install, MariaDbServer.make({ withUsers: true }))
  )
}

interface MariaDbStage extends ServerStage {
  /** Connects as the app does. */
  readonly connect: Effect.Effect<unknown, unknown, Scope.Scope>
}

const inMariaDb = Effect.gen(function*() {
  const server = yield* MariaDb
  const app = MysqlClient.layer({
    url: Redacted.make(server.url.replace("root@", "app:correct-horse@")),
    maxConnections: 1
  })
  const stage = yield* makeStage({
    admin: MysqlClient.layer({ url: Redacted.make(server.url), maxConnections: 1 }),
    app,
    statements: [
      "CREATE OR REPLACE USER app IDENTIFIED BY 'correct-horse'",
      SqlTokenStore.ddl("mysql"),
      "GRANT ALL ON effect_alf_tokens TO app"
    ]
  })
  yield* Effect.addFinalizer(() => Effect.ignore(stage.ask("KILL USER app", "DROP TABLE effect_alf_tokens")))
  return { ...stage, server, connect: Layer.build(app) }
})

play<MariaDb, MariaDbStage>("MariaDB", MariaDb.layer, inMariaDb, {
  "the server is down": {
    begin: ({ server }) => server.kill,
    end: ({ server }) => server.start(),
    cause: /: the database fails: .*(ECONNREFUSED|ECONNRESET|PROTOCOL_CONNECTION_LOST)/
  },
  "it hangs": {
    begin: ({ server }) => server.pause,
    end: ({ server }) => server.resume,
    cause: noAnswer,
    meanwhile: time
  },
  "the server is read-only, as a replica": {
    begin: tell("SET GLOBAL read_only = ON"),
    end: tell("SET GLOBAL read_only = OFF"),
    cause: /: the database fails: .*running with the --read-only option/
  },
  "all connections are in use": {
    begin: ({ ask, connect }) =>
      Effect.zipRight(ask("ALTER USER app WITH MAX_USER_CONNECTIONS 1", "KILL USER app"), connect),
    end: tell("ALTER USER app WITH MAX_USER_CONNECTIONS 0"),
    cause: /: the database fails: .*(max_user_connections|was killed|PROTOCOL_CONNECTION_LOST)/
  },
  "the user lacks permission": {
    begin: tell("REVOKE ALL ON effect_alf_tokens FROM app"),
    end: tell("GRANT ALL ON effect_alf_tokens TO app"),
    cause: /: the database fails: .*command denied to user/
  },
  "the table is missing": {
    begin: tell("RENAME TABLE effect_alf_tokens TO elsewhere"),
    end: tell("RENAME TABLE elsewhere TO effect_alf_tokens"),
    cause: new RegExp(`: the database fails: .*Table 'app.effect_alf_tokens' doesn't exist${hint}`)
  },
  "the password was changed": {
    begin: tell("ALTER USER app IDENTIFIED BY 'another'", "KILL USER app"),
    end: tell("ALTER USER app IDENTIFIED BY 'correct-horse'"),
    cause: /: the database fails: .*(Access denied for user 'app'|was killed|PROTOCOL_CONNECTION_LOST)/
  }
})

// -----------------------------------------------------------------------------
// SQLite
// -----------------------------------------------------------------------------

const inFile = Effect.gen(function*() {
  const file = join(yield* makeDirectory, "of the app", "tokens.db")
  yield* Effect.promise(() => mkdir(join(file, "..")))
  const client = LibsqlClient.layer({ url: `file:${file}` })
  // A limit is that of a connection
  const connected = new Set<SqlClient.SqlClient>()
  let pages = 1_000_000
  const limit = (sql: SqlClient.SqlClient) => sql.unsafe(`PRAGMA max_page_count = ${pages}`)
  const app = Layer.tap(client, (context) => {
    const sql = Context.get(context, SqlClient.SqlClient)
    connected.add(sql)
    return Effect.zipRight(sql`PRAGMA synchronous = OFF`, limit(sql))
  })
  const stage = yield* makeStage({
    admin: client,
    app,
    // It waits for the file for half of this, and nothing else goes on
    options: { commandTimeout: "100 millis" },
    // No entry fits into a page of this size
    statements: ["PRAGMA page_size = 512", "PRAGMA synchronous = OFF", SqlTokenStore.ddl("sqlite")]
  })
  return {
    ...stage,
    file,
    setFull: (isFull: boolean) =>
      Effect.suspend(() => {
        // At least as many as it has
        pages = isFull ? 1 : 1_000_000
        return Effect.forEach(connected, (sql) => Effect.ignore(limit(sql)), { discard: true })
      })
  }
})

const files = (act: (file: string) => Promise<unknown>) => ({ file }: FileStage) => Effect.promise(() => act(file))

play<never, FileStage>("SQLite", Layer.empty, inFile, {
  "another process writes for longer than the store waits": {
    begin: tell("BEGIN IMMEDIATE"),
    end: tell("COMMIT"),
    cause: /: the database fails: .*database is locked/
  },
  "another process locks the file": {
    begin: tell("BEGIN EXCLUSIVE"),
    end: tell("COMMIT"),
    cause: /: the database fails: .*database is locked/
  },
  "the disk is full": {
    begin: ({ setFull }) => setFull(true),
    end: ({ setFull }) => setFull(false),
    cause: /: the database fails: .*database or disk is full/
  },
  "its folder is read-only": {
    // Root may write anywhere, but not to a journal that is a folder
    begin: files((file) => mkdir(`${file}-journal`)),
    end: files((file) => rm(`${file}-journal`, { recursive: true })),
    cause: /: the database fails: .*unable to open database file/
  },
  "its folder is gone": {
    begin: files((file) => rename(join(file, ".."), join(file, "..", "..", "elsewhere"))),
    end: files((file) => rename(join(file, "..", "..", "elsewhere"), join(file, ".."))),
    cause: /: the database fails: .*attempt to write a readonly database/
  },
  "its file is another one": {
    begin: files((file) => rename(file, `${file}.old`)),
    end: files((file) => rename(`${file}.old`, file)),
    cause: /: the database fails: .*attempt to write a readonly database/
  },
  "the table is missing": {
    begin: tell("ALTER TABLE effect_alf_tokens RENAME TO elsewhere"),
    end: tell("ALTER TABLE elsewhere RENAME TO effect_alf_tokens"),
    cause: new RegExp(`: the database fails: .*no such table: effect_alf_tokens${hint}`)
  },
  "its file is corrupt": {
    begin: (stage) =>
      Effect.zipRight(
        // What the app has read of it is out of date
        stage.ask("PRAGMA user_version = 1"),
        files(async (file) => {
          const content = await readFile(file)
          await writeFile(`${file}.backup`, content)
          // Behind the header, which says whether what was read is out of date
          await writeFile(file, content.fill(1, 100))
        })(stage)
      ),
    end: files(async (file) => writeFile(file, await readFile(`${file}.backup`))),
    cause: /: the database fails: .*database disk image is malformed/
  }
})
