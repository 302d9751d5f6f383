import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import { estimate } from "../Statistics.js"

const root = fileURLToPath(new URL("../../../../", import.meta.url))

/** What a command prints, also if a limit of its own makes it fail. */
const run = (command: string, args: ReadonlyArray<string>): string =>
  spawnSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).stdout

interface Measured {
  readonly name: string
  readonly size: number
}

/** As `check:size` measures it, of the packages as they are published. */
export const size: Scenario = {
  name: "size",
  title: "Size",
  run: async ({ smoke }) => {
    if (smoke) return { method: "Not measured: `npm run check:size` does.", tables: [], goals: [] }
    // Beside it the plugin of `check:size` lists the modules
    const [json = "[]"] = /^\[\n[^]*?^\]$/m.exec(run("npx", ["size-limit", "--json"])) ?? []
    const measured: ReadonlyArray<Measured> = JSON.parse(json)
    if (measured.length === 0) throw new Error("size-limit measured nothing")
    const samples: Rounds.Samples = new Map(measured.map(({ name, size }) => [name, [{ size: size / 1000 }]]))
    const own = measured[0].name
    return {
      method: "An app with client credentials and the store in memory, bundled by esbuild, min+gzip.",
      tables: [{ title: "", samples, measures: [{ key: "size", title: "size", unit: "kB" }] }],
      goals: [{
        what: own,
        figure: estimate(Rounds.values(samples, own, "size")),
        bound: "at most",
        limit: 20,
        unit: "kB"
      }]
    }
  }
}
