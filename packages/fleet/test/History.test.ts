import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual, notDeepStrictEqual } from "@effect/vitest/utils"
import * as History from "../src/History.js"
import * as Scenario from "../src/Scenario.js"

const histories = Array.from({ length: 500 }, (_, seed) => History.make(seed))

describe("History", () => {
  it("is the same for the same seed", () => {
    deepStrictEqual(History.make(7), History.make(7))
    notDeepStrictEqual(History.make(7), History.make(8))
  })

  it("contains every kind of fault", () => {
    const kinds = new Set(histories.flatMap(({ faults }) => faults.map(({ kind }) => kind)))
    deepStrictEqual(
      Array.from(kinds).sort(),
      ["crash", "endpoint", "failover", "join", "late", "notices", "refuse", "revoke", "slow", "stall", "store"]
    )
  })

  it("ends with a time without faults that is longer than a token's lifetime", () => {
    for (const history of histories) {
      assert.isAbove(history.duration - Scenario.calmAt(history), 1.2 * history.endpoint.lifetime)
    }
  })
})
