import { Command } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { ConfigProvider, Context, Effect, Layer, Logger, Stream } from "effect"
import { join } from "node:path"
import { isThorough } from "../../core/test/support/Runs.js"
import * as Bundle from "../src/Bundle.js"
import * as Output from "./Output.js"

export interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** What a program of `src` exports for those who do not start a process. */
export type Main = Effect.Effect<void, unknown>

/** Programs of `src`, each in a process of its own in CI, else all in this one. */
export class Programs extends Context.Tag("@effect-alf/examples/test/Programs")<Programs, {
  readonly run: (name: string, env: Readonly<Record<string, string>>) => Effect.Effect<Outcome>
}>() {}

export const layer = (mains: Readonly<Record<string, Main>>): Layer.Layer<Programs> =>
  isThorough
    ? Layer.scoped(
      Programs,
      Effect.map(Bundle.makeAll(Object.keys(mains)), (directory) => ({
        run: (name, env) => execute(join(directory, `${name}.js`), env)
      }))
    )
    : Layer.succeed(Programs, { run: (name, env) => runHere(mains[name], env) })

/** Says of a failure what `NodeRuntime.runMain` does. */
const runHere = (main: Main, env: Readonly<Record<string, string>>): Effect.Effect<Outcome> =>
  Effect.sandbox(main).pipe(
    Effect.as(0),
    Effect.catchAll((cause) => Effect.as(Effect.logError(cause), 1)),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)), { pathDelim: "_" })),
    Effect.provide(Logger.pretty),
    Output.of,
    Effect.map(({ result, ...said }) => ({ ...said, exitCode: result }))
  )

const execute = (file: string, env: Readonly<Record<string, string>>): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const child = yield* Command.start(Command.env(Command.make(process.execPath, file), env))
    return yield* Effect.all({
      exitCode: child.exitCode,
      stdout: Stream.mkString(Stream.decodeText(child.stdout)),
      stderr: Stream.mkString(Stream.decodeText(child.stderr))
    }, { concurrency: "unbounded" })
  }).pipe(Effect.scoped, Effect.orDie, Effect.provide(NodeContext.layer))
