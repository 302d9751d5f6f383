/** What the libraries declare to their users, as built: `dist/*.d.ts` must be there. */
import { createFromBuffer } from "@dprint/formatter"
import * as Dprint from "@dprint/typescript"
import { readFileSync } from "node:fs"
import ts from "typescript"
import { root } from "../workspace.js"

export interface Declaration {
  readonly name: string
  readonly isExported: boolean
  readonly node: ts.DeclarationStatement | ts.VariableStatement
}

export interface Module {
  readonly package: string
  /** The path below src. */
  readonly path: string
  readonly name: string
  /** What it is imported from. */
  readonly entryPoint: string
  /** The doc comment that the module begins with. */
  readonly description: string
  /** In the order of the source, without imports. */
  readonly declarations: ReadonlyArray<Declaration>
}

export const read = (packageName: string, path: string): Module => {
  const source = `packages/${packageName}/src/${path}.ts`
  const built = `packages/${packageName}/dist/${path}.d.ts`
  const file = ts.createSourceFile(built, readFileSync(root + built, "utf8"), ts.ScriptTarget.Latest, true)
  const [name, folder] = path.split("/").reverse()
  const [, comment = ""] = /^\/\*\*(.*?)\*\//s.exec(readFileSync(root + source, "utf8")) ?? []
  return {
    package: packageName,
    path,
    name,
    entryPoint: [`@effect-alf/${packageName}`, ...folder === undefined ? [] : [folder]].join("/"),
    description: comment.replaceAll(/^ *\* ?/gm, "").split(/^@/m)[0].trim(),
    declarations: file.statements.flatMap(declarationsOf)
  }
}

const declarationsOf = (node: ts.Statement): ReadonlyArray<Declaration> => {
  const isExported = ts.canHaveModifiers(node) &&
    (ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false)
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.map(({ name }) => ({ name: name.getText(), isExported, node }))
  }
  const isNamed = ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node) || ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) || ts.isModuleDeclaration(node)
  return isNamed && node.name !== undefined ? [{ name: node.name.text, isExported, node }] : []
}

const formatter = createFromBuffer(readFileSync(Dprint.getPath()))
// The word declare goes
formatter.setConfig({ indentWidth: 2, lineWidth: 120 + "declare ".length }, {
  semiColons: "asi",
  trailingCommas: "never",
  // What fits in a line takes one
  preferSingleLine: true,
  "typeParameters.preferHanging": "always",
  "classDeclaration.bracePosition": "sameLine",
  "interfaceDeclaration.bracePosition": "sameLine"
})

/** How the declarations of a module look to its users, formatted as our own code is. */
export const print = (
  { declarations }: Module,
  chosen: ReadonlyArray<Declaration>,
  options: { readonly removeComments: boolean }
): string => {
  // What a class extends has a name of its own in what the compiler writes
  const bases = declarations.filter(({ name }) => name.endsWith("_base"))
  const withBases = (declared: string) =>
    bases.reduce((declared, { name, node }) => {
      const type = ts.isVariableStatement(node) ? node.declarationList.declarations[0].type : undefined
      return type === undefined
        ? declared
        : declared.replace(`extends ${name}`, () => `extends ${asBase(textOf(type))}`)
    }, declared)
  const texts = new Set(chosen.filter((one) => !bases.includes(one)).map(({ node }) => withBases(textOf(node))))
  const parsed = ts.createSourceFile("api.d.ts", [...texts].join("\n"), ts.ScriptTarget.Latest)
  return formatter
    .formatText({
      filePath: parsed.fileName,
      fileText: options.removeComments ? ts.createPrinter(options).printFile(parsed) : parsed.text
    })
    .trim()
    .replaceAll(/^(export )?declare /gm, "$1")
    .replaceAll(/\{\n\}/g, "{}")
}

/** The text of a node. The order of a union or an intersection is the compiler's whim where it was inferred: sorted. */
const textOf = (node: ts.Node): string => {
  if (ts.isUnionTypeNode(node) || ts.isIntersectionTypeNode(node)) {
    const isLast = (text: string) => text === "undefined" || text === "null"
    return node.types.map(textOf)
      .sort((a, b) => Number(isLast(a)) - Number(isLast(b)) || (a < b ? -1 : a > b ? 1 : 0))
      .join(ts.isUnionTypeNode(node) ? " | " : " & ")
  }
  if (ts.isVariableDeclaration(node) && node.type?.getText().includes("readonly $match:") === true) {
    return `${node.name.getText()}: Data.TaggedEnum.Constructor<${node.name.getText()}>`
  }
  const source = node.getSourceFile().text
  let text = ""
  let position = node.getStart()
  node.forEachChild((child) => {
    text += source.slice(position, child.getStart()) + textOf(child)
    position = child.end
  })
  return text + source.slice(position, node.end)
}

/** `Data.TaggedError("Name")` and `Data.TaggedClass` as they are written; of `Schema.Class` what the rest follows from. */
const asBase = (type: string): string => {
  const [, schema] = /^(Schema\.Class<\w+, (\{.*\})), Schema\.Struct\.Encoded<\2>, /s.exec(type) ?? []
  if (schema !== undefined) return `${schema}>`
  if (!type.startsWith("new <")) return type
  const [, tag] = /_tag: ("\w+")/.exec(type) ?? []
  return `Data.${type.includes("YieldableError") ? "TaggedError" : "TaggedClass"}(${tag})`
}
