// What an app ships because of us, for size-limit, min+gzip: our part of its bundle, with the list of what is in it, then
// the whole, next to the same app with a token that never changes. Of the packages as `npm run build` makes them.
import { transform } from "esbuild"
import { readFileSync, writeFileSync } from "node:fs"
import { stdout } from "node:process"

/** What this app does not use, and must not ship. */
const unused =
  /\/(jose|@noble)\/|\/(AuthorizationServer|BoundedStore|ClientAuthChoice|ClosingRevocation|DPoP|Fleet|Field|Fingerprint|IssuerOptions|JwtSigner|ManualFetch|PayloadCipher|Proven(Form|Request)|Redirect|RefreshTokens|SharedTokens|SigningKey|StoredToken|TokenBinding|testing\/.*|Token(Introspection|Revocation|StoreContract))\.js$/

/** Our packages, and what they depend on beside Effect. */
const shipped = /^(packages\/\w+\/dist|node_modules\/(jose|@noble))\//

/**
 * Leaves our modules in the bundle, and nothing else. Built beside it, each would repeat its imports, and write
 * `Effect.map` where the app has two letters.
 */
const ours = {
  name: "ours",
  setup: ({ onEnd }) =>
    onEnd(async ({ metafile }) => {
      const [file] = Object.keys(metafile.outputs)
      // The name of each module stands before it, as long as spaces do
      const modules = readFileSync(file, "utf8").split(/^\/\/ (?=\S+\.[jt]s$)/m).filter((text) => shipped.test(text))
      const minified = await Promise.all(modules.map(async (text) => {
        const [name] = text.split("\n", 1)
        const { code } = await transform(text.slice(name.length), { minifyWhitespace: true })
        return { name, code }
      }))
      writeFileSync(file, minified.map(({ code }) => code).join(""))
      for (const { code, name } of minified.sort((one, two) => two.code.length - one.code.length)) {
        stdout.write(`${`${code.length}`.padStart(8)} ${name}\n`)
      }
      const idle = minified.filter(({ name }) => unused.test(name))
      return { errors: idle.map(({ name }) => ({ text: `${name} is shipped and not used` })) }
    })
}

const app = { path: "packages/checks/src/size/authorized.ts", gzip: true }
const bundle = { format: "esm", platform: "browser", target: "es2022" }

export default [
  {
    ...app,
    name: "added to Effect and platform",
    limit: "21.9 kB",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle, minifyWhitespace: false, plugins: [ours] })
  },
  {
    ...app,
    name: "the whole app",
    limit: "108.2 kB",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle })
  },
  {
    ...app,
    name: "the whole app with a constant token",
    path: "packages/checks/src/size/constant.ts",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle })
  }
]
