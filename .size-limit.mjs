// What an app ships because of us, for size-limit, min+gzip: our part of its bundle, with the list of what is in it, then
// the whole, next to the same app with a token that never changes. Of the packages as `npm run build` makes them.
import { transform } from "esbuild"
import { Buffer } from "node:buffer"
import { readFileSync, writeFileSync } from "node:fs"
import { SourceMap } from "node:module"
import { stdout } from "node:process"

/** What this app does not use, and must not ship. */
const unused =
  /\/(jose|@noble)\/|\/(AuthorizationServer|BoundedStore|ClientAuthChoice|ClosingRevocation|DPoP|Fleet|Field|Fingerprint|IssuerOptions|JwtSigner|ManualFetch|PayloadCipher|Proven(Form|Request)|Redirect|RefreshTokens|SharedTokens|SigningKey|StoredToken|TokenBinding|testing\/.*|Token(Introspection|Revocation|StoreContract))\.[jt]s$/

/** Our packages, and what they depend on beside Effect. */
const shipped = /^(packages\/\w+\/dist|node_modules\/(jose|@noble))\//

/**
 * Leaves what we ship in the bundle, and nothing else. Built beside it, each would repeat its imports, and write
 * `Effect.map` where the app has two letters.
 */
const ours = {
  name: "ours",
  setup: ({ onEnd }) =>
    onEnd(async ({ metafile }) => {
      const [file] = Object.keys(metafile.outputs)
      const [bundled, map64] = readFileSync(file, "utf8").split(/^\/\/# sourceMappingURL=.*base64,/m)
      // The name of each file stands before it, as long as spaces do
      const map = new SourceMap(JSON.parse(Buffer.from(map64, "base64").toString()))
      const sizes = new Map()
      const kept = []
      let isOurs = false
      for (const [index, line] of bundled.split("\n").entries()) {
        if (/^\/\/ \S+\.[jt]s$/.test(line)) isOurs = shipped.test(line.slice(3))
        else if (isOurs) {
          kept.push(line)
          const { originalSource } = map.findEntry(index, line.search(/\S|$/))
          const source = originalSource.slice(originalSource.search(/(packages|node_modules)\//))
          sizes.set(source, (sizes.get(source) ?? 0) + line.trim().length)
        }
      }
      const { code } = await transform(kept.join("\n"), { minifyWhitespace: true })
      writeFileSync(file, code)
      for (const [source, size] of [...sizes].sort(([, one], [, two]) => two - one)) {
        stdout.write(`${`${size}`.padStart(8)} ${source}\n`)
      }
      // An unused number that is computed stays: `10 * 60_000`
      const idle = [...sizes].filter(([source, size]) => unused.test(source) && size > 40)
      return { errors: idle.map(([source]) => ({ text: `${source} is shipped and not used` })) }
    })
}

const app = { path: "packages/checks/src/size/authorized.ts", gzip: true }
const bundle = { format: "esm", platform: "browser", target: "es2022" }

export default [
  {
    ...app,
    name: "added to Effect and platform",
    limit: "22 kB",
    modifyEsbuildConfig: (config) => ({
      ...config,
      ...bundle,
      minifyWhitespace: false,
      sourcemap: "inline",
      plugins: [ours]
    })
  },
  {
    ...app,
    name: "the whole app",
    limit: "108.6 kB",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle })
  },
  {
    ...app,
    name: "the whole app with a constant token",
    path: "packages/checks/src/size/constant.ts",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle })
  }
]
