/**
 * A real MariaDB for tests, which speaks as MySQL does: on a free port of the
 * loopback interface, in a directory of its own, gone with its scope. Nothing
 * here depends on a test runner.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { existsSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import * as Executable from "../Executable.js"
import { ServerError } from "../ServerError.js"
import * as ServerFolder from "../ServerFolder.js"
import * as ServerProcess from "../ServerProcess.js"
import * as ServerProgram from "../ServerProgram.js"

/** It starts again with what it has stored. */
export interface MariaDbServer extends ServerProcess.ServerProcess {
  /** Of its superuser, who has no password. */
  readonly url: string
}

export interface Options {
  /** By default whoever connects is a superuser; with users, those whom somebody has made are none. */
  readonly withUsers?: boolean | undefined
}

// Debian keeps the server off the PATH of those who are not root
const program: ServerProgram.ServerProgram = {
  names: Executable.mariadb,
  package: "mariadb-server",
  folders: () => ["/usr/sbin"]
}

/** Makes sure that there is an executable to start: installs Debian's package where that is possible. */
export const install = ServerProgram.install(program)

const thrift = [
  // mariadb-install-db takes longer than the tests: it starts without users, and without the tables that they need
  "skip-grant-tables",
  "innodb-flush-log-at-trx-commit=2",
  "innodb-buffer-pool-size=8M",
  "innodb-log-file-size=4M",
  "innodb-doublewrite=0",
  "performance-schema=0",
  "skip-log-bin",
  "skip-name-resolve"
].map((setting) => `--${setting}`)

/** Of the tables that mariadb-install-db makes those of users alone; each is made by one line. */
const ofUsers =
  /^CREATE TABLE IF NOT EXISTS (db|global_priv|roles_mapping|(tables|columns|procs|proxies)_priv|proc) ?\(.*/gm

const systemTables = ["mysql/mysql", "mysql/mariadb", "mariadb/mariadb"]

/** The statements after which it has users, and a superuser as before. */
const makeUsers = (executable: string) =>
  Effect.gen(function*() {
    const file = systemTables
      .map((name) => join(dirname(executable), "..", "share", `${name}_system_tables.sql`))
      .find((path) => existsSync(path))
    if (file === undefined) {
      return yield* new ServerError({ message: `${executable}: its mariadb_system_tables.sql is not there` })
    }
    const tables = (yield* Effect.promise(() => readFile(file, "utf8"))).match(ofUsers) ?? []
    return [
      "CREATE DATABASE IF NOT EXISTS mysql;",
      "USE mysql;",
      ...tables,
      `INSERT IGNORE INTO global_priv VALUES ('%', 'root', '{"access": 18446744073709551615}');`,
      "FLUSH PRIVILEGES;"
    ]
  })

/** Starts a server and waits until it answers; it must be there, or have been installed. */
export const make = (
  { withUsers = false }: Options = {}
): Effect.Effect<MariaDbServer, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const executable = yield* ServerProgram.find(program)
    const folder = yield* ServerFolder.make("mariadb", ["mysql", "nobody"])
    const data = join(folder.path, "data")
    yield* folder.run("mkdir", [data])
    const init = join(folder.path, "init.sql")
    const statements = ["CREATE DATABASE IF NOT EXISTS app;", ...withUsers ? yield* makeUsers(executable) : []]
    yield* Effect.promise(() => writeFile(init, `${statements.join("\n")}\n`))
    const server = yield* ServerProcess.make({
      executable,
      args: (port) => [
        ...["--no-defaults", `--datadir=${data}`, `--socket=${join(folder.path, "socket")}`, `--init-file=${init}`],
        ...["--bind-address=127.0.0.1", `--port=${port}`],
        ...thrift
      ],
      readyLine: /ready for connections/,
      user: folder.user
    })
    return { ...server, url: `mysql://root@127.0.0.1:${server.port}/app` }
  })
