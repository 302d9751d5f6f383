/** Processes of the operating system that do the same work at the same time. */
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import * as Bundle from "../Bundle.js"
import type { Command, Report, Traffic } from "./Traffic.js"

export interface Fleet {
  /** How many are alive. */
  readonly size: () => number
  /** Has all of them call, at least until the effect has ended; a process that was killed has no report. */
  readonly run: <A, E, R>(
    traffic: ReadonlyArray<Traffic>,
    until: Effect.Effect<A, E, R>
  ) => Effect.Effect<readonly [A, ReadonlyArray<Report>], E, R>
  /** Ends one at once, as a crash would. */
  readonly kill: (name: string) => Effect.Effect<void>
}

interface Process {
  readonly child: ChildProcess
  readonly name: string
  readonly ready: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<void>
}

/** Starts the processes and waits until they listen; they end with the scope. */
export const make = (size: number): Effect.Effect<Fleet, never, Scope.Scope> =>
  Effect.gen(function*() {
    const program = yield* Bundle.make("fleet/Worker")
    const processes = yield* Effect.forEach(
      Array.from({ length: size }, (_, index) => `process ${index + 1}`),
      (name) => Effect.acquireRelease(launch(program, name), end),
      { concurrency: "unbounded" }
    )
    yield* Effect.forEach(processes, ({ ready }) => Deferred.await(ready), { concurrency: "unbounded" })
    return {
      size: () => processes.filter(({ child }) => child.connected).length,
      run: (traffic, until) =>
        Effect.gen(function*() {
          for (const { child } of processes) send(child, { start: traffic })
          const ended = yield* until
          const reports = yield* Effect.forEach(processes, stop, { concurrency: "unbounded" })
          return [ended, reports.flat()] as const
        }),
      kill: (name) =>
        Effect.forEach(processes, (process) => process.name === name ? end(process) : Effect.void, { discard: true })
    }
  })

const launch = (program: string, name: string): Effect.Effect<Process> =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<void>()
    // What they say for people goes where it does not tear the table
    const child = fork(program, [name], { execArgv: [], stdio: ["ignore", 2, 2, "ipc"] })
    child.once("message", () => Deferred.unsafeDone(ready, Effect.void))
    child.once("exit", (code) => {
      Deferred.unsafeDone(ended, Effect.void)
      Deferred.unsafeDone(ready, Effect.dieMessage(`${name} ended with ${code} before it began`))
    })
    return { child, name, ready, ended }
  })

const end = ({ child, ended }: Process): Effect.Effect<void> =>
  Effect.suspend(() => {
    child.kill("SIGKILL")
    return Deferred.await(ended)
  })

const send = (child: ChildProcess, command: Command) => {
  if (child.connected) child.send(command)
}

const stop = ({ child, ended }: Process): Effect.Effect<ReadonlyArray<Report>> =>
  Effect.raceFirst(
    Effect.async<ReadonlyArray<Report>>((resume) => {
      child.once("message", (reports: ReadonlyArray<Report>) => resume(Effect.succeed(reports)))
      send(child, "stop")
    }),
    Effect.as(Deferred.await(ended), [])
  )
