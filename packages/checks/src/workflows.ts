// The workflows of GitHub are read nowhere else before they run there: each is YAML, has what every workflow has, and
// calls only scripts and files that exist.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { parse } from "yaml"
import { report, root } from "./workspace.js"

interface Workflow {
  readonly on?: unknown
  readonly permissions?: unknown
  readonly jobs?: Record<string, {
    readonly "timeout-minutes"?: number
    readonly steps?: ReadonlyArray<{
      readonly uses?: string
      readonly run?: string
      readonly with?: Record<string, unknown>
    }>
  }>
}

const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> }
const folder = ".github/workflows/"
const problems: Array<string> = []

for (const file of readdirSync(root + folder)) {
  const complain = (what: string) => problems.push(`${folder}${file}: ${what}`)
  let workflow: Workflow
  try {
    workflow = parse(readFileSync(root + folder + file, "utf8"))
  } catch (error) {
    complain(String(error))
    continue
  }
  if (workflow.on === undefined) complain("does not say when it runs")
  if (workflow.permissions === undefined) complain("has every permission, as it names none")
  for (const [name, { steps = [], "timeout-minutes": timeout }] of Object.entries(workflow.jobs ?? {})) {
    if (timeout === undefined) complain(`${name}: has no time limit`)
    for (const { run, uses, with: inputs = {} } of steps) {
      if ((run === undefined) === (uses === undefined)) complain(`${name}: a step has to run or to use something`)
      const commands = [run, ...Object.values(inputs)].filter((command) => typeof command === "string")
      for (const command of commands) {
        for (const [, script] of command.matchAll(/\bnpm run ([\w:-]+)/g)) {
          if (!(script in scripts)) complain(`${name}: package.json has no script ${script}`)
        }
        for (const [path] of command.matchAll(/(?<![\w/])\.\w[\w-]*\/[\w./-]+/g)) {
          if (!existsSync(root + path)) complain(`${name}: there is no ${path}`)
        }
      }
    }
  }
}
report("workflows", problems)
