import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as Promises from "../src/Promises.js"
import * as Scenario from "../src/Scenario.js"
import * as Simulation from "../src/Simulation.js"

const kept: Simulation.Report = {
  ...Simulation.run({ ...Scenario.defaults, processes: 2, duration: 10_000 }, 1),
  tokenRequests: 1
}

const scenario = (faults: ReadonlyArray<Scenario.Fault>): Scenario.Scenario => ({ ...Scenario.defaults, faults })

const failure = (startedAt: number, outcome: "failed" | "rejected" = "failed", origin = Scenario.good) => ({
  origin,
  scope: "read",
  startedAt,
  endedAt: startedAt + 100,
  outcome
})

/** The names of the broken promises: the text before the colon. */
const broken = (report: Partial<Simulation.Report>, faults: ReadonlyArray<Scenario.Fault> = []) =>
  Promises.broken(scenario(faults), { ...kept, ...report }).map((problem) => problem.split(":")[0])

describe("Promises", () => {
  it("are all kept by a quiet fleet", () => {
    deepStrictEqual(broken({}), [])
  })

  it("are broken by each forbidden result", () => {
    deepStrictEqual(broken({ answers: new Map([["mixed", 1]]) }), ["scopes mixed"])
    deepStrictEqual(broken({ answers: new Map([["unknown", 1]]) }), ["scopes mixed"])
    deepStrictEqual(broken({ longestWait: 10_100 }), ["wait"])
    deepStrictEqual(broken({ unanswered: 1 }), ["wait"])
    deepStrictEqual(broken({ latestHandout: 100 }), ["dead token"])
    deepStrictEqual(broken({ failures: [failure(5_000)] }), ["good API"])
    deepStrictEqual(broken({ failures: [failure(5_000, "rejected")] }), ["good API"])
    deepStrictEqual(broken({ tokensAtEnd: { read: 1, write: 2 } }), ["convergence"])
    deepStrictEqual(broken({ blindWrites: 1 }), ["going backwards"])
    deepStrictEqual(broken({ tokenRequests: 2 }), ["requests"])
  })

  it("do not apply to a bad API", () => {
    deepStrictEqual(broken({ failures: [failure(5_000, "rejected", Scenario.bad)] }), [])
  })

  it("allow a failure while the endpoint is unavailable or after a revocation, and at no other time", () => {
    const away: Scenario.Fault = { at: 10_000, kind: "endpoint", condition: "refuses", for: 5_000 }
    deepStrictEqual(broken({ failures: [failure(12_000)] }, [away]), [])
    deepStrictEqual(broken({ failures: [failure(9_000)] }, [away]), ["good API"])
    deepStrictEqual(broken({ failures: [failure(45_000)] }, [away]), ["good API"])
    const revoked: Scenario.Fault = { at: 10_000, kind: "revoke" }
    deepStrictEqual(broken({ failures: [failure(10_100, "rejected")] }, [revoked]), [])
    deepStrictEqual(broken({ failures: [failure(20_000, "rejected")] }, [revoked]), ["good API"])
  })

  it("allow one more request for a lost lease holder, and one more per process without a store", () => {
    const bound = (...faults: ReadonlyArray<Scenario.Fault>) => Promises.requestBound(scenario(faults), kept)
    assert.strictEqual(bound(), 1)
    assert.strictEqual(bound({ at: 0, kind: "crash", who: "any" }), 2)
    assert.strictEqual(bound({ at: 0, kind: "store", condition: "fails", who: "one", for: 1_000 }), 2)
    assert.strictEqual(bound({ at: 0, kind: "store", condition: "fails", who: "all", for: 1_000 }), 9)
    assert.strictEqual(bound({ at: 0, kind: "notices", loss: 1, for: 1_000 }), 1)
  })
})
