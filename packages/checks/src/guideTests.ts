// The tests of the guide "Testing your app", run as they are written there in a project that has installed the packages.
// A block of the page that names a file is that file: ```ts title="orders.test.ts"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./workspace.js"

/** The files of a page, by name. */
const filesOf = (markdown: string): ReadonlyArray<readonly [name: string, code: string]> =>
  Array.from(markdown.matchAll(/^```ts title="([^"]+)"\n([^]*?)^```$/gm), ([, name, code]) => [name, code] as const)

/** Compiles the page's files in a folder of the project, and runs those for Vitest and those for Node's own test runner. */
export const runGuideTests = (project: string, run: (command: string, ...args: Array<string>) => string): void => {
  const files = filesOf(readFileSync(join(root, "packages/guides/testing.md"), "utf8"))
  const folder = join(project, "testing")
  mkdirSync(folder, { recursive: true })
  for (const [name, code] of files) writeFileSync(join(folder, name), code)
  const compilerOptions = {
    target: "ES2022",
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ["node"],
    outDir: "build"
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }))

  const [byNode, byVitest] = ["node:test", "vitest"].map((runner) =>
    files.flatMap(([name, code]) => new RegExp(`from "(@effect/)?${runner}"`).test(code) ? [name] : [])
  )
  run("node", "node_modules/typescript/bin/tsc", "-p", folder)
  // Whatever else the machine does
  const timeLimit = "--testTimeout=60000"
  const report = join(folder, "build", "report.json")
  run(
    "npx",
    "--no-install",
    "vitest",
    "run",
    "--root",
    folder,
    "--exclude",
    "build",
    timeLimit,
    "--reporter=json",
    `--outputFile=${report}`
  )
  const passed = JSON.parse(readFileSync(report, "utf8")).testResults.filter((file: { readonly status: string }) =>
    file.status === "passed"
  )
  if (passed.length !== byVitest.length) {
    throw new Error(`testing.md: ${passed.length} files of ${byVitest.length} passed, see ${report}`)
  }
  for (const name of byNode) run("node", "--test", join(folder, "build", name.replace(/\.ts$/, ".js")))
  console.log(`testing.md: ${byVitest.length} files of tests by Vitest, ${byNode.length} by node --test`)
}
