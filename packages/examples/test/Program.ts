import { Command } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import * as Bundle from "../src/Bundle.js"

/** Runs a program of `src` as its user would: in a process of its own. */
export const run = (
  name: string,
  options: {
    readonly args?: ReadonlyArray<string> | undefined
    readonly env?: Readonly<Record<string, string>> | undefined
  } = {}
): Effect.Effect<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }> =>
  Effect.gen(function*() {
    const program = yield* Bundle.make(name)
    const child = yield* Command.make(process.execPath, program, ...options.args ?? []).pipe(
      Command.env(options.env ?? {}),
      Command.start
    )
    return yield* Effect.all({
      exitCode: child.exitCode,
      stdout: Stream.mkString(Stream.decodeText(child.stdout)),
      stderr: Stream.mkString(Stream.decodeText(child.stderr))
    }, { concurrency: "unbounded" })
  }).pipe(Effect.scoped, Effect.orDie, Effect.provide(NodeContext.layer))
