// Packs the published packages as for the registry, has publint and attw judge them, and installs them in an empty project
// outside the workspace, without the peers that are optional. There every public module is imported and no private one can
// be, the declarations are compiled by a strict user, and the tests of the guide run.
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runGuideTests } from "./guideTests.js"
import { runWithoutOptional } from "./optionalPeers.js"
import { entryPoints, indicesOf, inputsOf, published, report, rooms, root, sources } from "./workspace.js"

interface Packed {
  readonly name: string
  readonly filename: string
  readonly files: ReadonlyArray<{ readonly path: string }>
}

/** What a user would run first: a request with a token, and one whose token endpoint is not there. */
const program = `
import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Effect, Layer, Redacted } from "effect"
import assert from "node:assert"

const get = Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => client.get("/orders"))
const { apiUrl, clientId, clientSecret, tokenEndpoint } = TestAuthorizationServer
const InMemory = AuthedHttpClient.layer({ baseUrl: apiUrl }).pipe(
  Layer.provide(TokenEndpoint.layer({ tokenEndpoint, clientId, clientSecret })),
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(TestAuthorizationServer.layer())
)
assert.strictEqual((await Effect.runPromise(Effect.provide(get, InMemory))).status, 200)

const Unreachable = NodeAuthedHttpClient.layer({
  tokenEndpoint: "http://127.0.0.1:1/token",
  clientId: "id",
  clientSecret: Redacted.make("secret"),
  baseUrl: "http://127.0.0.1:1",
  tokenRequest: { retryWhile: () => false }
})
const error = await Effect.runPromise(Effect.flip(Effect.provide(get, Unreachable)))
assert.match(error.message, /^Token endpoint http:\\/\\/127\\.0\\.0\\.1:1\\/token: connect ECONNREFUSED/)
`

const problems: Array<string> = []
const consumer = mkdtempSync(join(tmpdir(), "effect-alf-pack-"))

const run = (cwd: string, command: string, ...args: Array<string>): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

const json = (file: string) => JSON.parse(readFileSync(file, "utf8"))

try {
  const { devDependencies } = json(join(root, "package.json"))
  const peers: Record<string, string> = {}
  const tarballs: Record<string, string> = {}
  const importable: Array<string> = []
  const closed: Array<string> = []
  for (const folder of published) {
    const manifest = json(join(root, "packages", folder, "package.json"))
    const [packed] = JSON.parse(
      run(root, "npm", "pack", "--json", "--pack-destination", consumer, "--workspace", manifest.name)
    ) as [Packed]
    for (const [peer, range] of Object.entries<string>(manifest.peerDependencies)) {
      if (manifest.peerDependenciesMeta?.[peer]?.optional !== true) peers[peer] = range
    }
    tarballs[manifest.name] = `file:${packed.filename}`

    const paths = new Set(packed.files.map(({ path }) => path))
    const expected = [
      ...sources(folder).flatMap((source) => [`src/${source}.ts`, `dist/${source}.d.ts`, `dist/${source}.d.ts.map`]),
      ...inputsOf(folder).flatMap((source) => [`dist/${source}.js`, `dist/${source}.js.map`]),
      ...indicesOf(folder).map((source) => `dist/${source}.js`)
    ]
    for (const path of [...expected, "package.json", "README.md", "CHANGELOG.md", "LICENSE"]) {
      if (!paths.delete(path)) problems.push(`${packed.filename}: lacks ${path}`)
    }
    const chunks = [...paths].flatMap((path) => /^dist\/(chunks\/\w+)\.js$/.exec(path)?.[1] ?? [])
    for (const path of paths) {
      if (!/^dist\/chunks\/\w+\.js(\.map)?$/.test(path)) problems.push(`${packed.filename}: should not have ${path}`)
    }
    const tarball = join(consumer, packed.filename)
    run(root, "publint", "run", "--strict", tarball)
    if (entryPoints(folder).length > 0) {
      // What is loaded from CommonJS is an ES module, which Node 20.19 and newer can require
      const options = ["--ignore-rules", "cjs-resolves-to-esm", "--format", "ascii"]
      run(root, "attw", tarball, ...options, "--entrypoints", ...entryPoints(folder))
    }
    importable.push(...entryPoints(folder).map((entry) => entry === "." ? manifest.name : `${manifest.name}/${entry}`))
    closed.push(...[...rooms(folder), ...chunks].map((file) => `${manifest.name}/${file}`))
  }

  const write = (file: string, content: unknown) =>
    writeFileSync(join(consumer, file), typeof content === "string" ? content : JSON.stringify(content))
  const tools = ["@effect/vitest", "@types/node", "@typescript/native", "typescript", "vitest"]
  write("package.json", {
    private: true,
    type: "module",
    dependencies: { ...peers, ...tarballs },
    devDependencies: Object.fromEntries(tools.map((name) => [name, devDependencies[name]]))
  })
  const imports = importable.map((entryPoint, index) => `import * as m${index} from ${JSON.stringify(entryPoint)}`)
  const used = `console.log([${importable.map((_, index) => `m${index}`)}].length, "entry points")\n`
  const isClosed = `
for (const path of ${JSON.stringify(closed)}) {
  await assert.rejects(import(path), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" }, path)
}
console.log(${closed.length}, "private files")
`
  write("main.ts", `${imports.join("\n")}\n${used}`)
  write("main.mjs", `${imports.join("\n")}\n${used}${program}${isClosed}`)

  run(consumer, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
  for (const name of ["ioredis", "memcache", "pg", "mysql2", "@libsql/client"]) {
    if (existsSync(join(consumer, "node_modules", name))) problems.push(`${name} is installed, which is optional`)
  }
  console.log(run(consumer, "node", "main.mjs").trim())
  const help = run(consumer, "npx", "--no-install", "alf", "--help")
  if (!help.includes("ALF_TOKEN_ENDPOINT")) problems.push(`alf --help printed: ${help}`)
  runGuideTests(consumer, (command, ...args) => run(consumer, command, ...args))
  // Takes packages away: nothing comes after it
  problems.push(...await runWithoutOptional(consumer))
} catch (error) {
  problems.push(error instanceof Error && "stdout" in error ? `${error.message}\n${error.stdout}` : String(error))
} finally {
  rmSync(consumer, { recursive: true, force: true })
}
report("pack", problems)
