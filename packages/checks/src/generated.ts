// What is made of the declarations and doc comments of the libraries, and committed: packages/*/api.md, the
// public API of each, and packages/guides/reference, a page for each module. Fails where they are out of date, so that
// no change of the API goes unnoticed. With --write and a name, writes these files.
import * as Declarations from "./api/Declarations.js"
import * as Generated from "./api/Generated.js"
import * as Reference from "./api/Reference.js"
import * as Snapshot from "./api/Snapshot.js"
import { libraries, modules, report } from "./workspace.js"

const declared = libraries.flatMap((name) => modules(name).map((module) => Declarations.read(name, module)))

const api = new Map(libraries.map((name) => [
  `packages/${name}/api.md`,
  Snapshot.make(name, declared.filter((module) => module.package === name))
]))

const folder = "packages/guides/reference"
const reference = new Map([...Reference.make(declared)].map(([name, text]) => [`${folder}/${name}`, text]))

const [option, only] = process.argv.slice(2)
for (const [name, files] of Object.entries({ api, reference })) {
  const ownFolder = name === "reference" ? folder : undefined
  if (option !== "--write") report(name, Generated.compare(name, files, ownFolder))
  else if (name === only) Generated.write(files, ownFolder)
}
