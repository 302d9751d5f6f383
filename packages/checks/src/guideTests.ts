// The tests of the guide "Testing your app", run as they are written there in a project that has installed the packages.
// A block of the page that names a file is that file: ```ts title="orders.test.ts"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./workspace.js"

/** What the page promises, and more than which may run. */
const promised = 5

const page = join(root, "packages/guides/testing.md")

/** The files of a page, by name. */
export const filesOf = (markdown: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(
      markdown.matchAll(/^```ts title="([^"]+)"\n([^]*?)^```$/gm),
      ([, name, code]) => [name, code] as const
    )
  )

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>
  }>
}

/**
 * Compiles the page's files in a folder of the project, runs those for Vitest and those for Node's own test runner, and
 * tells what went wrong.
 */
export const runGuideTests = (project: string): Array<string> => {
  const files = filesOf(readFileSync(page, "utf8"))
  const folder = join(project, "testing")
  mkdirSync(folder, { recursive: true })
  for (const [name, code] of files) writeFileSync(join(folder, name), code)
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: true,
        types: ["node"],
        outDir: "build"
      },
      include: ["*.ts"]
    })
  )

  const problems: Array<string> = []
  const reportFile = join(folder, "report.json")
  const run = (command: string, ...args: ReadonlyArray<string>) => {
    try {
      execFileSync(command, args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
    } catch (error) {
      const { stderr, stdout } = error as { readonly stderr: string; readonly stdout: string }
      problems.push(`testing.md: ${[command, ...args].join(" ")}\n${stdout}${stderr}`)
    }
  }
  run("npx", "--no-install", "tsc", "-p", folder)
  // Whatever else the machine does
  const timeLimit = "--testTimeout=60000"
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`]
  run("npx", "--no-install", "vitest", "run", "--root", folder, "--exclude", "build", timeLimit, ...reporters)
  const byNode = Array.from(files).filter(([, code]) => code.includes("from \"node:test\""))
  for (const [name] of byNode) run("node", "--test", join(folder, "build", name.replace(/\.ts$/, ".js")))

  if (problems.length === 0) {
    const { testResults } = JSON.parse(readFileSync(reportFile, "utf8")) as Report
    const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
    const passed = testResults.filter(({ assertionResults, status }) =>
      status === "passed" && assertionResults.length > 0
    )
    for (const { fullName, status } of tests) {
      if (status !== "passed") problems.push(`testing.md: ${fullName}: ${status}`)
    }
    if (passed.length < promised) problems.push(`testing.md: ${passed.length} test files ran, not ${promised}`)
    console.log(`testing.md: ${tests.length} tests in ${passed.length} files, and ${byNode.length} by node --test`)
  }
  return problems
}
