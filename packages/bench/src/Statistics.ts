/** What many measurements of one thing say: where the middle is, and how far from it they lie. */

/** The value below which a share of the values lies, from 0 to 1; between two of them in proportion. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  if (values.length === 0) return NaN
  const sorted = Float64Array.from(values).sort()
  const position = (sorted.length - 1) * share
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** The median absolute deviation: half of the values are at most this far from the median. */
export const deviation = (values: ReadonlyArray<number>): number => {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle)))
}

/** A median with its noise, both in the unit of the values. */
export interface Estimate {
  readonly value: number
  readonly noise: number
}

export const estimate = (values: ReadonlyArray<number>): Estimate => ({
  value: median(values),
  noise: deviation(values)
})

/**
 * One thing set against another, round by round: what slows the machine down for a while slows both, and is no part of
 * the result.
 */
export const paired = (
  values: ReadonlyArray<number>,
  others: ReadonlyArray<number>,
  relate: (value: number, other: number) => number
): Estimate => estimate(values.map((value, round) => relate(value, others[round])))

export const ratio = (values: ReadonlyArray<number>, others: ReadonlyArray<number>): Estimate =>
  paired(values, others, (value, other) => value / other)

export const difference = (values: ReadonlyArray<number>, others: ReadonlyArray<number>): Estimate =>
  paired(values, others, (value, other) => value - other)
