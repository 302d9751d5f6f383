/** Files that are made of others, and committed: the text of each by its path. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { root } from "../workspace.js"

export type Files = ReadonlyMap<string, string>

/** In a folder of theirs nothing else may be. */
const othersIn = (folder: string | undefined, files: Files): ReadonlyArray<string> =>
  folder !== undefined && existsSync(root + folder)
    ? readdirSync(root + folder).map((name) => `${folder}/${name}`).filter((path) => !files.has(path))
    : []

export const write = (files: Files, folder?: string): void => {
  for (const path of othersIn(folder, files)) rmSync(root + path)
  for (const [path, text] of files) {
    mkdirSync(dirname(root + path), { recursive: true })
    writeFileSync(root + path, text)
  }
}

/** What differs from what is there; the script makes them anew. */
export const compare = (script: string, files: Files, folder?: string): ReadonlyArray<string> => {
  const changed = [...files].flatMap(([path, text]) => {
    const isThere = existsSync(root + path)
    if (isThere && readFileSync(root + path, "utf8") === text) return []
    const { stdout } = spawnSync(
      "diff",
      ["-u", "--label", `${path} as committed`, "--label", `${path} as it is now`, isThere ? path : "/dev/null", "-"],
      { cwd: root, input: text, encoding: "utf8" }
    )
    return [stdout]
  })
  const others = othersIn(folder, files).map((path) => `${path}: nothing makes this file any more`)
  const problems = [...changed, ...others]
  return problems.length === 0 ? [] : [...problems, `If that is meant to be so: npm run ${script}`]
}
