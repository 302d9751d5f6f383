import { existsSync, readFileSync } from "node:fs"
import type { Contender } from "./Client.js"
import { axiosOAuth } from "./clients/axiosOAuth.js"
import { azurePipeline } from "./clients/azurePipeline.js"
import { badgateway } from "./clients/badgateway.js"
import { effectAlf } from "./clients/effectAlf.js"
import { googleAuth } from "./clients/googleAuth.js"
import { openidClient } from "./clients/openidClient.js"
import { simpleOAuth2 } from "./clients/simpleOAuth2.js"
import { measured, read } from "./Scenario.js"

const contenders: ReadonlyArray<Contender> = [
  effectAlf,
  openidClient,
  simpleOAuth2,
  badgateway,
  googleAuth,
  azurePipeline,
  axiosOAuth
]

const versionOf = (name: string): string => {
  const homes = ["../../node_modules", "../../../../node_modules"]
  const manifest = homes.map((home) => new URL(`${home}/${name}/package.json`, import.meta.url)).find(existsSync)
  if (manifest === undefined) throw new Error(`${name} is not installed`)
  return JSON.parse(readFileSync(manifest, "utf8")).version
}

const heading = ({ packages }: Contender) =>
  packages.length === 0 ? "effect-alf" : packages.map((name) => `${name} ${versionOf(name)}`).join(" with ")

const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

/** Puts every client to every test, and gives the table in Markdown. */
export const compare = async (): Promise<string> => {
  const rows: Array<string> = []
  for (const { measure, title } of [...measured, ...read]) {
    rows.push(row([title, ...await measure(contenders)]))
  }
  return [row(["", ...contenders.map(heading)]), row(["---", ...contenders.map(() => "---")]), ...rows].join("\n")
}
