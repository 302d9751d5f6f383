// What is at the top of src is public, what lies in a folder is not. The index, and that of the test kit, have a line for
// each public module and nothing else; no private module can be imported, and no public declaration names one. Then
// publint and attw judge the built package, at every entry point.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import ts from "typescript"
import { entryPoints, modules, published, report, rooms, root } from "./workspace.js"

const problems: Array<string> = []

const run = (command: string, ...args: Array<string>) => {
  const { status, stderr, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8" })
  if (status !== 0) problems.push(`${command} ${args.join(" ")}\n${stdout}${stderr}`)
}

/** The lines of an index: each exports a module under its own name. */
const checkIndex = (index: string, names: ReadonlyArray<string>) => {
  const { statements } = ts.createSourceFile(index, readFileSync(root + index, "utf8"), ts.ScriptTarget.Latest)
  const missing = new Set(names)
  for (const statement of statements) {
    const isNamespace = ts.isExportDeclaration(statement) &&
      !statement.isTypeOnly &&
      statement.exportClause !== undefined &&
      ts.isNamespaceExport(statement.exportClause) &&
      statement.moduleSpecifier !== undefined &&
      ts.isStringLiteral(statement.moduleSpecifier) &&
      statement.moduleSpecifier.text === `./${statement.exportClause.name.text}.js`
    if (!isNamespace || !missing.delete(statement.exportClause.name.text)) {
      problems.push(`${index}: has more than one line for each module: export * as Name from "./Name.js"`)
    }
  }
  for (const module of missing) problems.push(`${index}: lacks: export * as ${module} from "./${module}.js"`)
}

/** What a module of dist imports of its own package, as paths below dist. */
const importsOf = (name: string, module: string) =>
  ts.preProcessFile(readFileSync(`${root}packages/${name}/dist/${module}.d.ts`, "utf8")).importedFiles
    .filter(({ fileName }) => fileName.startsWith("."))
    .map(({ fileName }) => new URL(fileName.replace(/\.js$/, ""), `file:///${module}`).pathname.slice(1))

for (const name of published) {
  const top = modules(name).filter((module) => !module.includes("/"))
  const kit = modules(name).filter((module) => module.includes("/"))
  if (top.length > 0) checkIndex(`packages/${name}/src/index.ts`, top)
  if (kit.length > 0) checkIndex(`packages/${name}/src/testing/index.ts`, kit.map((module) => module.split("/")[1]))

  for (const module of modules(name)) {
    for (const imported of importsOf(name, module)) {
      if (rooms(name).includes(imported)) {
        problems.push(`${name}/${module}: its declarations name ${imported}, which is private`)
      }
    }
  }

  const { exports } = JSON.parse(readFileSync(`${root}packages/${name}/package.json`, "utf8"))
  for (const wing of new Set(rooms(name).map((room) => room.split("/")[0]))) {
    // Of the command nothing can be imported
    if (top.length === 0 ? "./*" in exports : exports[`./${wing}/*`] !== null) {
      problems.push(`packages/${name}: exports lacks "./${wing}/*": null`)
    }
  }

  run("publint", "run", "--strict", `packages/${name}`)
  if (top.length === 0) continue
  run(
    "attw",
    "--pack",
    `packages/${name}`,
    // What is loaded from CommonJS is an ES module, which Node 20.19 and newer can require
    "--ignore-rules",
    "cjs-resolves-to-esm",
    "--format",
    "ascii",
    "--entrypoints",
    ...entryPoints(name)
  )
}
report("exports", problems)
