import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { setImmediate } from "node:timers/promises"
import { isThorough } from "../../core/test/support/Runs.js"
import * as History from "../src/History.js"
import * as Promises from "../src/Promises.js"
import * as Simulation from "../src/Simulation.js"

// The same histories every time; SEED is the first, RUNS their number
const first = Number(process.env.SEED ?? 1)
const runs = Number(process.env.RUNS ?? (isThorough ? 100 : 2))

// A history is played without a turn of the event loop, and Vitest gives up on a worker that is silent for a minute:
// one turn separates two histories
const turn = () => setImmediate()

describe("A fleet, whatever happens", () => {
  it("keeps its promises in every history", async () => {
    const broken: Record<string, ReadonlyArray<string>> = {}
    for (let seed = first; seed < first + runs; seed++) {
      await turn()
      const scenario = History.make(seed)
      const problems = Promises.broken(scenario, Simulation.run(scenario, seed))
      if (problems.length > 0) broken[`SEED=${seed} RUNS=1 npx vitest run Fleet.properties`] = problems
    }
    deepStrictEqual(broken, {})
  })

  it("is not locked out by a server that accepts a used refresh token for a minute, in any history", async () => {
    const broken: Array<string> = []
    for (let seed = first; seed < first + runs / 3; seed++) {
      await turn()
      const history = History.make(seed)
      const scenario = { ...history, endpoint: { ...history.endpoint, refresh: { grace: 60_000 } } }
      const { isLockedOut, longestWait, unanswered } = Simulation.run(scenario, seed)
      if (isLockedOut || unanswered > 0 || longestWait > scenario.provider.maxWait + 50) {
        broken.push(`SEED=${seed} RUNS=1 npx vitest run Fleet.properties`)
      }
    }
    deepStrictEqual(broken, [])
  })
})
