/** What was measured in a scenario, beside what it should be. */
import type { Outcome } from "./Outcome.js"

export interface Finding {
  readonly what: string
  readonly unit: string
  /** Where it is missing, nothing is judged. */
  readonly limit: Limit | undefined
  readonly value: number
  /** The same without leases, which is shown and not judged. */
  readonly alone: number | undefined
}

export interface Limit {
  readonly text: string
  readonly holds: (value: number) => boolean
}

export const exactly = (n: number): Limit => ({ text: `${n}`, holds: (value) => value === n })

export const atMost = (n: number): Limit => ({ text: `≤ ${n}`, holds: (value) => value <= n })

export const atLeast = (n: number): Limit => ({ text: `≥ ${n}`, holds: (value) => value >= n })

export const holds = ({ limit, value }: Finding): boolean => limit === undefined || limit.holds(value)

export const make = (
  what: string,
  value: number,
  options: { readonly limit?: Limit | undefined; readonly alone?: number | undefined; readonly unit?: string } = {}
): Finding => ({ what, value, limit: options.limit, alone: options.alone, unit: options.unit ?? "" })

/** The same measure of the fleet and of the one without leases. */
export const compare = (
  what: string,
  { alone, fleet }: { readonly alone: Outcome; readonly fleet: Outcome },
  measure: (outcome: Outcome) => number,
  options: { readonly limit?: Limit | undefined; readonly unit?: string } = {}
): Finding => make(what, measure(fleet), { ...options, alone: measure(alone) })
