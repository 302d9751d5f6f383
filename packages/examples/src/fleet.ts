/** `npm run fleet`. It ends with exit code 1 if anything was not as promised. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import * as Ending from "./Ending.js"
import * as FleetCommand from "./fleet/FleetCommand.js"

NodeRuntime.runMain(Ending.exitCode(Effect.suspend(() => FleetCommand.run(process.argv.slice(2)))))
