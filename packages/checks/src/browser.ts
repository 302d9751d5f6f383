// Bundles all of core for a browser, with Effect, and fails on anything of Node's.
import { build } from "esbuild"
import { builtinModules } from "node:module"
import { report, root } from "./workspace.js"

const { metafile, outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ["packages/core/src/index.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  conditions: ["@effect-alf/source"],
  external: ["node:*", ...builtinModules],
  metafile: true,
  write: false
})

const problems = Object.entries(metafile.inputs).flatMap(([file, { imports }]) =>
  imports.filter(({ external }) => external).map(({ path }) => `${file}: imports ${path}`)
)
report(`browser (${Math.round(outputFiles[0].contents.length / 1024)} KiB with Effect, minified)`, problems)
