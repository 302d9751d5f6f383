// Compiles the published packages, and marks what their modules compute when they are loaded as free of side effects, so
// that a bundler leaves out what an app does not use. TypeScript has no option for it.
import ts from "typescript"
import { published, root } from "./workspace.js"

/** Every call at the top of a module: what is in a function or a method is run later, if at all. */
const annotate: ts.TransformerFactory<ts.SourceFile> = (context) => {
  const visit = (node: ts.Node): ts.Node => {
    if (ts.isFunctionLike(node)) return node
    const visited = ts.visitEachChild(node, visit, context)
    return ts.isCallExpression(visited) || ts.isNewExpression(visited)
      ? ts.addSyntheticLeadingComment(visited, ts.SyntaxKind.MultiLineCommentTrivia, "#__PURE__", false)
      : visited
  }
  return (file) => ts.visitEachChild(file, visit, context)
}

const say = (diagnostic: ts.Diagnostic) =>
  console.error(ts.formatDiagnostic(diagnostic, {
    getCanonicalFileName: (file) => file,
    getCurrentDirectory: () => root,
    getNewLine: () => "\n"
  }))

const host = ts.createSolutionBuilderHost(ts.sys, undefined, say)
const projects = published.map((name) => `${root}packages/${name}/tsconfig.src.json`)
const builder = ts.createSolutionBuilder(host, projects, {})
process.exitCode = builder.build(undefined, undefined, undefined, () => ({ after: [annotate] }))
