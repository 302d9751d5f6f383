import type { Estimate } from "./Statistics.js"

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
