/** The texts of messages in the source of the libraries, all of which the page "Errors" has. */
import { readFileSync } from "node:fs"
import ts from "typescript"
import * as Page from "../../../guides/test/Page.js"
import { libraries, root, sources } from "../workspace.js"

/** Calls whose arguments are, or become, a part of a message. */
const sayings = [
  "InvalidData",
  "MissingData",
  "attempt",
  "error",
  "fail",
  "filter",
  "fromNullable",
  "fromOption",
  "invalid",
  "invalidEntry",
  "left",
  "logDebug",
  "logInfo",
  "logWarning",
  "refuse",
  "refuseIf",
  "reject",
  "says",
  "type",
  "unavailable",
  "unusable"
]

/** Modules for tests, whose messages speak of the test; and what has a page of its own, as the command has. */
const isOther = (file: string) => /^(testing\/|index|OAuthMetrics)/.test(file)

/** A template's parts that vary. */
const hole = "\u0000"

/** Without the tokens between them, which take as long to read as the file. */
const childrenOf = (node: ts.Node): ReadonlyArray<ts.Node> => {
  const children: Array<ts.Node> = []
  ts.forEachChild(node, (child) => void children.push(child))
  return children
}

const textsOf = (node: ts.Node): ReadonlyArray<string> => {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return [node.text]
  if (ts.isTemplateExpression(node)) {
    return [
      node.templateSpans.reduce((text, { literal }) => text + hole + literal.text, node.head.text),
      ...node.templateSpans.flatMap(({ expression }) => textsOf(expression))
    ]
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    const [left] = textsOf(node.left)
    const [right] = textsOf(node.right)
    return [`${left ?? hole}${right ?? hole}`]
  }
  return childrenOf(node).flatMap(textsOf)
}

const isSaying = (node: ts.Node): boolean => {
  if (ts.isCallExpression(node)) {
    const { expression } = node
    const name = ts.isPropertyAccessExpression(expression) ? expression.name : expression
    return ts.isIdentifier(name) && sayings.includes(name.text)
  }
  if (ts.isPropertyAssignment(node)) return ["description", "message"].includes(node.name.getText())
  // A text, or a list of texts, that has a name; the variables of the environment have a page of their own
  return ts.isVariableDeclaration(node) && node.name.getText() !== "variables" && node.initializer !== undefined && (
    ts.isStringLiteral(node.initializer) || ts.isBinaryExpression(node.initializer) ||
    ts.isObjectLiteralExpression(node.initializer) || ts.isArrayLiteralExpression(node.initializer) ||
    ts.isTemplateExpression(node.initializer)
  )
}

const collect = (node: ts.Node): ReadonlyArray<string> =>
  isSaying(node)
    ? childrenOf(node).flatMap(textsOf)
    : ts.isGetAccessor(node) && node.name.getText() === "message"
    ? textsOf(node)
    : childrenOf(node).flatMap(collect)

/** What has a space and a word is said to somebody; anything else is a name. */
const isSentence = (text: string) => /\p{L}.* .*\p{L}|\p{L} | \p{L}/u.test(text)

const modules = libraries.flatMap((name) =>
  sources(name).filter((source) => !isOther(source)).map((source) => {
    const file = `packages/${name}/src/${source}.ts`
    const text = readFileSync(root + file, "utf8")
    return { file, source: ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true) }
  })
)

/** The reasons that the errors' types name. */
const reasons: ReadonlyArray<string> = modules.flatMap(({ file, source }) => {
  if (file !== "packages/core/src/OAuthError.ts") return []
  const found: Array<string> = []
  const visit = (node: ts.Node) => {
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) found.push(node.literal.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
})

/** What nobody is told: the words of a format, and failures that are tried again where they happen. */
const isSilent = (text: string) =>
  /\n|^[A-Z ]+$|^\d+ \w+$/.test(text) ||
  ["Command timed out", "another attempt is using it", "gzip, br"].includes(text)

/** What the page does not have: reasons and methods that an error can name, and sentences that somebody may be told. */
export const problems: ReadonlyArray<string> = [
  ...reasons.filter((reason) => !new RegExp(`\\b${reason}\\b`).test(Page.code)).map((reason) =>
    `${Page.path}: there is no ${reason}`
  ),
  ...modules.flatMap(({ file, source }) =>
    [...new Set(collect(source))]
      .filter((text) => isSentence(text) && !isSilent(text) && !Page.pattern(text, hole).test(Page.code))
      .map((text) => `${file}: ${Page.path} has no "${text.replaceAll(hole, "…")}"`)
  )
]
