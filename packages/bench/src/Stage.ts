/** Plays a scenario in a process of its own, so that none inherits the heap and the compiled code of another. */
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Report } from "./Report.js"
import type { Scenario, Settings } from "./Scenario.js"

export const play = ({ name, nodeOptions = [] }: Scenario, settings: Settings): Promise<Report> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("play.js", import.meta.url)), {
      execArgv: [...nodeOptions],
      serialization: "advanced"
    })
    let report: Report | undefined
    child.once("message", (message) => {
      report = message as Report
    })
    child.once("exit", (code) => {
      if (report === undefined) reject(new Error(`${name} ended with ${code}`))
      else resolve(report)
    })
    child.send({ name, settings })
  })
