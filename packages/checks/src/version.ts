// Raises the versions and writes the changelogs by what lies in .changeset. To changesets a new minor of core is a major
// change of node, whose peer it is; before 1.0 it is none, since both are released together. So the peer's range is open
// while changesets decides, and then that of the new version.
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { root } from "./workspace.js"

const read = (folder: string) => JSON.parse(readFileSync(`${root}packages/${folder}/package.json`, "utf8"))

const setPeer = (range: string) => {
  const manifest = read("node")
  manifest.peerDependencies["@effect-alf/core"] = range
  writeFileSync(`${root}packages/node/package.json`, `${JSON.stringify(manifest, undefined, 2)}\n`)
}

const run = (command: string, ...args: Array<string>) => execFileSync(command, args, { cwd: root, stdio: "inherit" })

setPeer(">=0.0.0")
try {
  run("npx", "--no-install", "changeset", "version")
} finally {
  setPeer(`^${read("core").version}`)
}
// What requests of NodeHttp name as their sender
const defaultHeaders = `${root}packages/node/src/http/DefaultHeaders.ts`
writeFileSync(
  defaultHeaders,
  readFileSync(defaultHeaders, "utf8").replace(/"effect-alf\/.*"/, `"effect-alf/${read("node").version}"`)
)
run("npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund")
