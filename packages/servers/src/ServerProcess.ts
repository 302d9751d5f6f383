/** The process of a server, on a free port of the loopback interface; gone with its scope. */
import { Deferred, Effect, Option, Ref } from "effect"
import type { Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import { ServerError } from "./ServerError.js"

export interface ServerProcess {
  readonly port: number
  /** Ends it at once, as a crash would. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same port after a `kill`, with further arguments. */
  readonly start: (args?: ReadonlyArray<string>) => Effect.Effect<void, ServerError>
  /** Stops the process, and those that it has started: connections stay open, nothing is answered. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

export interface Options {
  readonly executable: string
  readonly args: (port: number) => ReadonlyArray<string>
  /** What it has written when it can be asked. */
  readonly readyLine: RegExp
  /** Whose process it is; by default that of whoever starts it. */
  readonly user?: User | undefined
}

export interface User {
  readonly uid: number
  readonly gid: number
}

/** Starts a server and waits until it can be asked. */
export const make = (options: Options): Effect.Effect<ServerProcess, ServerError, Scope.Scope> =>
  Effect.gen(function*() {
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
    const startOn = (port: number, args: ReadonlyArray<string> = []) =>
      Effect.flatMap(
        launch(options, [...options.args(port), ...args]),
        (started) => Effect.zipRight(Ref.set(running, Option.some(started)), Deferred.await(started.ready))
      )

    // Between the search for a free port and its use somebody else may take it
    const port = yield* Effect.retry(
      Effect.tap(freePort, (port) => Effect.onError(startOn(port), () => kill)),
      { times: 5 }
    )
    return {
      port,
      kill,
      start: (args) => startOn(port, args),
      pause: send("SIGSTOP"),
      resume: send("SIGCONT")
    }
  })

interface Running {
  readonly child: ChildProcess
  readonly ready: Deferred.Deferred<void, ServerError>
  readonly ended: Deferred.Deferred<void>
}

// Also where nobody closes the scope: a test run that is cut short leaves none behind
const children = new Set<ChildProcess>()
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")))

const launch = ({ executable, readyLine, user }: Options, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<void, ServerError>()
    const ended = yield* Deferred.make<void>()
    const child = spawn(executable, args, { ...user, stdio: ["ignore", "pipe", "pipe"] })
    children.add(child)
    let output = ""
    const read = (chunk: string) => {
      output = (output + chunk).slice(-10_000)
      if (readyLine.test(output)) Deferred.unsafeDone(ready, Effect.void)
    }
    child.stdout.setEncoding("utf8").on("data", read)
    child.stderr.setEncoding("utf8").on("data", read)
    const end = (reason: string) => {
      Deferred.unsafeDone(ready, Effect.fail(new ServerError({ message: `${executable}: ${reason}\n${output}` })))
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

/**
 * To the process, and to those that it has started before it hears of it. A
 * signal to its group would not reach those of Postgres: each leads its own.
 */
const signal = (child: ChildProcess, name: NodeJS.Signals) =>
  Effect.sync(() => {
    const { pid } = child
    const before = pid === undefined ? [] : startedBy(pid)
    child.kill(name)
    const after = pid === undefined ? [] : startedBy(pid)
    for (const started of new Set([...before, ...after])) {
      try {
        process.kill(started, name)
      } catch {
        // It has ended meanwhile
      }
    }
  })

/** As Linux tells; elsewhere none are known. */
const startedBy = (parent: number): ReadonlyArray<number> => {
  try {
    return readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").split(" ").filter(Boolean).map(Number)
  } catch {
    return []
  }
}

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
