/** `npm run demo`. It ends with exit code 1 if anything was not as it should be. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import * as DemoCommand from "./DemoCommand.js"
import * as Ending from "./Ending.js"

NodeRuntime.runMain(Ending.exitCode(Effect.suspend(() => DemoCommand.run(process.argv.slice(2)))))
