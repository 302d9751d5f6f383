import { readFileSync } from "node:fs"

/** The rows of the table in a section of RULES.md: each "from transition to" by itself. */
export const ruleTable = (section: string): ReadonlyArray<string> => {
  const rules = readFileSync(new URL("../../RULES.md", import.meta.url), "utf8")
  const [, text = ""] = rules.split(`\n## ${section}\n`)
  return Array.from(
    text.split("\n## ")[0].matchAll(/^\| ([\w, ]+) \| `(\w+)` \| ([\w, ]+) \|/gm),
    ([, from, name, to]) => from.split(", ").flatMap((from) => to.split(", ").map((to) => `${from} ${name} ${to}`))
  ).flat()
}
