import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual, notDeepStrictEqual } from "@effect/vitest/utils"
import * as History from "../src/History.js"
import * as Scenario from "../src/Scenario.js"
import * as Simulation from "../src/Simulation.js"

describe("Simulation", () => {
  it("has the same result for the same seed, and another for another seed", () => {
    const reports = [1, 2, 1].map((seed) => Simulation.run(History.make(seed), seed))
    deepStrictEqual(reports[2], reports[0])
    notDeepStrictEqual(reports[0], reports[1])
  })

  it("in a quiet fleet no call fails, and only the first token is waited for", () => {
    const report = Simulation.run(Scenario.defaults, 1)
    deepStrictEqual(report.failures, [])
    assert.strictEqual(report.unanswered, 0)
    deepStrictEqual(report.tokensAtEnd, { read: 1 })
    deepStrictEqual(Array.from(report.answers.keys()), ["accepted"])
    assert.isBelow(report.longestWait, 2_000)
    assert.isAbove(report.calls, 800)
  })
})
