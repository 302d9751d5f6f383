// Makes what users install, beside the declarations that `npm run compile` makes: the entry points of each published
// package and the files that these share. Node takes up to a millisecond for each file and each import, at every start of
// an app: so what a client always needs is one file, and what only some apps need is loaded by them alone.
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, isAbsolute, join } from "node:path"
import { type ManualChunkMeta, type Plugin, rollup } from "rollup"
import ts from "typescript"
import { indicesOf, inputsOf, published, root } from "./workspace.js"

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

/** Leaves the types out. */
const transpile = (fileName: string) =>
  ts.transpileModule(readFileSync(fileName, "utf8"), {
    fileName,
    compilerOptions: { ...options, module: ts.ModuleKind.ESNext },
    transformers: { after: [withoutComments, annotate] }
  })

const withoutMapComment = (text: string): string => text.replace(/^\/\/# sourceMappingURL=.*$/m, "")

const typescript: Plugin = {
  name: "typescript",
  resolveId: (id, importer) =>
    importer !== undefined && id.startsWith(".") ? join(dirname(importer), id.replace(/\.js$/, ".ts")) : undefined,
  load: (file) => {
    const { outputText, sourceMapText } = transpile(file)
    return { code: withoutMapComment(outputText), map: sourceMapText ?? null }
  }
}

/** The module that most apps start with, in each library. */
const clients: Readonly<Record<string, string>> = { core: "AuthedHttpClient", node: "NodeAuthedHttpClient" }

for (const name of published) {
  const folder = join(root, "packages", name)
  const fileOf = (module: string) => join(folder, "src", `${module}.ts`)
  const inputs = inputsOf(name)
  const bundle = await rollup({
    input: Object.fromEntries(inputs.map((input) => [input, fileOf(input)])),
    external: (id) => !id.startsWith(".") && !isAbsolute(id),
    plugins: [typescript],
    treeshake: { moduleSideEffects: "no-external" },
    onwarn: ({ code, message }) => {
      // A module may contain types alone
      if (code !== "EMPTY_BUNDLE") throw new Error(message)
    }
  })

  /** The chunk of a module: what the client needs is one file, and what others need of it another. */
  const chunkOf = ({ getModuleInfo }: ManualChunkMeta) => {
    const importsOf = (entries: ReadonlyArray<string>): ReadonlySet<string> => {
      const found = new Set<string>()
      const visit = (id: string): void => {
        const info = getModuleInfo(id)
        if (found.has(id) || info === null || info.isExternal) return
        found.add(id)
        info.importedIds.forEach(visit)
      }
      entries.forEach(visit)
      return found
    }
    const client = importsOf(name in clients ? [fileOf(clients[name])] : [])
    const others = importsOf(inputs.map(fileOf).filter((file) => !client.has(file)))
    return (id: string) => client.has(id) ? others.has(id) ? "common" : "client" : undefined
  }
  let chunk: ReturnType<typeof chunkOf> | undefined
  await bundle.write({
    dir: join(folder, "dist"),
    chunkFileNames: "chunks/[name].js",
    manualChunks: (id, graph) => (chunk ??= chunkOf(graph))(id),
    // An entry point imports what it needs, and not what that needs
    hoistTransitiveImports: false,
    sourcemap: true
  })
  // As it is: of what `export *` becomes in a bundle, no other bundler leaves anything out
  for (const index of indicesOf(name)) {
    writeFileSync(join(folder, "dist", `${index}.js`), withoutMapComment(transpile(fileOf(index)).outputText))
  }
}
