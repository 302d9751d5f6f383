import { readFileSync, writeFileSync } from "node:fs"
import { compare } from "./Comparison.js"
import { insert, page } from "./Page.js"

const table = await compare()
process.stdout.write(`${table}\n`)
const text = readFileSync(page, "utf8")
const renewed = insert(text, table)
if (process.argv.includes("--write")) writeFileSync(page, renewed)
if (process.argv.includes("--check") && text !== renewed) {
  process.stderr.write(`${page.pathname} says something else: npm run compare -- --write renews it\n`)
  process.exit(1)
}
// Connections that the clients keep alive would hold the process for seconds
process.exit()
