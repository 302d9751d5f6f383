// Writes the terminal session of all situations into the guide: npm run record
import { Effect } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import * as Alf from "./Alf.js"
import * as Situations from "./Situations.js"

const guide = fileURLToPath(new URL("../../guides/command.md", import.meta.url))
const begin = "<!-- The session is recorded by npm run record. -->\n\n"
const end = "\n\n<!-- End of the session. -->"

const record = Effect.gen(function*() {
  const { transcript } = yield* Situations.play(yield* Alf.make)
  const text = yield* Effect.promise(() => readFile(guide, "utf8"))
  const before = text.slice(0, text.indexOf(begin) + begin.length)
  yield* Effect.promise(() => writeFile(guide, before + transcript + text.slice(text.lastIndexOf(end))))
})

await Effect.runPromise(Effect.scoped(record))
