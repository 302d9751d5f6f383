/** A situation, played with some seeds. */
import * as Simulation from "./Simulation.js"
import type { Situation } from "./Situations.js"

export interface Measured {
  readonly name: string
  readonly mean: number
  readonly atMost: number
}

export const take = (situation: Situation, processes: number, seeds: number): ReadonlyArray<Measured> => {
  const reports = Array.from(
    { length: seeds },
    (_, index) => Simulation.run({ ...situation.scenario, processes }, index + 1)
  )
  return situation.measures.map(({ atMost, name, of }) => ({
    name,
    mean: reports.reduce((sum, report) => sum + of(report), 0) / seeds,
    atMost
  }))
}
