// Measures what a token costs, here and with other clients:
//
//     npm run bench
//     npm run bench -- steady-state --rounds 15
//     npm run bench -- --check
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus } from "node:os"
import { parseArgs } from "node:util"
import { effectAlf } from "./clients/effectAlf.js"
import { type Verdict, verdict } from "./Goal.js"
import * as Page from "./Page.js"
import { render, type Report } from "./Report.js"
import { scenarios } from "./Scenarios.js"
import * as Stage from "./Stage.js"

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    // Fail when a goal is missed
    check: { type: "boolean", default: false },
    // Where every sample goes
    json: { type: "string" },
    rounds: { type: "string" },
    // Show that everything works, and nothing else
    smoke: { type: "boolean", default: false },
    // Put the figures into the guide
    write: { type: "boolean", default: false }
  }
})

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}

const unknown = positionals.filter((name) => scenarios.every((scenario) => scenario.name !== name))
if (unknown.length > 0) {
  fail(`There is no scenario ${unknown.join(", ")}. There are: ${scenarios.map(({ name }) => name).join(", ")}`)
}
const rounds = Number(options.rounds ?? (options.smoke ? 1 : 7))
if (!Number.isInteger(rounds) || rounds < 1) fail("--rounds is a whole number above 0")

const say = (text: string) => process.stdout.write(`${text}\n`)

const machine = `Measured on ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${
  process.version.slice(1)
}: medians of ${rounds} rounds, ± the median deviation.`
say(machine)

const reports: Array<Report> = []
for (const scenario of scenarios) {
  if (positionals.length > 0 && !positionals.includes(scenario.name)) continue
  const report = await Stage.play(scenario, {
    rounds,
    smoke: options.smoke,
    goalsOnly: options.check && !options.write
  })
  reports.push(options.smoke ? { ...report, goals: [] } : report)
  say(`\n## ${report.title} (${report.name})\n\n${render(reports[reports.length - 1])}`)
}

if (options.json !== undefined) {
  const plain = (_: string, value: unknown) => value instanceof Map ? Object.fromEntries(value) : value
  writeFileSync(options.json, `${JSON.stringify({ machine, rounds, reports }, plain, 2)}\n`)
}

if (options.write) {
  const guides = new URL("../../guides/", import.meta.url)
  const page = new URL(Page.page, guides)
  mkdirSync(new URL("performance/", guides), { recursive: true })
  for (const report of reports) {
    writeFileSync(page, Page.insert(readFileSync(page, "utf8"), report, machine))
    for (const [path, text] of Page.pictures(report, effectAlf.name)) writeFileSync(new URL(path, guides), text)
  }
}

if (options.check) {
  const judged = (wanted: Verdict) =>
    reports.flatMap(({ goals, name }) =>
      goals.flatMap((goal) => verdict(goal) === wanted ? [`${name}: ${goal.what}`] : [])
    )
  const doubtful = judged("within noise")
  const missed = judged("missed")
  if (doubtful.length > 0) say(`\nMissed, but by no more than the noise:\n${doubtful.join("\n")}`)
  if (missed.length > 0) {
    say(`\nMissed by more than the noise:\n${missed.join("\n")}`)
    process.exitCode = 1
  }
  if (doubtful.length + missed.length === 0) say("\nEvery goal is met")
}
