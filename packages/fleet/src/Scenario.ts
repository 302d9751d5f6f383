/** A history to simulate, as plain data: the fleet, its surroundings, and what happens to them. */
import type { TokenProvider } from "@effect-alf/core"
import type { Range } from "./Dice.js"
import type * as ModelApi from "./ModelApi.js"
import * as ModelEndpoint from "./ModelEndpoint.js"
import * as ModelStore from "./ModelStore.js"

/** Something that goes wrong, at a time and, where that makes sense, for a time. */
export type Fault =
  & { readonly at: number }
  & (
    /** `asking`: the next process that has a token request under way. */
    | { readonly kind: "crash"; readonly who: "any" | "asking" }
    | { readonly kind: "join" }
    /** One process stands still, as in a long collection of garbage or a suspended machine. */
    | { readonly kind: "stall"; readonly for: number }
    | { readonly kind: "revoke" }
    | { readonly kind: "endpoint"; readonly condition: ModelEndpoint.Condition; readonly for: number }
    | { readonly kind: "slow"; readonly delay: number; readonly for: number }
    | {
      readonly kind: "store"
      readonly condition: ModelStore.Condition
      readonly who: "one" | "all"
      readonly for: number
    }
    | { readonly kind: "notices"; readonly loss: number; readonly for: number }
    /** Calls of the store that reach it when their caller has given up. */
    | { readonly kind: "late"; readonly rate: number; readonly for: number }
    | { readonly kind: "failover"; readonly lost: number }
    | { readonly kind: "refuse"; readonly origin: string; readonly for: number }
  )

export interface Scenario {
  readonly processes: number
  /** Processes start within this time. */
  readonly startWithin: number
  /** How far a clock may be off, either way. */
  readonly skew: number
  /** From one call of a process to its next, on average. */
  readonly interval: number
  readonly targets: ReadonlyArray<ModelApi.Target>
  /** How long calls are made. */
  readonly duration: number
  readonly faults: ReadonlyArray<Fault>
  readonly store: ModelStore.Options
  readonly endpoint: ModelEndpoint.Options
  readonly apiLatency: Range
  readonly provider: TokenProvider.Options & { readonly maxWait: number }
}

export const good = "https://good.test"

export const bad = "https://bad.test"

/** A quiet fleet with one API. */
export const defaults: Scenario = {
  processes: 8,
  startWithin: 1_000,
  skew: 0,
  interval: 500,
  targets: [{ origin: good, scope: ModelEndpoint.defaultScope }],
  duration: 60_000,
  faults: [],
  store: ModelStore.defaultOptions,
  endpoint: ModelEndpoint.defaultOptions,
  apiLatency: [5, 30],
  provider: { maxWait: 10_000 }
}

/** When the last fault is over. */
export const calmAt = ({ faults }: Scenario): number =>
  Math.max(0, ...faults.map((fault) => fault.at + ("for" in fault ? fault.for : 0)))
