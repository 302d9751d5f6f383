import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** The top of the repository, with a slash at its end. */
export const root = fileURLToPath(new URL("../../../", import.meta.url))

/** The packages that apps import, as folders below packages/. */
export const libraries = ["core", "node"] as const

/** All that users install: also the command, which is run and not imported. */
export const published = [...libraries, "cli"] as const

/** The sources of a package as paths below src, without the extension. */
export const sources = (name: string): Array<string> =>
  readdirSync(`${root}packages/${name}/src`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3))
    .sort()

const isLibrary = (name: string): boolean => libraries.some((library) => library === name)

const isPublic = /^(testing\/)?\w+$/

/** The modules that the entry points of a package export, as paths below src: those at the top, and the test kit. */
export const modules = (name: string): Array<string> =>
  isLibrary(name) ? sources(name).filter((source) => isPublic.test(source) && !source.endsWith("index")) : []

/** What a package is imported as: itself, each module at the top, and the test kit as a whole. */
export const entryPoints = (name: string): Array<string> =>
  isLibrary(name)
    ? [
      ".",
      ...modules(name).filter((module) => !module.includes("/")),
      ...sources(name).includes("testing/index") ? ["testing"] : []
    ]
    : []

/** The modules of which files are built, as paths below src: the public ones, and the command. */
export const inputsOf = (name: string): Array<string> => isLibrary(name) ? modules(name) : ["alf"]

/** The modules that only export others, as paths below src. */
export const indicesOf = (name: string): Array<string> => sources(name).filter((source) => source.endsWith("index"))

/** The private modules of a package, as paths below src. */
export const rooms = (name: string): Array<string> =>
  sources(name).filter((source) => !modules(name).includes(source) && !source.endsWith("index"))

/** Prints what was found, if anything, and ends the process accordingly. */
export const report = (check: string, problems: ReadonlyArray<string>): void => {
  for (const problem of problems) console.error(problem)
  console.log(`${check}: ${problems.length === 0 ? "ok" : `${problems.length} problem(s)`}`)
  if (problems.length > 0) process.exitCode = 1
}
