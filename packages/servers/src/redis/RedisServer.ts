/**
 * A real Redis server (or Valkey) for tests and demos: on a free port of the
 * loopback interface, without persistence, in a directory of its own, gone with
 * its scope. Nothing here depends on a test runner.
 */
import { Config, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { Redis } from "ioredis"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import * as Executable from "../Executable.js"
import { ServerError } from "../ServerError.js"
import * as ServerProcess from "../ServerProcess.js"
import * as ServerProgram from "../ServerProgram.js"

export interface RedisServer extends ServerProcess.ServerProcess {
  /** `redis-server` or `valkey-server`. */
  readonly name: string
  readonly url: string
}

export interface Options {
  /** Further arguments of the server, such as `["--requirepass", "secret"]`; those that need its port are given it. */
  readonly args?: ReadonlyArray<string> | ((port: number) => ReadonlyArray<string>) | undefined
  /** The text of a configuration file, for what cannot be an argument. */
  readonly configuration?: string | undefined
}

const program = { names: Executable.redis }

/** Makes sure that there is an executable to start: installs Debian's package where that is possible. */
export const install = ServerProgram.install(program)

/** Starts a server and waits until it answers; it must be there, or have been installed. */
export const make = (options?: Options): Effect.Effect<RedisServer, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const executable = yield* ServerProgram.find(program)
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "redis-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    const configurationFile = join(directory, "redis.conf")
    yield* Effect.promise(() => writeFile(configurationFile, options?.configuration ?? ""))
    const argsFor = (port: number) => typeof options?.args === "function" ? options.args(port) : options?.args ?? []
    const server = yield* ServerProcess.make({
      executable,
      args: (port) => [
        configurationFile,
        ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory],
        ...["--save", "", "--appendonly", "no", "--daemonize", "no"],
        ...argsFor(port)
      ],
      readyLine
    })
    return { ...server, name: basename(executable), url: `redis://127.0.0.1:${server.port}` }
  })

// A server that still loads its data answers too, if only to say so
const readyLine = /Ready to accept connections|Loading RDB produced by|Sentinel ID is/

/** A server that others may use as well, with a prefix that nobody else has. */
export interface SharedRedisServer {
  readonly url: string
  readonly prefix: string
  /** What it is and where, without its password. */
  readonly name: string
}

/**
 * The server at `REDIS_URL` where that is given, else a new one, installed if
 * it must be. What is left under the prefix goes with the scope.
 */
export const shared: Effect.Effect<SharedRedisServer, ServerError, Scope.Scope> = Effect.gen(function*() {
  const prefix = `test:${crypto.randomUUID()}:`
  const url = yield* Effect.orDie(Config.withDefault(Config.string("REDIS_URL"), ""))
  if (url === "") {
    yield* Effect.mapError(
      install,
      ({ message }) => new ServerError({ message: `${message} Or set REDIS_URL to the address of a server.` })
    )
    const own = yield* make()
    return { url: own.url, prefix, name: `${own.name} on 127.0.0.1:${own.port}` }
  }
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      const client = new Redis(url)
      for await (const keys of client.scanStream({ match: `${prefix}*` })) {
        await Promise.all((keys as ReadonlyArray<string>).map((key) => client.del(key)))
      }
      client.disconnect()
    })
  )
  return { url, prefix, name: "the Redis that REDIS_URL names" }
})

interface Credentials {
  readonly password?: string
}

const withClient = <A, E>(
  port: number,
  credentials: Credentials,
  use: (client: Redis) => Effect.Effect<A, E>
) =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      new Redis(port, { ...credentials, retryStrategy: () => null, enableReadyCheck: false }).on("error", () => {})
    ),
    use,
    (client) => Effect.sync(() => client.disconnect())
  )

const send = <A>(port: number, client: Redis, command: (client: Redis) => Promise<A>) =>
  Effect.tryPromise({
    try: () => command(client),
    catch: (error) => new ServerError({ message: `the server on port ${port}: ${String(error)}` })
  })

/** Sends a command, or some, to the server on a port, also while it loads its data. */
export const ask = <A>(
  port: number,
  command: (client: Redis) => Promise<A>,
  credentials: Credentials = {}
): Effect.Effect<A, ServerError> => withClient(port, credentials, (client) => send(port, client, command))

/** Asks over one connection until the answer is the one that is waited for. */
export const askUntil = <A>(
  port: number,
  command: (client: Redis) => Promise<A>,
  isAwaited: (answer: A) => boolean
): Effect.Effect<void, ServerError> =>
  withClient(port, {}, (client) =>
    Effect.asVoid(
      Effect.repeat(send(port, client, command), { until: isAwaited, schedule: Schedule.spaced("20 millis") })
    ))

/** How often the server on a port was given each command so far, without this question. */
export const commands = (port: number): Effect.Effect<ReadonlyMap<string, number>, ServerError> =>
  Effect.map(
    ask(port, (client) => client.info("commandstats")),
    (text) =>
      new Map(
        Array.from(text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm), ([, name, calls]) => [name, Number(calls)] as const)
          .filter(([name]) => name !== "info")
      )
  )
