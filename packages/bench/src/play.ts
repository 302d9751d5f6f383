/** The process of one scenario: told which and how, it answers with the report. */
import type { Settings } from "./Scenario.js"
import { scenarios } from "./Scenarios.js"

process.once("message", ({ name, settings }: { readonly name: string; readonly settings: Settings }) => {
  const scenario = scenarios.find((scenario) => scenario.name === name)
  if (scenario === undefined) throw new Error(`There is no scenario ${name}`)
  scenario.run(settings).then((report) => {
    // Connections that clients keep alive would hold the process for seconds
    process.send?.({ ...report, name, title: scenario.title }, undefined, {}, () => process.exit())
  }, (error) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.exit(1)
  })
})
