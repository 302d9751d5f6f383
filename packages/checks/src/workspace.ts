import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** The top of the repository, with a slash at its end. */
export const root = fileURLToPath(new URL("../../../", import.meta.url))

/** The packages that users install, as folders below packages/. */
export const published = ["core", "node"] as const

/** The sources of a package as paths below src, without the extension. */
export const sources = (name: string): Array<string> =>
  readdirSync(`${root}packages/${name}/src`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3))
    .sort()

/** The modules of a package that users import, without index. */
export const modules = (name: string): Array<string> =>
  sources(name).filter((source) => !source.includes("/") && source !== "index")

/** Prints what was found, if anything, and ends the process accordingly. */
export const report = (check: string, problems: ReadonlyArray<string>): void => {
  for (const problem of problems) console.error(problem)
  console.log(`${check}: ${problems.length === 0 ? "ok" : `${problems.length} problem(s)`}`)
  if (problems.length > 0) process.exitCode = 1
}
