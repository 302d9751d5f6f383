/**
 * Programs in files of their own with all of Effect that they use: to find, read and transform so many files while they
 * load takes longer than most programs run.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { build } from "esbuild"
import { rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

// From a bundle, too, which lies elsewhere
const root = dirname(createRequire(import.meta.url).resolve("@effect-alf/examples/package.json"))

/** Bundles a program of `src`; gives the file, which goes with the scope. */
export const make = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(makeAll([name]), (directory) => join(directory, `${name}.js`))

/** Bundles programs of `src` that share what they use; gives the directory. */
export const makeAll = (names: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> => {
  const outdir = join(root, "build/programs", crypto.randomUUID())
  return Effect.as(
    Effect.acquireRelease(
      Effect.promise(() =>
        build({
          entryPoints: names.map((name) => join(root, "src", `${name}.ts`)),
          outbase: join(root, "src"),
          outdir,
          bundle: true,
          splitting: true,
          platform: "node",
          format: "esm",
          conditions: ["@effect-alf/source"],
          external: [
            "@libsql/client",
            "esbuild",
            "ioredis",
            "jose",
            "memcache",
            "oidc-provider",
            "pg",
            "pg-cursor",
            "undici",
            "ws"
          ]
        })
      ),
      () => Effect.promise(() => rm(outdir, { recursive: true }))
    ),
    outdir
  )
}
