/**
 * Who may import whom. Within core that is what the picture in contributing.md
 * shows: a box of it imports the boxes that its arrows lead to, and all below
 * them. Public modules without a box are values, which any may import. Each
 * wing has a box, and each arrow is followed by an import.
 */
import { cruise, type ICruiseResult, type IForbiddenRuleType } from "dependency-cruiser"
import { readdirSync, readFileSync } from "node:fs"

const core = "packages/core/src"

const guide = readFileSync("packages/guides/contributing.md", "utf8")
const picture = /```mermaid\n([^]*?)```/.exec(guide)?.[1] ?? ""

/** A box says which wing it is, `client/: …`, or which public modules. */
const pathOf = (label: string) => {
  const wing = /^(\w+)\//.exec(label)?.[1]
  return `^${core}/${wing === undefined ? `(${label.split(", ").join("|")})\\.ts$` : `${wing}/`}`
}

const boxes = new Map(
  Array.from(picture.matchAll(/(\w+)\["([^"]+)"\]/g), ([, box, label]) => [box, pathOf(label)])
)

const arrows = Array.from(
  picture.replace(/\[[^\]]*\]/g, "").matchAll(/(\w+) --> (\w+)/g),
  ([, from, to]) => ({ from, to })
)

const below = (box: string, seen = new Set<string>()): Set<string> => {
  for (const { from, to } of arrows) {
    if (from !== box || seen.has(to)) continue
    seen.add(to)
    below(to, seen)
  }
  return seen
}

const forbid = (name: string, from: string, to: string | Array<string>): IForbiddenRuleType => ({
  name,
  severity: "error",
  from: { path: from },
  to: { path: to }
})

const forbidden: Array<IForbiddenRuleType> = [
  { name: "no cycles", severity: "error", from: {}, to: { circular: true } },
  ...Array.from(boxes).flatMap(([box, path]) => {
    const known = below(box).add(box)
    const others = Array.from(boxes).flatMap(([other, path]) => known.has(other) ? [] : [path])
    return others.length === 0 ? [] : [forbid(`${box} imports only what is below it in the picture`, path, others)]
  }),
  forbid("nothing knows the test kit", "^packages/(core|node|cli)/src/(?!testing/)", `^${core}/testing/`),
  forbid("core knows neither Node nor the other packages", `^${core}/`, "^packages/(?!core/)|^node:"),
  {
    name: "core imports no module of Node",
    severity: "error",
    from: { path: `^${core}/` },
    to: { dependencyTypes: ["core"] }
  },
  forbid("node does not know the command", "^packages/node/src/", "^packages/cli/"),
  forbid("a package enters another by its front", "^packages/(node|cli)/src/", `^${core}/[^/]+/(?!index\\.ts)`)
]

const { output } = await cruise([core, "packages/node/src", "packages/cli/src"], {
  ruleSet: { forbidden },
  validate: true,
  outputType: "json",
  doNotFollow: { path: "node_modules" },
  tsPreCompilationDeps: true,
  enhancedResolveOptions: {
    conditionNames: ["@effect-alf/source", "import", "types", "default"],
    exportsFields: ["exports"]
  }
})
const { modules, summary } = JSON.parse(String(output)) as ICruiseResult

const isIn = (box: string, path: string) => new RegExp(boxes.get(box) ?? "^$").test(path)

const wings = readdirSync(core, { withFileTypes: true }).filter((entry) => entry.isDirectory())

const wrong = [
  ...summary.violations.map(({ cycle, from, rule, to }) =>
    `${rule.name}: ${[from, ...cycle?.map(({ name }) => name) ?? [to]].join(" → ")}`
  ),
  ...wings
    .filter(({ name }) => !Array.from(boxes.keys()).some((box) => isIn(box, `${core}/${name}/`)))
    .map(({ name }) => `the picture has no box for ${name}/`),
  ...arrows
    .filter(({ from, to }) =>
      !modules.some(({ dependencies, source }) =>
        isIn(from, source) && dependencies.some(({ resolved }) => isIn(to, resolved))
      )
    )
    .map(({ from, to }) => `the picture has an arrow that no import follows: ${from} → ${to}`)
]

for (const line of wrong) console.error(line)
if (wrong.length > 0) process.exit(1)
console.log(`${modules.length} modules import what they may know, as the picture has it`)
