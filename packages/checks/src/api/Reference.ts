/** The API reference: a page for each module, made of its doc comments, and a page that lists them. */
import * as Array from "effect/Array"
import ts from "typescript"
import { libraries } from "../workspace.js"
import * as Declarations from "./Declarations.js"

const groups: ReadonlyArray<readonly [title: string, has: (path: string) => boolean]> = [
  ["To build with", (path) => !path.includes("/")],
  ["For tests", () => true]
]

const generated = "<!-- Made by `npm run reference` of the doc comments in the sources. -->"

/** The text of each page by its name. */
export const make = (modules: ReadonlyArray<Declarations.Module>): ReadonlyMap<string, string> =>
  new Map([
    ["README.md", overview(modules)],
    ...modules.map((module) => [`${module.name}.md`, page(module)] as const)
  ])

const overview = (modules: ReadonlyArray<Declarations.Module>): string => {
  const groupOf = (path: string) => groups.findIndex(([, has]) => has(path))
  const lists = groups.flatMap(([title], index) =>
    libraries.flatMap((name) => {
      const members = modules.filter((module) => module.package === name && groupOf(module.path) === index)
      if (members.length === 0) return []
      const rows = members.map(({ description, name }) => `| [\`${name}\`](${name}.md) | ${summary(description)} |`)
      return [`## ${title}: @effect-alf/${name}`, ["| module | |", "| --- | --- |", ...rows].join("\n")]
    })
  )
  const intro =
    "Every public module, with all that it exports. Each is a namespace of its package, and an entry point of its own: " +
    "`@effect-alf/core/TokenStore`. Those for tests are namespaces of `@effect-alf/core/testing`."
  return paragraphs(generated, "# API reference", intro, ...lists)
}

const page = (module: Declarations.Module): string => {
  const anchorOf = makeAnchors()
  anchorOf(module.name)
  const exported = Array.groupBy(module.declarations.filter(({ isExported }) => isExported), ({ name }) => name)
  const entries = Object.entries(exported).map(([name, declarations]) => ({
    name,
    declarations,
    doc: docOf(declarations)
  }))
  const categories = Object.entries(Array.groupBy(entries, ({ doc }) => doc.category)).map(([category, entries]) => ({
    category,
    anchor: anchorOf(category),
    entries: entries.map((entry) => ({ ...entry, anchor: anchorOf(entry.name) }))
  }))
  const contents = categories.map(({ category, entries }) =>
    `- ${category}: ${entries.map(({ anchor, name }) => `[\`${name}\`](#${anchor})`).join(", ")}`
  )
  const sections = categories.flatMap(({ category, entries }) => [
    `## ${category}`,
    ...entries.flatMap(({ declarations, doc, name }) => [
      `### ${name}`,
      doc.text,
      code(Declarations.print(module, declarations, { removeComments: false })),
      ...doc.examples.flatMap((example) => ["Example:", example]),
      ...(doc.since === "0.1.0" ? [] : [`Since ${doc.since}`])
    ])
  ])
  return paragraphs(
    generated,
    `# ${module.name}`,
    module.description,
    code(`import { ${module.name} } from "${module.entryPoint}"`),
    `[Source](../../${module.package}/src/${module.path}.ts) · [all modules](README.md)`,
    contents.join("\n"),
    ...sections
  )
}

/** Of the first of several declarations of a name that has one, as overloads are. */
const docOf = (declarations: ReadonlyArray<Declarations.Declaration>) => {
  const [doc] = declarations.flatMap(({ node }) => ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc))
  const tags = (name: string) =>
    (doc?.tags ?? []).filter(({ tagName }) => tagName.text === name).map(({ comment }) => textOf(comment))
  return {
    text: textOf(doc?.comment),
    category: tags("category")[0] ?? "other",
    since: tags("since")[0],
    examples: tags("example")
  }
}

const textOf = (comment: Parameters<typeof ts.getTextOfJSDocComment>[0]): string =>
  ts.getTextOfJSDocComment(comment)?.trim() ?? ""

const code = (text: string): string => `\`\`\`ts\n${text}\n\`\`\``

const paragraphs = (...texts: ReadonlyArray<string>): string => texts.filter((text) => text !== "").join("\n\n") + "\n"

const summary = (description: string): string => description.replaceAll(/\s+/g, " ").split(/(?<=\.) /)[0]

/** As a code host names headings: those that are alike are counted. */
const makeAnchors = () => {
  const seen = new Map<string, number>()
  return (heading: string): string => {
    const slug = heading.toLowerCase().replaceAll(" ", "-")
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  }
}
