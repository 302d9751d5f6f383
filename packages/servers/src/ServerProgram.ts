/** The program of a server: on the PATH, or installed as Debian's package where that is possible. */
import { Config, Console, Effect } from "effect"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { rm, writeFile } from "node:fs/promises"
import * as Executable from "./Executable.js"
import { ServerError } from "./ServerError.js"

export interface ServerProgram {
  /** What it may be called. */
  readonly names: ReadonlyArray<string>
  /** Debian's package; by default the first of the names. */
  readonly package?: string | undefined
  /** Where it may be besides, when it is looked for. */
  readonly folders?: (() => ReadonlyArray<string>) | undefined
}

const searchPath = Effect.orDie(Config.withDefault(Config.string("PATH"), ""))

const search = ({ folders, names }: ServerProgram) =>
  Effect.map(searchPath, (path) => Executable.find(names, path, folders?.()))

const packageOf = (program: ServerProgram) => program.package ?? program.names[0]

const unavailable = (program: ServerProgram, why = "") => {
  const { names } = program
  const missing = names.length === 1 ? `${names[0]} is not` : `Neither ${names.join(" nor ")} is`
  const advice = names.length === 1 ? "install it" : "install one of them"
  return new ServerError({
    message: `${missing} on the PATH, and Debian's package ${
      packageOf(program)
    } could not be installed: ${advice}.${why}`
  })
}

/** Where it is. */
export const find = (program: ServerProgram): Effect.Effect<string, ServerError> =>
  Effect.flatMap(
    search(program),
    (path) => path === undefined ? Effect.fail(unavailable(program)) : Effect.succeed(path)
  )

/** Makes sure that there is one to start. */
export const install = (program: ServerProgram): Effect.Effect<void, ServerError> =>
  Effect.gen(function*() {
    if ((yield* search(program)) !== undefined) return
    if (process.getuid?.() !== 0 || !aptGet.some(Executable.is)) return yield* unavailable(program)
    const name = packageOf(program)
    yield* Console.error(`No ${program.names[0]} is on the PATH: installing Debian's package ${name}`)
    yield* withoutServices(Effect.zipRight(runAptGet("update"), runAptGet("install", "--yes", name))).pipe(
      Effect.mapError(({ message }) => unavailable(program, ` ${message}`))
    )
    yield* find(program)
  })

const aptGet = ["/usr/bin/apt-get"]

const runAptGet = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(searchPath, (PATH) =>
    Effect.async<void, ServerError>((resume) => {
      execFile(
        "apt-get",
        ["-o", "DPkg::Lock::Timeout=120", "--quiet", ...args],
        { env: { ...process.env, PATH, DEBIAN_FRONTEND: "noninteractive" } },
        (error, _, stderr) =>
          resume(
            error === null
              ? Effect.void
              : Effect.fail(new ServerError({ message: `apt-get ${args[0]}: ${stderr.trim() || error.message}` }))
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
