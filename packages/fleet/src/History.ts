/** Random histories: a fleet in some surroundings, faults of all kinds for a while, and then peace. */
import { Dice } from "./Dice.js"
import type { Target } from "./ModelApi.js"
import { defaultScope } from "./ModelEndpoint.js"
import * as Scenario from "./Scenario.js"

/** Faults begin within this time. */
const unrest = 25_000

const fault = (dice: Dice): Scenario.Fault => {
  const at = dice.within([0, unrest])
  const duration = dice.within([500, 12_000])
  const kind = dice.pick(
    [
      "crash",
      "asking",
      "join",
      "stall",
      "revoke",
      "revoke",
      "refuses",
      "hangs",
      "denies",
      "slow",
      "store",
      "one store",
      "notices",
      "late",
      "failover",
      "bad"
    ] as const
  )
  switch (kind) {
    case "crash":
      return { at, kind: "crash", who: "any" }
    case "asking":
      return { at, kind: "crash", who: "asking" }
    case "join":
      return { at, kind: "join" }
    case "stall":
      return { at, kind: "stall", for: duration }
    case "revoke":
      return { at, kind: "revoke" }
    case "refuses":
      return { at, kind: "endpoint", condition: "refuses", for: duration }
    case "hangs":
      return { at, kind: "endpoint", condition: "hangs", for: duration }
    case "denies":
      return { at, kind: "endpoint", condition: "denies", for: Math.min(duration, 4_000) }
    case "slow":
      return { at, kind: "slow", delay: dice.within([500, 4_000]), for: duration }
    case "store":
      return { at, kind: "store", condition: dice.pick(["fails", "hangs"]), who: "all", for: duration }
    case "one store":
      return { at, kind: "store", condition: dice.pick(["fails", "hangs"]), who: "one", for: duration }
    case "notices":
      return { at, kind: "notices", loss: dice.pick([0.5, 1]), for: duration }
    case "late":
      return { at, kind: "late", rate: dice.pick([0.02, 0.2]), for: duration }
    case "failover":
      return { at, kind: "failover", lost: dice.within([100, 5_000]) }
    case "bad":
      return { at, kind: "refuse", origin: Scenario.bad, for: duration }
  }
}

/** The history of a seed. */
export const make = (seed: number): Scenario.Scenario => {
  const dice = new Dice(seed)
  const isLarge = dice.happens(0.03)
  const lifetime = dice.pick([15_000, 20_000, 30_000])
  const scopes = dice.happens(0.5) ? [defaultScope] : [defaultScope, "write"]
  const origins = dice.happens(0.5) ? [Scenario.good] : [Scenario.good, Scenario.bad]
  const faults = Array.from({ length: dice.within([1, 8]) }, () => fault(dice)).sort((a, b) => a.at - b.at)
  const scenario: Scenario.Scenario = {
    ...Scenario.defaults,
    processes: dice.within(isLarge ? [20, 40] : [3, 8]),
    startWithin: dice.pick([0, 2_000, 10_000]),
    skew: dice.pick([0, 5_000, 30_000]),
    interval: dice.within([500, 2_000]),
    targets: origins.flatMap((origin) => scopes.map((scope): Target => ({ origin, scope }))),
    faults,
    store: {
      latency: dice.pick([[1, 5], [5, 60]]),
      lateness: [600, 3_000],
      noticeLoss: dice.pick([0, 0, 0.3, 1])
    },
    endpoint: {
      ...Scenario.defaults.endpoint,
      lifetime,
      latency: dice.pick([[40, 120], [300, 900]]),
      issue: dice.pick(["new", "new", "new", "same"]),
      renewsWithin: dice.within([500, 2_000]),
      timeout: 5_000
    }
  }
  // Whoever went alone while the store was away keeps its token until that is renewed
  const quiet = 1.3 * lifetime + 15_000
  return { ...scenario, duration: Math.max(Scenario.calmAt(scenario), 10_000) + quiet }
}
