// What an app can do that has neither ioredis nor memcache nor a client of a database, which are optional, nor jose, which
// only signs: it compiles, imports, and is bundled, and is told what it lacks where it asks for it. Takes these packages
// away from an installed consumer.
import * as esbuild from "esbuild"
import assert from "node:assert"
import { execFileSync, spawnSync } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const absent = ["ioredis", "memcache", "jose", "@effect/sql-pg", "@effect/sql-mysql2", "@effect/sql-libsql"]

const program = `
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import * as JwtSigner from "@effect-alf/core/JwtSigner"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import * as TokenStore from "@effect-alf/core/TokenStore"
import * as MemcachedTokenStore from "@effect-alf/node/MemcachedTokenStore"
import * as NodeAuthedHttpClient from "@effect-alf/node/NodeAuthedHttpClient"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import assert from "node:assert"

assert([AuthedHttpClient, TokenEndpoint, TokenStore].every(({ layer, layerMemory }) => layer ?? layerMemory))
const options = {
  tokenEndpoint: "https://auth.test/token",
  clientId: "id",
  clientSecret: Redacted.make("secret"),
  baseUrl: "https://api.test"
}
const build = (options) => Effect.runPromise(Effect.either(Effect.scoped(Layer.build(NodeAuthedHttpClient.layer(options)))))
assert.strictEqual((await build(options))._tag, "Right")

const { left: noRedis } = await build({ ...options, redis: { url: "redis://127.0.0.1:1" } })
assert.strictEqual(noRedis._tag, "InvalidOptions")
assert.match(noRedis.message, /^NodeAuthedHttpClient\\.redis needs the package ioredis, .*\\(npm install ioredis\\)/)

const memcached = MemcachedTokenStore.layer({ servers: "127.0.0.1:1" })
const { left: noMemcached } = await build({ ...options, tokenStore: memcached })
assert.strictEqual(noMemcached._tag, "InvalidOptions")
assert.match(noMemcached.message, /^MemcachedTokenStore needs the package memcache, .*\\(npm install memcache\\)/)

const buildEnv = (url) => {
  const variables = {
    ALF_TOKEN_ENDPOINT: options.tokenEndpoint,
    ALF_CLIENT_ID: options.clientId,
    ALF_CLIENT_SECRET: "secret",
    ALF_BASE_URL: options.baseUrl,
    ALF_STORE_URL: url
  }
  const provider = ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" })
  const layer = Layer.provide(NodeAuthedHttpClient.layerEnv(), Layer.setConfigProvider(provider))
  return Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(layer))))
}
const packages = {
  "redis://127.0.0.1:1": "ioredis",
  "memcached://127.0.0.1:1": "memcache",
  "postgres://app:secret@127.0.0.1:1/app": "@effect/sql @effect/sql-pg",
  "mysql://app:secret@127.0.0.1:1/app": "@effect/sql @effect/sql-mysql2",
  "sqlite:tokens.db": "@effect/sql @effect/sql-libsql"
}
for (const [url, names] of Object.entries(packages)) {
  const { message } = await buildEnv(url)
  assert(message.startsWith("ALF_STORE_URL needs the package") && message.includes(\`(npm install \${names})\`), message)
  assert.doesNotMatch(message, /app:secret/)
}

const signer = JwtSigner.make({ key: Redacted.make("secret".repeat(6)), algorithm: "HS256" })
const { left: noSigner } = await Effect.runPromise(Effect.either(signer.sign({})))
assert.strictEqual(noSigner._tag, "CredentialsError")
`

/** What compilers say to the declarations of every public module. */
const compile = (consumer: string): ReadonlyArray<string> =>
  ["typescript", "@typescript/native"].flatMap((compiler) =>
    [["nodenext", "nodenext"], ["esnext", "bundler"]].flatMap(([module, resolution]) => {
      const options = { module, moduleResolution: resolution, target: "es2022", types: "node", skipLibCheck: "false" }
      const { stdout } = spawnSync(
        "node",
        [
          join(consumer, "node_modules", compiler, "bin/tsc"),
          ...["--strict", "--exactOptionalPropertyTypes", "--noEmit", "main.ts"],
          ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
        ],
        { cwd: consumer, encoding: "utf8" }
      )
      return stdout.split("\n")
        // Effect's own types have faults of their own
        .filter((line) => /^(main\.ts|error|node_modules\/@effect-alf\/)/.test(line))
        .map((line) => `${compiler}, ${resolution}: ${line}`)
    })
  )

/** Says what went wrong, if anything. */
export const runWithoutOptional = async (consumer: string): Promise<ReadonlyArray<string>> => {
  for (const name of absent) rmSync(join(consumer, "node_modules", name), { force: true, recursive: true })
  writeFileSync(join(consumer, "optional.mjs"), program)
  const steps = {
    compiled: () => assert.deepStrictEqual(compile(consumer), []),
    run: () => execFileSync("node", ["optional.mjs"], { cwd: consumer, encoding: "utf8" }),
    bundled: () =>
      esbuild.build({
        absWorkingDir: consumer,
        entryPoints: ["optional.mjs"],
        outfile: "bundle.mjs",
        bundle: true,
        platform: "node",
        format: "esm",
        // What the bundle still imports when it signs
        external: ["jose"],
        // undici is CommonJS, and asks for Node's modules by require
        banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
        logLevel: "silent"
      }),
    "run as a bundle": () => execFileSync("node", ["bundle.mjs"], { cwd: consumer, encoding: "utf8" })
  }
  for (const [step, run] of Object.entries(steps)) {
    try {
      await run()
    } catch (error) {
      return [`without ${absent.join(", ")} it cannot be ${step}: ${told(error)}`]
    }
  }
  console.log(`without ${absent.join(", ")}: ${Object.keys(steps).join(", ")}`)
  return []
}

const told = (error: unknown): string =>
  error instanceof Error && "stdout" in error ? `${error.message}\n${error.stdout}` : String(error)
