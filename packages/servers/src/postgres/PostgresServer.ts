/**
 * A real Postgres for tests and demos: on a free port of the loopback interface,
 * in a directory of its own that is never synced, gone with its scope. Nothing
 * here depends on a test runner.
 */
import { Config, Effect } from "effect"
import type { Scope } from "effect"
import { existsSync, readdirSync } from "node:fs"
import { rename, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import * as Executable from "../Executable.js"
import { ServerError } from "../ServerError.js"
import * as ServerFolder from "../ServerFolder.js"
import * as ServerProcess from "../ServerProcess.js"
import * as ServerProgram from "../ServerProgram.js"

/** It starts again with what it has stored. */
export interface PostgresServer extends ServerProcess.ServerProcess {
  /** Of its superuser, who has no password. */
  readonly url: string
}

export interface Options {
  /** Further arguments of the server, such as `["-c", "max_connections=5"]`. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Users who need a password, once somebody has made them. */
  readonly withPassword?: ReadonlyArray<string> | undefined
}

// Debian keeps its programs off the PATH, in one folder for each version
const debian = "/usr/lib/postgresql"

const program: ServerProgram.ServerProgram = {
  names: Executable.postgres,
  package: "postgresql",
  folders: () =>
    existsSync(debian)
      ? readdirSync(debian)
        .sort((one, other) => Number(other) - Number(one))
        .map((version) => join(debian, version, "bin"))
      : []
}

/** Makes sure that there is an executable to start: installs Debian's package where that is possible. */
export const install = ServerProgram.install(program)

// What is lost in a crash of the machine nobody misses, and who tests has other uses for memory and processes. What was
// committed outlives the process: a test kills it
const thrift = [
  "fsync=off",
  "full_page_writes=off",
  "autovacuum=off",
  "shared_buffers=8MB",
  "max_wal_senders=0",
  "wal_level=minimal",
  "jit=off"
].flatMap((setting) => ["-c", setting])

/**
 * Makes the files of a new server. In the folder that `SERVER_TEMPLATES` names, where that is given, it keeps them for
 * the next ones: a copy costs far less.
 */
const initialize = (executable: string, folder: ServerFolder.ServerFolder, data: string) =>
  Effect.gen(function*() {
    const initdb = (path: string) =>
      folder.run(join(dirname(executable), "initdb"), [
        ...["--pgdata", path, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"],
        ...["--no-sync", "--no-instructions", "--wal-segsize", "1"]
      ])
    const templates = yield* Effect.orDie(Config.withDefault(Config.string("SERVER_TEMPLATES"), ""))
    if (templates === "") return yield* initdb(data)
    const template = join(templates, "postgres")
    if (!existsSync(template)) {
      const made = join(folder.path, "template")
      yield* initdb(made)
      // Where another process was faster, its files are as good
      yield* Effect.ignore(Effect.tryPromise(() => rename(made, template)))
    }
    yield* folder.run("cp", ["-R", template, data])
  })

/** Starts a server and waits until it answers; it must be there, or have been installed. */
export const make = (options: Options = {}): Effect.Effect<PostgresServer, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const executable = yield* ServerProgram.find(program)
    const folder = yield* ServerFolder.make("postgres", ["postgres", "nobody"])
    const data = join(folder.path, "data")
    yield* initialize(executable, folder, data)
    const rules = [
      ...(options.withPassword ?? []).map((name) => `host all ${name} 127.0.0.1/32 scram-sha-256`),
      "host all all 127.0.0.1/32 trust"
    ]
    yield* Effect.promise(() => writeFile(join(data, "pg_hba.conf"), `${rules.join("\n")}\n`))
    const server = yield* ServerProcess.make({
      executable,
      args: (port) => [
        ...["-D", data, "-p", `${port}`, "-h", "127.0.0.1", "-k", folder.path],
        ...thrift,
        ...(options.args ?? [])
      ],
      readyLine: /database system is ready to accept/,
      user: folder.user
    })
    return { ...server, url: `postgres://postgres@127.0.0.1:${server.port}/postgres` }
  })

/**
 * The address of the server that `POSTGRES_URL` names, else of a new one,
 * installed if it must be. Whoever uses it has tables of its own, and drops them.
 */
export const shared: Effect.Effect<string, ServerError, Scope.Scope> = Effect.gen(function*() {
  const url = yield* Effect.orDie(Config.withDefault(Config.string("POSTGRES_URL"), ""))
  if (url !== "") return url
  yield* Effect.mapError(
    install,
    ({ message }) => new ServerError({ message: `${message} Or set POSTGRES_URL to the address of a server.` })
  )
  return (yield* make()).url
})
