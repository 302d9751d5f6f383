import { build } from "esbuild"
import { fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { relate, type Relative } from "../Goal.js"
import type { Table } from "../Report.js"
import * as Rounds from "../Rounds.js"
import type { Scenario, Settings } from "../Scenario.js"
import * as Servers from "../Servers.js"
import type { FirstResponse } from "../start/Report.js"
import { estimate } from "../Statistics.js"

interface Program {
  readonly name: string
  readonly file: string
}

const bare: Program = { name: "Effect, platform's undici, constant header", file: "constantHeader" }
const own: Program = { name: "effect-alf", file: "effectAlf" }
const programs: ReadonlyArray<Program> = [
  own,
  bare,
  { name: "effect-alf, imported as a whole", file: "effectAlfIndex" },
  { name: "openid-client, undici", file: "openidClient" }
]

const here = fileURLToPath(new URL("../start/", import.meta.url))
const beyond = (value: number, other: number) => value - other

const inCommon: ReadonlyArray<Relative> = [
  { what: "until the first response", measure: "time", of: own.name, against: bare.name, limit: 1.1 },
  { what: "CPU until the first response", measure: "cpu", of: own.name, against: bare.name, limit: 1.1 },
  // Equals `requestLimit` where the constant header takes 63 ms
  {
    what: "CPU from the imports to the first response",
    measure: "request",
    of: own.name,
    against: bare.name,
    limit: 1.6
  }
]

/** Milliseconds of the processor, from the imports to the first response. */
const requestLimit = 100

const goals: ReadonlyArray<Relative> = [
  ...inCommon,
  {
    what: "modules beyond those of the constant header",
    measure: "modules",
    of: own.name,
    against: bare.name,
    limit: 60,
    unit: "",
    by: beyond
  }
]

const measures: Table["measures"] = [
  { key: "time", title: "first response after", unit: "ms", against: bare.name },
  { key: "cpu", title: "CPU until then", unit: "ms", against: bare.name },
  { key: "request", title: "of it after the imports", unit: "ms", against: bare.name }
]

const run = (file: string, url: string, nodeOptions: ReadonlyArray<string> = []) =>
  new Promise<FirstResponse & { readonly time: number }>((resolve, reject) => {
    const start = performance.now()
    const child = fork(file, { env: { ...process.env, BENCH_URL: url }, execArgv: [...nodeOptions] })
    child.once("message", (message) => resolve({ ...(message as FirstResponse), time: performance.now() - start }))
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)))
  })

const measure = (folder: string, url: string, isCounted: boolean, { rounds, smoke }: Settings) =>
  Rounds.measure(
    programs.map(({ file, name }) => {
      const path = join(folder, `${file}.js`)
      return {
        name,
        sample: async () => {
          const { cpu, cpuOfRequest, time } = await run(path, url)
          const counted = isCounted ? (await run(path, url, ["--import", join(here, "count.js")])).modules : 0
          return { time, cpu, request: cpuOfRequest, modules: counted }
        }
      }
    }),
    { rounds, warmUps: smoke ? 0 : 1 }
  )

/** As an app is bundled that loads further stores only if it uses them. */
const bundle = (outdir: string) =>
  build({
    entryPoints: programs.map(({ file }) => join(here, `${file}.js`)),
    outdir,
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["ioredis", "memcache", "@effect/sql", "@effect/sql-*"],
    banner: { js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url)" },
    outExtension: { ".js": ".js" },
    logLevel: "error"
  })

export const start: Scenario = {
  name: "start",
  title: "Start",
  run: async (settings) => {
    const servers = await Servers.start()
    const bundles = mkdtempSync(join(tmpdir(), "bench-start-"))
    try {
      await bundle(bundles)
      const unbundled = await measure(here, servers.url, true, settings)
      const bundled = await measure(bundles, servers.url, false, settings)
      const tables: ReadonlyArray<Table> = [
        {
          title: "As installed",
          samples: unbundled,
          measures: [...measures, { key: "modules", title: "modules", unit: "" }]
        },
        { title: "Bundled by esbuild", samples: bundled, measures }
      ]
      const named = (title: string, goals: ReadonlyArray<Relative>) =>
        goals.map((goal) => ({ ...goal, what: `${title}: ${goal.what}` }))
      return {
        method: "From the start of a process until it has the first response of the API, with a token that is " +
          "requested before; of those with a constant header, without one. The processor time is that of the whole " +
          "process, whatever else the machine does.",
        tables,
        goals: [
          ...relate(unbundled, named("as installed", goals)),
          ...relate(bundled, named("bundled", inCommon)),
          ...[["as installed", unbundled] as const, ["bundled", bundled] as const].map(([title, samples]) => ({
            what: `${title}: CPU from the imports to the first response, on this machine`,
            figure: estimate(Rounds.values(samples, own.name, "request")),
            bound: "at most" as const,
            limit: requestLimit,
            unit: "ms"
          }))
        ]
      }
    } finally {
      rmSync(bundles, { recursive: true })
      servers.close()
    }
  }
}
