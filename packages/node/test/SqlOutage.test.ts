import { AuthedHttpClient } from "@effect-alf/core"
import { SqlTokenStore } from "@effect-alf/node"
import * as PostgresServer from "@effect-alf/servers/postgres/PostgresServer"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Random, Redacted, TestClock } from "effect"
import { shared } from "../../core/test/support/shared.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Process from "./Process.js"
import { patient, postgresClient } from "./SqlBench.js"
import { timePasses } from "./timePasses.js"

interface Outage {
  readonly begin: (stage: Stage) => Effect.Effect<unknown, unknown>
  readonly end: (stage: Stage) => Effect.Effect<unknown, unknown>
  /** What the warning says. */
  readonly cause: RegExp
  /** What goes on while a request waits: a call that is not answered ends by its time limit alone. */
  readonly meanwhile?: Effect.Effect<never>
}

interface Stage {
  readonly server: PostgresServer.PostgresServer
  /** Asks as the superuser, while the server answers. */
  readonly ask: (...statements: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>
}

class Server extends Context.Tag("Server")<Server, PostgresServer.PostgresServer>() {
  static readonly layer = Layer.scoped(
    Server,
    Effect.zipRight(PostgresServer.install, PostgresServer.make({ withPassword: ["app"] }))
  )
}

const tell = (...statements: ReadonlyArray<string>) => ({ ask }: Stage) => ask(...statements)

// Whoever is connected stays, and is told at the next statement
const setting = (assignment: string) => tell(`ALTER SYSTEM ${assignment}`, "SELECT pg_reload_conf()")

const cutOff = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"

const outages: Record<string, Outage> = {
  "it is gone": {
    begin: ({ server }) => server.kill,
    end: ({ server }) => server.start(),
    cause: /: the database fails: .*(ECONNREFUSED|terminat|ECONNRESET)/i
  },
  "it hangs": {
    begin: ({ server }) => server.pause,
    end: ({ server }) => server.resume,
    cause: /: (no answer within 500ms|the calls for one token took more than 500ms)/,
    meanwhile: timePasses("100 millis")
  },
  "it is read-only, as a standby": {
    begin: setting("SET default_transaction_read_only = on"),
    end: setting("RESET default_transaction_read_only"),
    // A write that notifies others is a SELECT to Postgres
    cause: /: the database fails: 25006 cannot execute (INSERT|SELECT) in a read-only transaction/
  },
  "its disk is full": {
    begin: tell(
      `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`,
      "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON effect_alf_tokens EXECUTE FUNCTION full_disk()"
    ),
    end: tell("DROP FUNCTION full_disk CASCADE"),
    cause: /: the database fails: 53100 could not extend file: No space left on device/
  },
  "as many are connected as it takes": {
    begin: tell("ALTER ROLE app CONNECTION LIMIT 0", cutOff),
    end: tell("ALTER ROLE app CONNECTION LIMIT -1"),
    cause: /: the database fails: .*(too many connections for role "app"|terminat)/
  },
  "it may not be asked": {
    begin: tell("REVOKE ALL ON effect_alf_tokens FROM app"),
    end: tell("GRANT ALL ON effect_alf_tokens TO app"),
    cause: /: the database fails: 42501 permission denied for table effect_alf_tokens/
  },
  "its table is gone": {
    begin: tell("ALTER TABLE effect_alf_tokens RENAME TO elsewhere"),
    end: tell("ALTER TABLE elsewhere RENAME TO effect_alf_tokens"),
    cause:
      /: the database fails: 42P01 relation .* does not exist; SqlTokenStore\.migration or the option createTable creates it/
  },
  "it has another password": {
    begin: tell("ALTER ROLE app PASSWORD 'another'", cutOff),
    end: tell("ALTER ROLE app PASSWORD 'correct-horse'"),
    cause: /: the database fails: .*(28P01 password authentication failed|terminat)/
  }
}

// Limits of the store and of a request pass by the test's clock alone
shared(Server.layer)("While Postgres fails, requests are answered, and one warning says why", (it) => {
  for (const [name, { begin, cause, end, meanwhile = Effect.never }] of Object.entries(outages)) {
    it.scoped(name, () =>
      Effect.gen(function*() {
        const oauth = yield* OAuthServer.make()
        const server = yield* Server
        const admin = yield* Layer.build(postgresClient(server.url))
        const ask: Stage["ask"] = (...statements) =>
          Effect.provide(
            Effect.flatMap(SqlClient.SqlClient, (sql) =>
              Effect.forEach(statements, (statement) => sql.unsafe(statement))),
            admin
          )
        const stage = { server, ask }
        yield* ask(
          "DROP ROLE IF EXISTS app",
          "CREATE ROLE app LOGIN PASSWORD 'correct-horse'",
          SqlTokenStore.ddl("pg"),
          "GRANT ALL ON effect_alf_tokens TO app"
        )
        yield* Effect.addFinalizer(() =>
          Effect.ignore(ask(cutOff, "DROP TABLE effect_alf_tokens"))
        )
        let scopes = 0

        const { log, messages } = Process.listen()
        const client = yield* log(Process.make(oauth, {
          tokenStore: Layer.orDie(SqlTokenStore.layerWithClient(
            PgClient.layer({ url: Redacted.make(server.url.replace("postgres@", "app:correct-horse@")) }),
            patient
          ))
        }))
        /** Needs a token that nobody has yet. */
        const request = log(Effect.gen(function*() {
          const response = yield* client.get("/resource").pipe(AuthedHttpClient.withTokenScope(`scope-${scopes++}`))
          assert.strictEqual(response.status, 200)
          return oauth.tokenRequests.length
        }))
        const stored = Effect.map(ask("SELECT payload FROM effect_alf_tokens"), (answers) => JSON.stringify(answers))
        /** Until a new token is in the store, with time for leases and pauses to end. */
        const requestAndStore = Effect.gen(function*() {
          const first = yield* request
          yield* Effect.repeat(Effect.zipRight(Effect.zipRight(request, TestClock.adjust("1 second")), stored), {
            until: (texts) => [...texts.matchAll(/token-(\d+)-/g)].some(([_, number]) => Number(number) >= first)
          })
        })

        yield* requestAndStore
        deepStrictEqual(messages, [])

        yield* Effect.acquireUseRelease(
          begin(stage),
          () => Effect.raceFirst(Effect.repeatN(request, 4), meanwhile),
          () => Effect.orDie(end(stage))
        )
        assert.lengthOf(messages, 1)
        assert.match(messages[0], cause)
        assert.notMatch(messages[0], /horse|token-\d/)

        // The time passes for which a store that failed is left alone: what was asked of it has been answered
        const leaveAlone = Effect.zipRight(
          Effect.repeatN(Effect.ignore(ask("SELECT 1")), 2),
          TestClock.adjust("5 seconds")
        )
        yield* Effect.repeat(Effect.zipRight(leaveAlone, request), { until: () => messages.length > 1 })
        yield* requestAndStore
        deepStrictEqual(messages.slice(1), ["Token store is available again"])
      }).pipe(
        // A jitter of zero: TestClock fails at a fraction of a millisecond
        Effect.withRandom(Random.fixed([0.5]))
      ))
  }
})
