/** The command: in a process of its own, as its user has it, or as an effect of this one. */
import { Console, Effect } from "effect"
import type { Scope } from "effect"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import { rm } from "node:fs/promises"
import { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
import { hang } from "../../core/test/support/hang.js"
import * as AlfCommand from "../src/AlfCommand.js"
import { type Output, Process } from "../src/Process.js"

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Environment = Readonly<Record<string, string | undefined>>

export interface Options {
  readonly env?: Environment | undefined
  readonly stdin?: string | undefined
}

export interface ProcessOptions extends Options {
  /** The file that its standard output goes to, in place of the outcome. */
  readonly output?: string | undefined
  /** Presses Ctrl-C as soon as this is written. */
  readonly interruptAt?: string | undefined
  /** Runs it at a pseudo-terminal, where both outputs are one. */
  readonly terminal?: boolean | undefined
  /** Runs this shell script in its place, with these arguments; the script can call `alf`. */
  readonly script?: string | undefined
}

export interface Alf<O = Options> {
  readonly run: (args: ReadonlyArray<string>, options?: O) => Effect.Effect<Outcome>
}

/** No situation is that something takes long: on a busy machine the doctor is asked again. */
export const isLate = ({ stdout }: Outcome): boolean =>
  /no answer within|ETIMEDOUT|still connecting|The store is slow/.test(stdout)

/** Time limits that a busy machine does not reach. */
export const limits: Environment = {
  ALF_TOKEN_REQUEST_TIMEOUT: `${hang} millis`,
  ALF_CONNECT_TIMEOUT: `${hang} millis`,
  ALF_MAX_WAIT: `${hang} millis`
}

// No variable of the machine, such as a proxy
const environment = (env: Environment | undefined): Environment => ({
  PATH: process.env.PATH,
  TERM: "xterm",
  ...limits,
  ...env
})

// -----------------------------------------------------------------------------
// in this process
// -----------------------------------------------------------------------------

const makeOutput = (): { readonly stream: Output; readonly text: () => string } => {
  const chunks: Array<Buffer> = []
  const stream = new Writable({
    write: (chunk, _, done) => {
      chunks.push(chunk)
      done()
    }
  })
  return { stream, text: () => Buffer.concat(chunks).toString() }
}

/** With the clock of the test, where it has one. */
export const here: Alf = {
  run: (args, { env, stdin = "" } = {}) =>
    Effect.suspend(() => {
      const stdout = makeOutput()
      const stderr = makeOutput()
      const log = (...args: ReadonlyArray<unknown>) =>
        Effect.sync(() => void stdout.stream.write(`${format(...args)}\n`))
      return AlfCommand.run([process.execPath, "/usr/local/bin/alf", ...args], "0.0.0").pipe(
        (effect) => Console.consoleWith((console) => Effect.withConsole(effect, { ...console, log })),
        Effect.provideService(Process, {
          env: environment(env),
          stdin: Readable.from([Buffer.from(stdin)]),
          stdout: stdout.stream,
          stderr: stderr.stream
        }),
        Effect.map((exitCode): Outcome => ({ exitCode, stdout: stdout.text(), stderr: stderr.text() }))
      )
    })
}

// -----------------------------------------------------------------------------
// in a process of its own
// -----------------------------------------------------------------------------

const inPackage = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** Bundles it: to find and transform all of Effect's files takes longer than the command itself. */
export const make: Effect.Effect<Alf<ProcessOptions>, never, Scope.Scope> = Effect.gen(function*() {
  // As deep in the package as the file that it is made of
  const outfile = inPackage(`build/alf-${crypto.randomUUID()}.mjs`)
  yield* Effect.acquireRelease(
    Effect.promise(() =>
      build({
        entryPoints: [inPackage("src/alf.ts")],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        conditions: ["@effect-alf/source"],
        // With stores that nobody asks for it would be twice as large
        external: ["ioredis", "undici", "ws", "memcache", "@effect/sql", "@effect/sql-*"],
        // Packages in CommonJS ask for Node's modules so
        banner: { js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);" }
      })
    ),
    () => Effect.promise(() => rm(outfile, { force: true }))
  )
  return { run: (args, options) => Effect.async((resume) => runProcess(outfile, args, options, resume)) }
})

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

const runProcess = (
  file: string,
  args: ReadonlyArray<string>,
  { env, interruptAt, output, script, stdin, terminal }: ProcessOptions = {},
  resume: (outcome: Effect.Effect<Outcome>) => void
) => {
  const alf = [process.execPath, file]
  const command = [...alf, ...args]
  const [program, ...rest] = script !== undefined
    ? ["sh", "-c", `alf() { ${alf.map(quote).join(" ")} "$@"; }; . "$0"`, script, ...args]
    : terminal === true
    ? ["script", "--quiet", "--return", "--command", command.map(quote).join(" "), "/dev/null"]
    : output === undefined
    ? command
    : ["sh", "-c", `exec "$@" > ${quote(output)}`, "sh", ...command]
  const child = spawn(program, rest, { env: environment(env) })
  let stdout = ""
  let stderr = ""
  let isInterrupted = interruptAt === undefined
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    stdout += chunk
    if (isInterrupted || !stdout.includes(interruptAt ?? "")) return
    isInterrupted = true
    child.stdin.write("\u0003")
  })
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    stderr += chunk
  })
  child.stdin.on("error", () => {})
  if (interruptAt === undefined) child.stdin.end(stdin)
  child.once("close", (exitCode) => resume(Effect.succeed({ exitCode, stdout, stderr })))
  return Effect.sync(() => child.kill("SIGKILL"))
}
