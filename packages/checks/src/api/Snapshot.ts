/** The public API of a package as one page: what its modules declare, by name, without comments. */
import * as Declarations from "./Declarations.js"

export const make = (packageName: string, modules: ReadonlyArray<Declarations.Module>): string =>
  [
    `# The public API of @effect-alf/${packageName}`,
    "What users of the package can see. `npm run api` writes this page: whoever changes it changes the API.",
    ...modules.map((module) => {
      const sorted = [...module.declarations].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
      const declared = Declarations.print(module, sorted, { removeComments: true })
      return `## ${module.name}\n\n\`\`\`ts\n${declared}\n\`\`\``
    })
  ].join("\n\n") + "\n"
