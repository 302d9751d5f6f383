import { readFileSync, writeFileSync } from "node:fs"
import { compare } from "./Comparison.js"
import { insert, pages } from "./Page.js"

const table = await compare()
process.stdout.write(`${table}\n`)
if (process.argv.includes("--write")) {
  for (const page of pages) writeFileSync(page, insert(readFileSync(page, "utf8"), table))
}
if (process.argv.includes("--check")) {
  for (const page of pages) {
    const text = readFileSync(page, "utf8")
    if (text === insert(text, table)) continue
    process.stderr.write(`${page.pathname} says something else: npm run compare -- --write renews it\n`)
    process.exit(1)
  }
}
// Connections that the clients keep alive would hold the process for seconds
process.exit()
