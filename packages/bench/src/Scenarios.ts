import type { Scenario } from "./Scenario.js"
import { steadyState } from "./scenarios/SteadyState.js"
import { tokenOverhead } from "./scenarios/TokenOverhead.js"

export const scenarios: ReadonlyArray<Scenario> = [tokenOverhead, steadyState]
