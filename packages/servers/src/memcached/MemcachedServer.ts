/**
 * A real Memcached server for tests and demos: on a free port of the loopback
 * interface, gone with its scope. Nothing here depends on a test runner.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createConnection } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Executable from "../Executable.js"
import { ServerError } from "../ServerError.js"
import * as ServerProcess from "../ServerProcess.js"
import * as ServerProgram from "../ServerProgram.js"

export interface MemcachedServer extends ServerProcess.ServerProcess {
  /** `host:port` */
  readonly address: string
}

export interface Options {
  /** Further arguments of the server, such as `["-m", "1"]`. */
  readonly args?: ReadonlyArray<string> | undefined
}

const program = { names: Executable.memcached }

/** Makes sure that there is an executable to start: installs Debian's package where that is possible. */
export const install = ServerProgram.install(program)

/** Starts a server and waits until it answers; it must be there, or have been installed. */
export const make = (options?: Options): Effect.Effect<MemcachedServer, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* ServerProcess.make({
      executable: yield* ServerProgram.find(program),
      // Whoever starts it as root must name a user
      args: (port) => [
        ...["-u", "root", "-l", "127.0.0.1", "-p", `${port}`, "-U", "0", "-t", "1", "-vv"],
        // A small table, as all of it is walked through to tell what is kept
        ...["-o", "hashpower=12"],
        ...options?.args ?? []
      ],
      readyLine: /server listening/
    })
    return { ...server, address: `127.0.0.1:${server.port}` }
  })

/** The same, for who has a password only. */
export const withPassword = (
  username: string,
  password: string
): Effect.Effect<MemcachedServer, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "memcached-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    const file = join(directory, "passwords")
    yield* Effect.promise(() => writeFile(file, `${username}:${password}\n`))
    return yield* make({ args: ["-Y", file] })
  })

/** Sends lines to the server on a port, and answers with what it says to all of them. */
export const ask = (port: number, ...lines: ReadonlyArray<string>): Effect.Effect<string, ServerError> =>
  // An answer of its own ends the others
  converse(port, [...lines, "mn"], "MN\r\n")

const converse = (port: number, lines: ReadonlyArray<string>, end: string) =>
  Effect.async<string, ServerError>((resume) => {
    let answer = ""
    const socket = createConnection({ host: "127.0.0.1", port }, () => socket.write([...lines, ""].join("\r\n")))
    const fail = (message: string) =>
      resume(Effect.fail(new ServerError({ message: `the server on port ${port}: ${message}` })))
    socket.setEncoding("utf8").on("data", (chunk) => {
      answer += chunk
      if (!answer.endsWith(end)) return
      resume(Effect.succeed(answer.slice(0, -end.length)))
      socket.destroy()
    })
    socket.on("error", ({ message }) => fail(message)).on("close", () => fail("it ended the connection"))
    return Effect.sync(() => socket.destroy())
  })

const stats = (port: number): Effect.Effect<ReadonlyMap<string, number>, ServerError> =>
  Effect.map(ask(port, "stats"), (text) =>
    new Map(
      Array.from(text.matchAll(/^STAT (\w+) (\d+)\r$/gm), ([, name, value]) => [name, Number(value)] as const)
    ))

/** How often a server was read from and written to, by its own counters. */
export const commands = (port: number): Effect.Effect<ReadonlyMap<string, number>, ServerError> =>
  Effect.map(
    stats(port),
    (stats) => new Map(Array.from(stats).filter(([name]) => name.startsWith("cmd_")))
  )

export interface Item {
  readonly key: string
  /** What remains of its time; infinite where it has no end. */
  readonly seconds: number
}

/** What a server keeps: by the table of all items, for a walk along the queues misses one that is moved meanwhile. */
export const items = (port: number): Effect.Effect<ReadonlyArray<Item>, ServerError> =>
  Effect.zipWith(
    converse(port, ["lru_crawler metadump hash"], "END\r\n"),
    stats(port),
    (text, stats) =>
      Array.from(text.matchAll(/^key=(\S+) exp=(-?\d+)/gm), ([, key, end]) => ({
        key: decodeURIComponent(key),
        seconds: end === "-1" ? Infinity : Number(end) - (stats.get("time") ?? 0)
      }))
  )
