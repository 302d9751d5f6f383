/**
 * A real Redis server (or Valkey) for tests and demos: on a free port of the
 * loopback interface, without persistence, in a directory of its own, gone with
 * its scope. Nothing here depends on a test runner.
 */
import { Config, Console, Data, Deferred, Effect, Option, Ref, Schedule } from "effect"
import type { Scope } from "effect"
import { Redis } from "ioredis"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import * as Executable from "./Executable.js"

export class RedisServerError extends Data.TaggedError("RedisServerError")<{ readonly message: string }> {}

export interface RedisServer {
  /** `redis-server` or `valkey-server`. */
  readonly name: string
  readonly port: number
  readonly url: string
  /** Ends the server at once, as a crash would. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same port after a `kill`, in the same directory. */
  readonly start: (args?: ReadonlyArray<string>) => Effect.Effect<void, RedisServerError>
  /** Stops the process: connections stay open, nothing is answered. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

export interface Options {
  /** Further arguments of the server, such as `["--requirepass", "secret"]`; those that need its port are given it. */
  readonly args?: ReadonlyArray<string> | ((port: number) => ReadonlyArray<string>) | undefined
  /** The text of a configuration file, for what cannot be an argument. */
  readonly configuration?: string | undefined
}

const searchPath = Effect.orDie(Config.withDefault(Config.string("PATH"), ""))

const findExecutable = Effect.map(searchPath, Executable.find)

const unavailable = new RedisServerError({
  message: "Neither redis-server nor valkey-server is on the PATH, and Debian's package redis-server could not be " +
    "installed: install one of them."
})

/** Makes sure that there is an executable to start: installs Debian's package where that is possible. */
export const install: Effect.Effect<void, RedisServerError> = Effect.gen(function*() {
  if ((yield* findExecutable) !== undefined) return
  if (process.getuid?.() !== 0 || !aptGet.some(Executable.is)) return yield* unavailable
  yield* Console.error("No redis-server is on the PATH: installing Debian's package redis-server")
  yield* withoutServices(Effect.zipRight(runAptGet("update"), runAptGet("install", "--yes", "redis-server"))).pipe(
    Effect.mapError((error) => new RedisServerError({ message: `${unavailable.message} ${error.message}` }))
  )
  if ((yield* findExecutable) === undefined) return yield* unavailable
})

const aptGet = ["/usr/bin/apt-get"]

const runAptGet = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(searchPath, (PATH) =>
    Effect.async<void, RedisServerError>((resume) => {
      execFile(
        "apt-get",
        ["-o", "DPkg::Lock::Timeout=120", "--quiet", ...args],
        { env: { ...process.env, PATH, DEBIAN_FRONTEND: "noninteractive" } },
        (error, _, stderr) =>
          resume(
            error === null
              ? Effect.void
              : Effect.fail(new RedisServerError({ message: `apt-get ${args[0]}: ${stderr.trim() || error.message}` }))
          )
      )
    }))

// Debian asks this script before it starts the service of a package
const policy = "/usr/sbin/policy-rc.d"

const withoutServices = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  existsSync(policy) ? effect : Effect.acquireUseRelease(
    Effect.promise(() => writeFile(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 })),
    () => effect,
    () => Effect.promise(() => rm(policy, { force: true }))
  )

/** Starts a server and waits until it answers; it must be there, or have been installed. */
export const make = (options?: Options): Effect.Effect<RedisServer, RedisServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const executable = yield* findExecutable
    if (executable === undefined) return yield* unavailable
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "redis-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    yield* Effect.promise(() => writeFile(configurationIn(directory), options?.configuration ?? ""))
    const running = yield* Ref.make<Option.Option<Running>>(Option.none())
    const kill = Effect.flatMap(
      Ref.getAndSet(running, Option.none()),
      Option.match({
        onNone: () => Effect.void,
        onSome: ({ child, ended }) => Effect.zipRight(signal(child, "SIGKILL"), Deferred.await(ended))
      })
    )
    yield* Effect.addFinalizer(() => kill)
    const send = (name: NodeJS.Signals) =>
      Effect.flatMap(
        Ref.get(running),
        Option.match({
          onNone: () => Effect.void,
          onSome: ({ child }) => signal(child, name)
        })
      )
    const startOn = (port: number, args: ReadonlyArray<string>) =>
      Effect.flatMap(
        launch(executable, directory, port, args),
        (started) => Effect.zipRight(Ref.set(running, Option.some(started)), Deferred.await(started.ready))
      )

    const argsFor = (port: number) => typeof options?.args === "function" ? options.args(port) : options?.args ?? []
    // Between the search for a free port and its use somebody else may take it
    const port = yield* Effect.retry(
      Effect.tap(freePort, (port) => Effect.onError(startOn(port, argsFor(port)), () => kill)),
      { times: 5 }
    )
    return {
      name: basename(executable),
      port,
      url: `redis://127.0.0.1:${port}`,
      kill,
      start: (more = []) => startOn(port, [...argsFor(port), ...more]),
      pause: send("SIGSTOP"),
      resume: send("SIGCONT")
    }
  })

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
export const shared: Effect.Effect<SharedRedisServer, RedisServerError, Scope.Scope> = Effect.gen(function*() {
  const prefix = `test:${crypto.randomUUID()}:`
  const url = yield* Effect.orDie(Config.withDefault(Config.string("REDIS_URL"), ""))
  if (url === "") {
    yield* Effect.mapError(
      install,
      ({ message }) => new RedisServerError({ message: `${message} Or set REDIS_URL to the address of a server.` })
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

interface Running {
  readonly child: ChildProcess
  readonly ready: Deferred.Deferred<void, RedisServerError>
  readonly ended: Deferred.Deferred<void>
}

// Also where nobody closes the scope: a test run that is cut short leaves none behind
const children = new Set<ChildProcess>()
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")))

const configurationIn = (directory: string) => join(directory, "redis.conf")

// A server that still loads its data answers too, if only to say so
const readyLine = /Ready to accept connections|Loading RDB produced by|Sentinel ID is/

const launch = (executable: string, directory: string, port: number, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<void, RedisServerError>()
    const ended = yield* Deferred.make<void>()
    const child = spawn(executable, [
      configurationIn(directory),
      ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory],
      ...["--save", "", "--appendonly", "no", "--daemonize", "no"],
      ...args
    ], { stdio: ["ignore", "pipe", "pipe"] })
    children.add(child)
    let output = ""
    const read = (chunk: string) => {
      output = (output + chunk).slice(-10_000)
      if (readyLine.test(output)) Deferred.unsafeDone(ready, Effect.void)
    }
    child.stdout.setEncoding("utf8").on("data", read)
    child.stderr.setEncoding("utf8").on("data", read)
    const end = (reason: string) => {
      Deferred.unsafeDone(ready, Effect.fail(new RedisServerError({ message: `${executable}: ${reason}\n${output}` })))
      Deferred.unsafeDone(ended, Effect.void)
    }
    child.once("error", (error) => end(error.message))
    child.once("close", (code) => {
      children.delete(child)
      end(`ended with ${code}`)
    })
    const running: Running = { child, ready, ended }
    return running
  })

const signal = (child: ChildProcess, name: NodeJS.Signals) => Effect.sync(() => void child.kill(name))

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
    catch: (error) => new RedisServerError({ message: `the server on port ${port}: ${String(error)}` })
  })

/** Sends a command, or some, to the server on a port, also while it loads its data. */
export const ask = <A>(
  port: number,
  command: (client: Redis) => Promise<A>,
  credentials: Credentials = {}
): Effect.Effect<A, RedisServerError> => withClient(port, credentials, (client) => send(port, client, command))

/** Asks over one connection until the answer is the one that is waited for. */
export const askUntil = <A>(
  port: number,
  command: (client: Redis) => Promise<A>,
  isAwaited: (answer: A) => boolean
): Effect.Effect<void, RedisServerError> =>
  withClient(port, {}, (client) =>
    Effect.asVoid(
      Effect.repeat(send(port, client, command), { until: isAwaited, schedule: Schedule.spaced("10 millis") })
    ))

// Below those that a system gives to whoever asks for any: one of these stays free while its server is stopped
const ports = { from: 12_000, to: 32_000 }

/** A port of the loopback interface that nobody uses at this moment, and that nobody is given by chance later. */
export const freePort: Effect.Effect<number> = Effect.flatMap(
  Effect.sync(() => randomInt(ports.from, ports.to)),
  (port) =>
    Effect.async<number, "taken">((resume) => {
      const server = createServer()
      server.once("error", () => resume(Effect.fail("taken")))
      server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
    })
).pipe(Effect.retry({ times: 100 }), Effect.orDie)
