/** The code in the docs: what stands between fences in a page or in a doc comment. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { published, root } from "../workspace.js"

export interface Block {
  /** The page or module that it stands in, from the top of the repository. */
  readonly source: string
  readonly language: string
  /** The file that it is, beside the others of its page, when the fence says so: title="orders.test.ts". */
  readonly title: string | undefined
  /** The line of its first line. */
  readonly line: number
  readonly code: string
}

/** Every page and module that has blocks to be checked. */
export const sources = (): Array<string> => {
  const below = (folder: string, extension: string) =>
    existsSync(root + folder)
      ? readdirSync(root + folder, { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(extension) && !file.includes("node_modules"))
        .map((file) => join(folder, file))
        .sort()
      : []
  return [
    "README.md",
    ...published.map((name) => `packages/${name}/README.md`),
    // Those of the reference are the ones of the doc comments
    ...below("packages/guides", ".md").filter((file) => !file.startsWith("packages/guides/reference/")),
    ...published.flatMap((name) => below(`packages/${name}/src`, ".ts"))
  ]
}

/** The blocks of a page or module, and what is wrong with its fences. */
export const read = (source: string): { readonly blocks: Array<Block>; readonly problems: Array<string> } => {
  const isPage = source.endsWith(".md")
  const blocks: Array<Block> = []
  const problems: Array<string> = []
  let isText = isPage
  let example: number | undefined
  let open: Omit<Block, "source" | "code"> & { readonly code: Array<string> } | undefined
  const close = (line: number) => {
    if (open !== undefined) problems.push(`${source}:${open.line - 1}: the block does not end`)
    if (example !== undefined) problems.push(`${source}:${example}: @example without a ts block`)
    open = example = undefined
    return line
  }
  const lines = readFileSync(root + source, "utf8").split("\n")
  lines.forEach((raw, index) => {
    const line = index + 1
    if (!isPage && !isText) {
      isText = /^\s*\/\*\*/.test(raw) && !raw.includes("*/")
      return
    }
    if (!isPage && raw.includes("*/")) {
      isText = false
      close(line)
      return
    }
    const text = isPage ? raw : raw.replace(/^\s*\* ?/, "")
    const fence = /^\s*```\s*(\w*)(?: title="([^"]+)")?/.exec(text)
    if (open === undefined && /^@example\b/.test(text)) example = line
    if (fence === null) {
      open?.code.push(text)
      if (open?.language === "ts" && /^declare\b/.test(text)) {
        problems.push(`${source}:${line}: cannot be run: give a value in place of what is declared`)
      }
    } else if (open === undefined) {
      open = { language: fence[1], title: fence[2], line: line + 1, code: [] }
    } else {
      if (open.language === "ts") example = undefined
      blocks.push({ ...open, source, code: open.code.join("\n") })
      open = undefined
    }
  })
  close(lines.length)
  return { blocks, problems }
}

/** Blocks that import it are tests. */
export const isTest = ({ code }: Block): boolean => /from "(@effect\/)?vitest"/.test(code)

const folder = (home: string) => join(root, "packages", home, "build/docs")

/** Where blocks are files. */
export const homes = [folder("core"), folder("examples")]

/** The file of a block, in a package that has what the block imports. */
export const fileOf = (block: Block): string => {
  const home = block.source.startsWith("packages/core/src/") ? "core" : "examples"
  const page = join(folder(home), block.source.replace(/\W/g, "-"))
  return block.title === undefined
    ? `${page}-${block.line}.${isTest(block) ? "test." : ""}ts`
    : join(page, block.title)
}

/**
 * The block as a module whose lines are numbered as those of its source. What it exports is run; where it exports
 * nothing, every constant at its top is.
 */
export const toModule = ({ code, line, source }: Block): string => {
  const { statements } = ts.createSourceFile(source, code, ts.ScriptTarget.Latest)
  const isExported = (node: ts.Statement) =>
    ts.isExportDeclaration(node) || ts.isExportAssignment(node) ||
    (ts.canHaveModifiers(node) &&
      (ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false))
  const names = statements.some(isExported) ?
    [] :
    statements.filter(ts.isVariableStatement).flatMap((statement) =>
      statement.declarationList.declarations.flatMap(({ name }) => ts.isIdentifier(name) ? [name.text] : [])
    )
  return `${"\n".repeat(line - 1)}${code}\nexport { ${names.join(", ")} }\n`
}
