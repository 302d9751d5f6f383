// Each module of a published package is a namespace of its own name in the index, and nothing else is there. Then
// publint and attw judge the built package, at every entry point.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import ts from "typescript"
import { modules, published, report, root, sources } from "./workspace.js"

const problems: Array<string> = []

const run = (command: string, ...args: Array<string>) => {
  const { status, stderr, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8" })
  if (status !== 0) problems.push(`${command} ${args.join(" ")}\n${stdout}${stderr}`)
}

for (const name of published) {
  const index = `packages/${name}/src/index.ts`
  const { statements } = ts.createSourceFile(index, readFileSync(root + index, "utf8"), ts.ScriptTarget.Latest)
  const missing = new Set(modules(name))
  for (const statement of statements) {
    const isNamespace = ts.isExportDeclaration(statement) &&
      !statement.isTypeOnly &&
      statement.exportClause !== undefined &&
      ts.isNamespaceExport(statement.exportClause) &&
      statement.moduleSpecifier !== undefined &&
      ts.isStringLiteral(statement.moduleSpecifier) &&
      statement.moduleSpecifier.text === `./${statement.exportClause.name.text}.js`
    if (!isNamespace) {
      problems.push(`${index}: has more than lines of the form: export * as Name from "./Name.js"`)
    } else {
      missing.delete(statement.exportClause.name.text)
    }
  }
  for (const module of missing) problems.push(`${index}: lacks: export * as ${module} from "./${module}.js"`)

  const { exports } = JSON.parse(readFileSync(`${root}packages/${name}/package.json`, "utf8"))
  for (const folder of new Set(sources(name).flatMap((source) => source.includes("/") ? source.split("/")[0] : []))) {
    // What lies in a folder is nobody's to import
    if (exports[`./${folder}/*`] !== null) problems.push(`packages/${name}: exports lacks: "./${folder}/*": null`)
  }

  const entrypoints = [".", ...modules(name)]
  run("publint", "run", "--strict", `packages/${name}`)
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
    ...entrypoints
  )
}
report("exports", problems)
