import { Command } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Context, Effect, Layer, Stream } from "effect"
import { join } from "node:path"
import * as Bundle from "../src/Bundle.js"

export interface Options {
  readonly args?: ReadonlyArray<string> | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
}

export interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of `src` as its user would: in a process of its own. */
export const run = (name: string, options?: Options): Effect.Effect<Outcome> =>
  Effect.scoped(Effect.flatMap(Bundle.make(name), (file) => execute(file, options)))

/** Programs of `src` that were bundled together. */
export class Programs extends Context.Tag("@effect-alf/examples/test/Programs")<Programs, {
  readonly run: (name: string, options?: Options) => Effect.Effect<Outcome>
}>() {}

export const layer = (...names: ReadonlyArray<string>): Layer.Layer<Programs> =>
  Layer.scoped(
    Programs,
    Effect.map(Bundle.makeAll(names), (directory) => ({
      run: (name, options) => execute(join(directory, `${name}.js`), options)
    }))
  )

const execute = (file: string, options: Options = {}): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const child = yield* Command.make(process.execPath, file, ...options.args ?? []).pipe(
      Command.env(options.env ?? {}),
      Command.start
    )
    return yield* Effect.all({
      exitCode: child.exitCode,
      stdout: Stream.mkString(Stream.decodeText(child.stdout)),
      stderr: Stream.mkString(Stream.decodeText(child.stderr))
    }, { concurrency: "unbounded" })
  }).pipe(Effect.scoped, Effect.orDie, Effect.provide(NodeContext.layer))
