// What an app ships because of us: client credentials with the store in memory over fetch, bundled and minified as an
// app would be, compressed by gzip. First our modules and dependencies alone, with effect and platform left out; then
// everything, next to the same app with a token that never changes, since we may need parts of Effect that it would not
// have had. The largest of them is Schema, so this is shown of an app that has it anyway, too. Measures the packages as
// `npm run build` makes them.
import * as esbuild from "esbuild"
import { readFileSync } from "node:fs"
import { gzipSync } from "node:zlib"
import * as vite from "vite"
import { report, root } from "./workspace.js"

/**
 * What was aimed at, in bytes. It is out of reach: without what fleets, 401s, telemetry, redaction, digests and checked
 * options take, 17 kB would be left.
 */
const aim = 12_000

/** What our modules and dependencies may add, in bytes, so that none grows unnoticed. */
const most = 29_800

/** What such an app may have beyond one with a token that never changes, both with Schema, in bytes. */
const wholeMost = 35_500

/** What this app does not use, and must not ship. */
const unused =
  /\/jose\/|\/(AuthorizationServer|ClientAuthChoice|JwtSigner|PayloadCipher|Redirect|RefreshTokens|SigningKey|testing\/.*|Token(Introspection|Revocation|StoreContract))\.js$/

const core = `${root}packages/core/`
const modules = ["AuthedHttpClient", "TokenEndpoint", "TokenStore"]
const fromIndex = `import { ${modules.join(", ")} } from "@effect-alf/core"`
const fromModules = modules.map((name) => `import * as ${name} from "@effect-alf/core/${name}"`).join("\n")

/** What an app does with a response. */
interface Reading {
  readonly imports: string
  /** An expression of an effect over `response`. */
  readonly read: string
}

const asJson: Reading = { imports: "", read: "response.json" }

const bySchema: Reading = {
  imports: `
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Schema from "effect/Schema"`,
  read: "HttpClientResponse.schemaBodyJson(Schema.Array(Schema.Struct({ id: Schema.String })))(response)"
}

const authorized = (ours: string, { imports, read }: Reading = asJson) => `
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
${ours}${imports}

const Api = AuthedHttpClient.layer({ baseUrl: "https://api.example.com" }).pipe(
  Layer.provide(TokenEndpoint.layer({
    url: "https://auth.example.com/token",
    clientId: "client-id",
    clientSecret: Redacted.make("client-secret")
  })),
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(FetchHttpClient.layer)
)
const orders = Effect.gen(function*() {
  const api = yield* AuthedHttpClient.AuthedHttpClient
  const response = yield* api.get("/orders")
  return yield* ${read}
})
Effect.runPromise(Effect.provide(orders, Api)).then(console.log)
`

const constant = ({ imports, read }: Reading) => `
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"${imports}

const orders = Effect.gen(function*() {
  const api = HttpClient.mapRequest(yield* HttpClient.HttpClient, HttpClientRequest.bearerToken("token"))
  const response = yield* api.get("https://api.example.com/orders")
  return yield* ${read}
})
Effect.runPromise(Effect.provide(orders, FetchHttpClient.layer)).then(console.log)
`

interface Bundle {
  readonly code: string
  /** How much of each file is in it, as far as the bundler tells. */
  readonly files: ReadonlyArray<readonly [file: string, bytes: number]>
}

const target = "es2022"

/** Beyond it an app has them anyway. */
const peers = ["effect", "effect/*", "@effect/platform", "@effect/platform/*"]

const withEsbuild = async (contents: string, external: ReadonlyArray<string>): Promise<Bundle> => {
  const { metafile, outputFiles } = await esbuild.build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: core },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target,
    external: [...external],
    metafile: true,
    write: false
  })
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs))
  return { code: outputFiles[0].text, files: inputs.map(([file, { bytesInOutput }]) => [file, bytesInOutput]) }
}

/** Rollup, with what it takes to resolve and to minify. */
const withVite = async (contents: string, external: ReadonlyArray<string>): Promise<Bundle> => {
  const entry = `${core}app.js`
  const built = await vite.build({
    root: core,
    configFile: false,
    logLevel: "error",
    plugins: [{
      name: "app",
      enforce: "pre",
      resolveId: (id) => id === entry ? id : undefined,
      load: (id) => id === entry ? contents : undefined
    }],
    build: {
      target,
      minify: "esbuild",
      modulePreload: { polyfill: false },
      write: false,
      rollupOptions: {
        input: entry,
        external: external.map((name) => new RegExp(`^${name.replace("*", ".+")}$`))
      }
    }
  })
  const [chunk] = [built].flat().flatMap((result) => "output" in result ? result.output : [])
  if (chunk?.type !== "chunk") throw new Error("vite has made no chunk")
  return {
    code: chunk.code,
    files: Object.entries(chunk.modules).map(([file, { renderedLength }]) => [file, renderedLength])
  }
}

const sizeOf = (code: string) => gzipSync(code, { level: 9 }).length

/** Of what is left out the imports remain, which esbuild repeats for each of our modules, and no app ships. */
const withoutImports = (code: string) => code.replace(/import(?:[^"()]*from)?"[^"]+";/g, "")

const nameOf = (file: string) => file.replace(/^.*\/(node_modules|packages\/core\/dist)\//, "")

const kilo = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`

const say = (what: string, bytes: number, more = "") =>
  console.log(`${what.padEnd(48)}${kilo(bytes).padStart(9)}${more}`)

const problems: Array<string> = []
if (!readFileSync(`${core}dist/TokenEndpoint.js`, "utf8").includes("__PURE__")) {
  problems.push("npm run build comes first")
}

console.log("Added to effect and platform (min+gzip):")
for (
  const [bundler, bundle, from, imports] of [
    ["vite", withVite, "@effect-alf/core", fromIndex],
    ["vite", withVite, "its modules", fromModules],
    ["esbuild", withEsbuild, "its modules", fromModules]
  ] as const
) {
  const { code, files } = await bundle(authorized(imports), peers)
  const size = sizeOf(withoutImports(code))
  const what = `${bundler}, from ${from}`
  say(what, size, `, at most ${kilo(most)} (aim: ${kilo(aim)})`)
  if (size > most) problems.push(`${what}: ${size} bytes are more than ${most}`)
  const idle = files.filter(([file, bytes]) => bytes > 0 && unused.test(file)).map(([file]) => nameOf(file))
  if (idle.length > 0) problems.push(`${what}: ships what it does not use: ${idle.join(", ")}`)
}
// A namespace that is exported again is whole to esbuild, Effect's own too
say(
  "esbuild, from @effect-alf/core",
  sizeOf(withoutImports((await withEsbuild(authorized(fromIndex), peers)).code)),
  " (ships all of it)"
)

const { files } = await withEsbuild(authorized(fromModules), peers)
const bySize = files.filter(([, bytes]) => bytes > 0).sort(([, one], [, other]) => other - one)
console.log(`Minified: ${bySize.map(([file, bytes]) => `${nameOf(file)} ${bytes}`).join(", ")}`)

console.log("The whole app (min+gzip):")
for (
  const [name, bundle, reading] of [
    ["vite", withVite, asJson],
    ["esbuild", withEsbuild, asJson],
    ["vite, reading by a Schema", withVite, bySchema],
    ["esbuild, reading by a Schema", withEsbuild, bySchema]
  ] as const
) {
  const [ours, theirs] = await Promise.all(
    [authorized(fromModules, reading), constant(reading)].map((app) => bundle(app, []))
  )
  const [size, constantSize] = [sizeOf(ours.code), sizeOf(theirs.code)]
  say(name, size, `, and ${kilo(constantSize)} with a constant token`)
  if (reading === bySchema && size - constantSize > wholeMost) {
    problems.push(`${name}: ${size - constantSize} bytes more than with a constant token are more than ${wholeMost}`)
  }
}
report("size", problems)
