import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { setImmediate } from "node:timers/promises"
import { isThorough } from "../../core/test/support/Runs.js"
import * as Measurement from "../src/Measurement.js"
import { situations } from "../src/Situations.js"

// `npm test` plays every eighth situation with its smallest fleet, CI plays all of them; `npm run simulate` plays each
// several times
const played = isThorough ? situations : situations.filter((_, index) => index % 8 === 2)

// A situation is played without a turn of the event loop, and Vitest gives up on a worker that is silent for a minute
const turn = () => setImmediate()

describe("A fleet costs no more than it must", () => {
  for (const situation of played) {
    const fleets = isThorough ? situation.fleets : [Math.min(...situation.fleets)]
    for (const processes of fleets) {
      it(`${situation.name}, ${processes} processes`, async () => {
        await turn()
        const measured = Measurement.take(situation, processes, 1)
        deepStrictEqual(measured.filter(({ atMost, mean }) => mean > atMost), [])
      })
    }
  }
})
