// What is at the top of src is public, what lies in a folder is not: the index, and that of the test kit, export every
// public module under its name and nothing else, and no public declaration names a private module.
import { readFileSync } from "node:fs"
import ts from "typescript"
import { libraries, modules, report, rooms, root } from "./workspace.js"

const problems: Array<string> = []

/** What a module of dist imports of its own package, as paths below dist. */
const importsOf = (name: string, module: string) =>
  ts.preProcessFile(readFileSync(`${root}packages/${name}/dist/${module}.d.ts`, "utf8")).importedFiles
    .filter(({ fileName }) => fileName.startsWith("."))
    .map(({ fileName }) => new URL(fileName.replace(/\.js$/, ""), `file:///${module}`).pathname.slice(1))

for (const name of libraries) {
  for (const folder of new Set(modules(name).map((module) => module.slice(0, module.lastIndexOf("/") + 1)))) {
    const exported = Object.keys(await import(`${root}packages/${name}/src/${folder}index.ts`))
    const expected = modules(name).filter((module) => module.startsWith(folder))
      .map((module) => module.slice(folder.length))
      .filter((module) => !module.includes("/"))
    for (const module of new Set([...exported, ...expected])) {
      if (exported.includes(module) && expected.includes(module)) continue
      const what = exported.includes(module) ? "has no public module" : "lacks"
      problems.push(`packages/${name}/src/${folder}index.ts: ${what} ${module}`)
    }
  }
  for (const module of modules(name)) {
    for (const imported of importsOf(name, module)) {
      if (rooms(name).includes(imported)) {
        problems.push(`${name}/${module}: its declarations name ${imported}, which is private`)
      }
    }
  }
}
report("exports", problems)
