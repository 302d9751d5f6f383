import { readFileSync, writeFileSync } from "node:fs"
import { compare } from "./Comparison.js"
import { insert, pages } from "./Page.js"

const table = await compare()
process.stdout.write(`${table}\n`)
if (process.argv.includes("--write")) {
  for (const page of pages) writeFileSync(page, insert(readFileSync(page, "utf8"), table))
}
// Connections that the clients keep alive would hold the process for seconds
process.exit()
