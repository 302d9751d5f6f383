/** Runs the client in a process of its own, and keeps what it prints. */
import { Effect } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { HttpName, Job, Report } from "./Job.js"

export interface Finished extends Report {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const execArgv = [
  "--expose-gc",
  // Garbage counts as memory in use until it is collected: collect it often
  "--max-semi-space-size=1",
  "--import",
  "tsx",
  "--conditions=@effect-alf/source"
]

export const run = (
  name: HttpName,
  jobs: ReadonlyArray<Job>,
  env: Readonly<Record<string, string>>
): Effect.Effect<Finished> =>
  Effect.async((resume) => {
    const child = fork(fileURLToPath(new URL("client.ts", import.meta.url)), [name], {
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
