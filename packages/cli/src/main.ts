/** Runs `AlfCommand` and ends the process. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as AlfCommand from "./AlfCommand.js"
import { ExitCode } from "./ExitCode.js"

// What must be given back takes a moment; who has pressed Ctrl-C waits no longer
const patience = 300

/** Runs it with the arguments of the process. */
export const main = (version: string): void => {
  let exitCode: number = ExitCode.interrupted
  process.once("SIGINT", () => setTimeout(() => process.exit(ExitCode.interrupted), patience).unref())

  NodeRuntime.runMain(
    Effect.map(AlfCommand.run(process.argv, version), (code) => {
      exitCode = code
    }),
    {
      disableErrorReporting: true,
      disablePrettyLogger: true,
      // Nothing that still hangs, such as the lookup of a name, holds up the end; what was written comes first
      teardown: () => process.stdout.write("", () => process.exit(exitCode))
    }
  )
}
