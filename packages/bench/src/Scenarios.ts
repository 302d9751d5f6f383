import type { Scenario } from "./Scenario.js"
import { coldStampede } from "./scenarios/ColdStampede.js"
import { fleetOnRedis } from "./scenarios/FleetOnRedis.js"
import { leak } from "./scenarios/Leak.js"
import { manyKeys } from "./scenarios/ManyKeys.js"
import { memory } from "./scenarios/Memory.js"
import { outageOfTheEndpoint } from "./scenarios/Outage.js"
import { renewalUnderLoad } from "./scenarios/RenewalUnderLoad.js"
import { revocation } from "./scenarios/Revocation.js"
import { size } from "./scenarios/Size.js"
import { start } from "./scenarios/Start.js"
import { steadyState } from "./scenarios/SteadyState.js"
import { tokenOverhead } from "./scenarios/TokenOverhead.js"

export const scenarios: ReadonlyArray<Scenario> = [
  tokenOverhead,
  steadyState,
  start,
  coldStampede,
  renewalUnderLoad,
  revocation,
  outageOfTheEndpoint,
  manyKeys,
  memory,
  leak,
  fleetOnRedis,
  size
]
