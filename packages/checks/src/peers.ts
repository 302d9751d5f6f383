// Whether the published packages keep what their peer ranges say: in a copy of the work tree with the oldest, or the
// newest, releases that the ranges allow, the published types are read by a user who skips no check of them, the sources
// are type-checked, and the tests of core are run; with --all also those of node and of the servers.
// Needs the packages as `npm run build` makes them. Usage: npm run check:peers -- oldest|newest [--all]
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { entryPoints, libraries, published, report, root } from "./workspace.js"

/** The private package that their tests need, and that needs nothing of Effect beyond what they do. */
const alongside = ["servers"]

/** What their tests read besides: the pages that they hold to the code. */
const beside = /^packages\/guides\/[^/]+\.md$/

/** Releases that go with the oldest peers: of what only the tests need, and of the peers' own peers. */
const besideOldest: Ranges = {
  "@effect/cli": "0.76.0",
  "@effect/opentelemetry": "0.64.0",
  "@effect/vitest": "0.30.0"
}

type Manifest = Record<string, any>
type Ranges = Record<string, string>

const [asked = "oldest", ...options] = process.argv.slice(2)
if (asked !== "oldest" && asked !== "newest") throw new Error(`oldest or newest, not ${asked}`)

const read = (file: string): Manifest => JSON.parse(readFileSync(file, "utf8"))

const peers: Ranges = Object.assign(
  {},
  ...published.map((name) => read(`${root}packages/${name}/package.json`).peerDependencies)
)

/** The range as it is for the newest, its beginning for the oldest. */
const choose = (ranges: Ranges = {}): Ranges =>
  Object.fromEntries(
    Object.entries(ranges).map(([name, range]) => {
      if (name.startsWith("@effect-alf/")) return [name, range]
      const peer = peers[name]
      if (asked === "newest") return [name, peer ?? range]
      return [name, peer === undefined ? besideOldest[name] ?? range : peer.match(/\d+\.\d+\.\d+/)?.[0] ?? peer]
    })
  )

const external = (ranges: Ranges): Ranges =>
  Object.fromEntries(Object.entries(ranges).filter(([name]) => !name.startsWith("@effect-alf/")))

const write = (file: string, content: unknown) => writeFileSync(file, JSON.stringify(content, undefined, 2))

const problems: Array<string> = []
const copy = realpathSync(mkdtempSync(join(tmpdir(), "effect-alf-peers-")))

/** Runs to the end whatever happens, and says whether it went well. */
const run = (what: string, command: string, ...args: Array<string>): boolean => {
  const begin = performance.now()
  const { status } = spawnSync(command, args, { cwd: copy, stdio: "inherit" })
  console.log(`${asked} peers: ${what}: ${status === 0 ? "ok" : "failed"} (${seconds(performance.now() - begin)})`)
  if (status !== 0) problems.push(`${asked} peers: ${what} failed`)
  return status === 0
}

/** What a user's compiler finds in the types that were made with the newest peers, when it reads them with these. */
const readTypes = () => {
  const imported = libraries.flatMap((name) =>
    entryPoints(name).map((entry) => `@effect-alf/${name}${entry === "." ? "" : `/${entry}`}`)
  )
  for (const name of libraries) {
    cpSync(`${root}packages/${name}/dist`, join(copy, "packages", name, "dist"), { recursive: true })
  }
  writeFileSync(
    join(copy, "main.ts"),
    imported.map((entryPoint, index) => `export * as m${index} from ${JSON.stringify(entryPoint)}`).join("\n")
  )
  write(join(copy, "tsconfig.json"), {
    compilerOptions: { target: "ES2022", module: "NodeNext", strict: true, noEmit: true, types: ["node"] },
    files: ["main.ts"]
  })
  const { stdout } = spawnSync("node", ["node_modules/typescript/bin/tsc", "-p", "."], { cwd: copy, encoding: "utf8" })
  // Effect's own types have faults of their own
  const found = stdout.split("\n").filter((line) => /^(main|packages\/)/.test(line))
  console.log(`${asked} peers: published types: ${found.length === 0 ? "ok" : "failed"}`)
  for (const line of found) problems.push(`${asked} peers: published types: ${line}`)
}

const seconds = (millis: number) => `${Math.round(millis / 1000)} s`

try {
  const folders = [...published, ...alongside]
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: root,
    encoding: "utf8"
  }).split("\0")
  for (const file of new Set(files)) {
    const [top, folder] = file.split("/")
    if (
      folder === undefined
        ? /^(\.npmrc|(tsconfig|vitest)\..*)$/.test(file)
        : (top === "packages" && folders.includes(folder)) || beside.test(file)
    ) {
      cpSync(root + file, join(copy, file))
    }
  }
  const workspace = read(`${root}package.json`)
  write(join(copy, "package.json"), {
    private: true,
    type: "module",
    // As in the work tree, with the tests of the packages that are here
    scripts: { test: workspace.scripts.test },
    workspaces: workspace.workspaces,
    devDependencies: { ...choose(workspace.devDependencies), ...(asked === "oldest" && besideOldest) },
    // One release of each, whatever the peers of the peers would rather have
    overrides: { ...workspace.overrides, ...choose(external(peers)), ...(asked === "oldest" && besideOldest) }
  })
  for (const folder of folders) {
    const file = join(copy, "packages", folder, "package.json")
    const manifest = read(file)
    write(file, {
      ...manifest,
      dependencies: choose(manifest.dependencies),
      devDependencies: choose(manifest.devDependencies),
      peerDependencies: choose(manifest.peerDependencies)
    })
  }

  if (run("installation", "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")) {
    for (const name of Object.keys(external(peers))) {
      console.log(`${name} ${read(join(copy, "node_modules", name, "package.json")).version}`)
    }
    readTypes()
    run(
      "sources",
      "node",
      "node_modules/typescript/bin/tsc",
      "-b",
      ...published.map((name) => `packages/${name}/tsconfig.src.json`)
    )
    run("tests", "npm", "test", "--", ...options.includes("--all") ? [] : ["packages/core"])
  }
} finally {
  if (process.env.KEEP === undefined) rmSync(copy, { recursive: true, force: true })
  else console.log(copy)
}
report("peers", problems)
