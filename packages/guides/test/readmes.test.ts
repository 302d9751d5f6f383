/** The READMEs of the libraries have a map of their modules. */
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { existsSync, readdirSync, readFileSync } from "node:fs"

const modulesOf = (folder: URL) =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .map((file) => file.slice(0, -3))

describe("the README's map of modules", () => {
  for (const name of ["core", "node"]) {
    const home = new URL(`../../${name}/`, import.meta.url)
    it(`${name} lists each module once`, () => {
      const readme = readFileSync(new URL("README.md", home), "utf8")
      const [, map] = readme.split("## Modules")
      const named = map.split("\n").flatMap((line) =>
        /^\| `/.test(line) ? [...line.split("|")[1].matchAll(/`(\w+)`/g)].map(([, name]) => name) : []
      )
      const testKit = new URL("src/testing/", home)
      const modules = [...modulesOf(new URL("src/", home)), ...existsSync(testKit) ? modulesOf(testKit) : []]
      deepStrictEqual(named.sort(), modules.sort())
    })
  }
})
