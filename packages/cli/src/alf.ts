#!/usr/bin/env node
/** The program: runs `AlfCommand` and ends the process. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import * as AlfCommand from "./AlfCommand.js"
import { ExitCode } from "./ExitCode.js"

// As shells count a process that a closed pipe ends
const brokenPipe = 141
// What must be given back takes a moment; who has pressed Ctrl-C waits no longer
const patience = 300

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

let exitCode: number = ExitCode.interrupted
process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(brokenPipe)
  process.stderr.write(`alf: the output cannot be written: ${code}\n`)
  process.exit(ExitCode.unexpected)
})
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
