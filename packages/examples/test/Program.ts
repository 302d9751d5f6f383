import { Command } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { build } from "esbuild"
import { rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"

const path = (relative: string) => fileURLToPath(new URL(`../${relative}`, import.meta.url))

/** Our own sources in one file: to transform them while they load takes longer than most programs run. */
const bundle = (name: string) => {
  const outfile = path(`build/programs/${name}-${crypto.randomUUID()}.js`)
  return Effect.as(
    Effect.acquireRelease(
      Effect.promise(() =>
        build({
          entryPoints: [path(`src/${name}.ts`)],
          outfile,
          bundle: true,
          platform: "node",
          format: "esm",
          conditions: ["@effect-alf/source"],
          external: ["effect", "@effect/*", "@noble/*", "ioredis", "jose", "oidc-provider"]
        })
      ),
      () => Effect.promise(() => rm(outfile))
    ),
    outfile
  )
}

/** Runs a program of `src` as its user would: in a process of its own. */
export const run = (
  name: string,
  options: {
    readonly args?: ReadonlyArray<string> | undefined
    readonly env?: Readonly<Record<string, string>> | undefined
  } = {}
): Effect.Effect<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }> =>
  Effect.gen(function*() {
    const program = yield* bundle(name)
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
