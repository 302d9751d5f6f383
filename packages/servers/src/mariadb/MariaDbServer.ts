/**
 * A real MariaDB for tests, which speaks as MySQL does: on a free port of the
 * loopback interface, in a directory of its own, gone with its scope. Nothing
 * here depends on a test runner.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Executable from "../Executable.js"
import type { ServerError } from "../ServerError.js"
import * as ServerFolder from "../ServerFolder.js"
import * as ServerProcess from "../ServerProcess.js"
import * as ServerProgram from "../ServerProgram.js"

/** It starts again with what it has stored. */
export interface MariaDbServer extends ServerProcess.ServerProcess {
  /** Of its superuser: it knows no other users. */
  readonly url: string
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
  // It has no users, and so needs none of the tables of mariadb-install-db, which takes longer than the tests
  "skip-grant-tables",
  "innodb-flush-log-at-trx-commit=0",
  "innodb-buffer-pool-size=8M",
  "innodb-log-file-size=4M",
  "innodb-doublewrite=0",
  "performance-schema=0",
  "skip-log-bin",
  "skip-name-resolve"
].map((setting) => `--${setting}`)

/** Starts a server and waits until it answers; it must be there, or have been installed. */
export const make: Effect.Effect<MariaDbServer, ServerError, Scope.Scope> = Effect.gen(function*() {
  const executable = yield* ServerProgram.find(program)
  const folder = yield* ServerFolder.make("mariadb", ["mysql", "nobody"])
  const data = join(folder.path, "data")
  yield* folder.run("mkdir", [data])
  const init = join(folder.path, "init.sql")
  yield* Effect.promise(() => writeFile(init, "CREATE DATABASE IF NOT EXISTS app;\n"))
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
