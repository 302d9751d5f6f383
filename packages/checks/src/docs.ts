// Compiles every ts block of the READMEs and of the doc comments in the published packages. Each block is a module of
// its own, in memory only, in the package whose dependencies it may import.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import ts from "typescript"
import { published, report, root } from "./workspace.js"

interface Block {
  readonly source: string
  readonly firstLine: number
  readonly code: string
}

const problems: Array<string> = []
const blocks = new Map<string, Block>()

const collect = (source: string, home: string) => {
  const isMarkdown = source.endsWith(".md")
  let inComment = isMarkdown
  let exampleAt: number | undefined
  let open: { readonly isTs: boolean; readonly line: number; readonly code: Array<string> } | undefined
  readFileSync(source, "utf8").split("\n").forEach((raw, index) => {
    const line = index + 1
    if (!isMarkdown) {
      if (!inComment) {
        inComment = /^\s*\/\*\*/.test(raw) && !raw.includes("*/")
        return
      }
      if (raw.includes("*/")) {
        if (exampleAt !== undefined) {
          problems.push(`${relative(root, source)}:${exampleAt}: @example without a ts block`)
        }
        inComment = false
        exampleAt = open = undefined
        return
      }
    }
    const text = isMarkdown ? raw : raw.replace(/^\s*\* ?/, "")
    const fence = /^\s*```\s*(\w*)/.exec(text)
    if (open === undefined && /^@example\b/.test(text)) exampleAt = line
    if (fence === null) {
      open?.code.push(text)
    } else if (open === undefined) {
      open = { isTs: /^(ts|typescript)$/.test(fence[1]), line, code: [] }
    } else {
      if (open.isTs) {
        exampleAt = undefined
        const name = `${relative(root, source).replace(/\W/g, "-")}-${open.line}.ts`
        blocks.set(join(home, "build", "docs", name), { source, firstLine: open.line, code: open.code.join("\n") })
      }
      open = undefined
    }
  })
}

const examples = join(root, "packages", "examples")
const guides = join(root, "packages", "guides")
const readmes: Array<readonly [string, string]> = [
  [join(root, "README.md"), examples],
  ...published.map((name) => [join(root, "packages", name, "README.md"), examples] as const),
  ...readdirSync(guides).filter((file) => file.endsWith(".md")).map((file) => [join(guides, file), guides] as const)
]
for (const [readme, home] of readmes) {
  if (existsSync(readme)) collect(readme, home)
}
for (const name of published) {
  const home = join(root, "packages", name)
  for (const file of readdirSync(join(home, "src"), { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".ts")) collect(join(home, "src", file), name === "core" ? home : examples)
  }
}

const base = join(root, "tsconfig.base.json")
const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(base, ts.sys.readFile).config, ts.sys, root)
Object.assign(options, {
  composite: false,
  noEmit: true,
  types: ["node"],
  typeRoots: [join(root, "node_modules/@types")]
})
delete options.rootDir

const host = ts.createCompilerHost(options)
const { fileExists, getSourceFile, readFile } = host
host.fileExists = (file) => blocks.has(file) || fileExists(file)
host.readFile = (file) => blocks.get(file)?.code ?? readFile(file)
host.getSourceFile = (file, ...rest) => {
  const block = blocks.get(file)
  return block === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, block.code, rest[0], true)
}

const program = ts.createProgram([...blocks.keys()], options, host)
for (const [file, { firstLine, source }] of blocks) {
  const sourceFile = program.getSourceFile(file)!
  for (
    const { messageText, start } of [
      ...program.getSyntacticDiagnostics(sourceFile),
      ...program.getSemanticDiagnostics(sourceFile)
    ]
  ) {
    const line = firstLine + 1 + sourceFile.getLineAndCharacterOfPosition(start ?? 0).line
    problems.push(`${relative(root, source)}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n  ")}`)
  }
}
report(`docs (${blocks.size} blocks)`, problems)
