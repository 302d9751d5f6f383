import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { setImmediate } from "node:timers/promises"
import * as Measurement from "../src/Measurement.js"
import { situations } from "../src/Situations.js"

// Without a number every eighth situation is played once, by its smallest fleet. CI takes 4, enough to tell the protocol
// from a plainer one, for all of them, and `npm run simulate` more
const given = process.env.SEEDS
const seeds = Number(given ?? 1)

// A situation is played without a turn of the event loop, and Vitest gives up on a worker that is silent for a minute
const turn = () => setImmediate()

describe("A fleet costs no more than it must", () => {
  for (const situation of situations.filter((_, index) => given !== undefined || index % 8 === 2)) {
    const fleets = given === undefined ? [Math.min(...situation.fleets)] : situation.fleets
    for (const processes of fleets) {
      it(`${situation.name}, ${processes} processes`, async () => {
        await turn()
        const measured = Measurement.take(situation, processes, seeds)
        deepStrictEqual(measured.filter(({ atMost, mean }) => mean > atMost), [])
      })
    }
  }
})
