#!/usr/bin/env node
/** The program. Its version it tells without the command, which takes a while to load. */
import { readFileSync } from "node:fs"
import { ExitCode } from "./ExitCode.js"

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(ExitCode.closedPipe)
  process.stderr.write(`alf: the output cannot be written: ${code}\n`)
  process.exit(ExitCode.unexpected)
})

const [, , ...args] = process.argv
if (args.length === 1 && args[0] === "--version") {
  process.stdout.write(`${version}\n`)
} else {
  const { main } = await import("./main.js")
  main(version)
}
