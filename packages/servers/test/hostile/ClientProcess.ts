/** Runs the client in a process of its own, and keeps what it prints. */
import { Deferred, Effect, type Scope } from "effect"
import { build } from "esbuild"
import { fork } from "node:child_process"
import { rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import type { Job, Message, Report } from "./Job.js"

export interface Finished extends Report {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** The client in one file, which loads fast and leaves little on the heap; it goes with the scope. */
export const program: Effect.Effect<string, never, Scope.Scope> = Effect.suspend(() => {
  const outfile = path(`../../build/client-${crypto.randomUUID()}.js`)
  return Effect.as(
    Effect.acquireRelease(
      Effect.promise(() =>
        build({
          entryPoints: [path("client.ts")],
          outfile,
          bundle: true,
          platform: "node",
          format: "esm",
          conditions: ["@effect-alf/source"],
          external: ["ioredis", "jose", "undici", "ws"]
        })
      ),
      () => Effect.promise(() => rm(outfile))
    ),
    outfile
  )
})

// Garbage counts as memory in use until it is collected: collect it often
const execArgv = ["--expose-gc", "--max-semi-space-size=4"]

export interface ClientProcess {
  readonly work: (jobs: ReadonlyArray<Job>) => Effect.Effect<Finished>
  /** Lets so many milliseconds pass on the clock of a job. */
  readonly letPass: (name: string, millis: number) => void
}

/** Runs until it has done its work, and not beyond the scope. */
export const start = (
  program: string,
  env: Readonly<Record<string, string>>
): Effect.Effect<ClientProcess, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        fork(program, { execArgv, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe", "ipc"] })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const finished = yield* Deferred.make<Finished>()
    let stdout = ""
    let stderr = ""
    let report: Report = { results: [], uncaught: ["no report came"] }
    child.stdout!.on("data", (chunk) => stdout += String(chunk))
    child.stderr!.on("data", (chunk) => stderr += String(chunk))
    child.on("message", (message: Report) => report = message)
    child.on("close", (exitCode) =>
      Deferred.unsafeDone(finished, Effect.succeed({ ...report, exitCode, stdout, stderr })))
    // After the process has exited, messages are dropped
    const tell = (message: Message) =>
      child.connected && child.send(message, () => {})
    return {
      work: (jobs) => Effect.sync(() => tell({ _tag: "Work", jobs })).pipe(Effect.zipRight(Deferred.await(finished))),
      letPass: (name, millis) => void tell({ _tag: "LetPass", name, millis })
    }
  })
