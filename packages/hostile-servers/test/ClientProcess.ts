/** Runs the client in a process of its own, and keeps what it prints. */
import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { fork } from "node:child_process"
import { rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import type { HttpName, Job, Report } from "./Job.js"

export interface Finished extends Report {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** The client in one file, which loads fast and leaves little on the heap; it goes with the scope. */
export const program: Effect.Effect<string, never, Scope.Scope> = Effect.suspend(() => {
  const outfile = path(`../build/client-${crypto.randomUUID()}.js`)
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
const execArgv = ["--expose-gc", "--max-semi-space-size=1"]

export const run = (
  program: string,
  http: HttpName,
  jobs: ReadonlyArray<Job>,
  env: Readonly<Record<string, string>>
): Effect.Effect<Finished> =>
  Effect.async((resume) => {
    const child = fork(program, [http], {
      execArgv,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe", "ipc"]
    })
    let stdout = ""
    let stderr = ""
    let report: Report = { results: [], uncaught: ["no report came"] }
    child.stdout!.on("data", (chunk) => stdout += String(chunk))
    child.stderr!.on("data", (chunk) => stderr += String(chunk))
    child.on("message", (message: Report) => report = message)
    child.on("close", (exitCode) => resume(Effect.succeed({ ...report, exitCode, stdout, stderr })))
    child.send(jobs)
    return Effect.sync(() => child.kill("SIGKILL"))
  })
