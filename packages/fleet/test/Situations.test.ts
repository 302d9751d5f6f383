import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as Measurement from "../src/Measurement.js"
import { situations } from "../src/Situations.js"

// One plays each situation; CI takes 4, enough to tell the protocol from a plainer one, and `npm run simulate` more
const seeds = Number(process.env.SEEDS ?? 1)

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
