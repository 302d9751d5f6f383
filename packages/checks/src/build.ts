// Makes what users install, beside the declarations that `npm run compile` makes: the entry points of each published
// package and the files that these share. Node takes up to a millisecond for each file and each import, at every start of
// an app: so what a client always needs is one file, and what only some apps need is loaded by them alone.
import { readFileSync } from "node:fs"
import { rollup } from "rollup"
import ts from "typescript"
import { named, published, root } from "./workspace.js"

/** Leaves out the comments, which the declarations have: Node reads the file at each start. */
const withoutComments: ts.TransformerFactory<ts.SourceFile> = (context) => {
  const visit = <N extends ts.Node>(node: N): N =>
    ts.setEmitFlags(ts.visitEachChild(node, visit, context), ts.EmitFlags.NoComments)
  return visit
}

/** Marks what a module computes for its declarations as free of side effects: a bundler leaves out what is not used. */
const annotate: ts.TransformerFactory<ts.SourceFile> = (context) => {
  const visit = (node: ts.Node): ts.Node => {
    // What is in a function or a method is run later, if at all
    if (ts.isFunctionLike(node)) return node
    const visited = ts.visitEachChild(node, visit, context)
    const isCall = ts.isCallExpression(visited) && visited.expression.kind !== ts.SyntaxKind.ImportKeyword
    return isCall || ts.isNewExpression(visited)
      ? ts.addSyntheticLeadingComment(visited, ts.SyntaxKind.MultiLineCommentTrivia, "#__PURE__", false)
      : visited
  }
  const declared = (node: ts.Node) => ts.isVariableStatement(node) || ts.isClassDeclaration(node) ? visit(node) : node
  return (file) => ts.visitEachChild(file, declared, context)
}

const { options } = ts.parseJsonConfigFileContent(
  { extends: "./tsconfig.base.json", files: [] },
  ts.sys,
  root
)

/** TypeScript without its types. */
const typescript = {
  name: "typescript",
  resolveId: (id: string, importer: string | undefined) =>
    importer !== undefined && id.startsWith(".")
      ? new URL(id.replace(/\.js$/, ".ts"), `file://${importer}`).pathname
      : undefined,
  load: (fileName: string) => {
    const { outputText, sourceMapText } = ts.transpileModule(readFileSync(fileName, "utf8"), {
      fileName,
      compilerOptions: { ...options, module: ts.ModuleKind.ESNext },
      transformers: { after: [withoutComments, annotate] }
    })
    return { code: outputText.replace(/^\/\/# sourceMappingURL=.*$/m, ""), map: sourceMapText ?? null }
  }
}

/** The module that most apps start with, in each library. What it imports is one file. */
const clients: Readonly<Record<string, string>> = { core: "AuthedHttpClient", node: "NodeAuthedHttpClient" }

for (const name of published) {
  const src = `${root}packages/${name}/src/`
  const bundle = await rollup({
    input: Object.fromEntries(named(name).map((input) => [input, `${src}${input}.ts`])),
    external: (id) => !/^[./]/.test(id),
    plugins: [typescript],
    treeshake: { moduleSideEffects: "no-external" },
    onwarn: ({ message }) => {
      throw new Error(message)
    }
  })
  const inClient = new Set<string>()
  await bundle.write({
    dir: `${root}packages/${name}/dist`,
    chunkFileNames: "chunks/[name].js",
    manualChunks: (id, { getModuleInfo }) => {
      const visit = (module: string): void => {
        if (inClient.has(module) || getModuleInfo(module)?.isExternal !== false) return
        inClient.add(module)
        getModuleInfo(module)?.importedIds.forEach(visit)
      }
      if (inClient.size === 0) visit(`${src}${clients[name]}.ts`)
      return inClient.has(id) ? "client" : undefined
    },
    // An entry point imports what it needs, and not what that needs
    hoistTransitiveImports: false,
    sourcemap: true
  })
}
