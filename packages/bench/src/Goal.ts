import { type Samples, values } from "./Rounds.js"
import { type Estimate, paired } from "./Statistics.js"

/** What a figure has to be, and what it is. */
export interface Goal {
  readonly what: string
  readonly figure: Estimate
  readonly bound: "at most" | "at least"
  readonly limit: number
  readonly unit: string
}

export type Verdict = "ok" | "within noise" | "missed"

/** A goal is missed when the figure is beyond the limit by more than its own noise. */
export const verdict = ({ bound, figure: { noise, value }, limit }: Goal): Verdict => {
  const beyond = bound === "at most" ? value - limit : limit - value
  return beyond <= 0 ? "ok" : beyond <= noise ? "within noise" : "missed"
}

/** What is counted has no noise: the worst round stands for all. */
const counted = (counts: ReadonlyArray<number>): Estimate => ({
  value: counts.length === 0 ? NaN : Math.max(...counts),
  noise: 0
})

/** A goal for what is counted. */
export const atMost = (what: string, limit: number, counts: ReadonlyArray<number>): Goal => ({
  what,
  figure: counted(counts),
  bound: "at most",
  limit,
  unit: ""
})

/** A goal that relates one subject of a run to another. */
export interface Relative {
  readonly what: string
  /** The key in the samples. */
  readonly measure: string
  readonly of: string
  readonly against: string
  readonly bound?: Goal["bound"]
  readonly limit: number
  readonly unit?: string
  /** How they are related; by default they are divided. */
  readonly by?: (value: number, other: number) => number
}

/** These goals with their figures: what slows the machine down for a while is no part of them. */
export const relate = (samples: Samples, goals: ReadonlyArray<Relative>): ReadonlyArray<Goal> =>
  goals.map((
    { against, bound = "at most", by = (value, other) => value / other, limit, measure, of, unit = "×", what }
  ) => ({
    what,
    figure: paired(values(samples, of, measure), values(samples, against, measure), by),
    bound,
    limit,
    unit
  }))
