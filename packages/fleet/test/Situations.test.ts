import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as Measurement from "../src/Measurement.js"
import { situations } from "../src/Situations.js"

// Enough to tell the protocol from a plainer one; `npm run simulate` takes more
const seeds = 2

describe("A fleet costs no more than it must", () => {
  for (const situation of situations) {
    for (const processes of situation.fleets) {
      it(`${situation.name}, ${processes} processes`, () => {
        const measured = Measurement.take(situation, processes, seeds)
        deepStrictEqual(measured.filter(({ atMost, mean }) => mean > atMost), [])
      })
    }
  }
})
