// What an app ships because of us, for size-limit, min+gzip: first beside Effect and platform, with the list of what is in
// it, then with them, next to the same app with a token that never changes. Of the packages as `npm run build` makes them.
import { analyzeMetafile } from "esbuild"
import { readFileSync, writeFileSync } from "node:fs"
import { stdout } from "node:process"

/** What this app does not use, and must not ship. */
const unused =
  /\/(jose|@noble)\/|\/(AuthorizationServer|BoundedStore|ClientAuthChoice|ClosingRevocation|DPoP|Fleet|Field|Fingerprint|JwtSigner|ManualFetch|PayloadCipher|Proven(Form|Request)|Redirect|RefreshTokens|SharedTokens|SigningKey|StoredToken|TokenBinding|testing\/.*|Token(Introspection|Revocation|StoreContract))\.js$/

const contents = {
  name: "contents",
  setup: ({ onEnd }) =>
    onEnd(async ({ metafile }) => {
      stdout.write(await analyzeMetafile(metafile))
      const [[file, { inputs }]] = Object.entries(metafile.outputs)
      // Of what is left out the imports remain, which esbuild repeats for each of our modules, and no app ships
      writeFileSync(file, readFileSync(file, "utf8").replace(/import(?:[^"()]*from)?"[^"]+";/g, ""))
      const idle = Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0 && unused.test(file))
      return { errors: idle.map((file) => ({ text: `${file} is shipped and not used` })) }
    })
}

const app = { path: "packages/checks/src/size/authorized.ts", gzip: true }
const bundle = { format: "esm", platform: "browser", target: "es2022" }

export default [
  {
    ...app,
    name: "added to Effect and platform",
    ignore: ["effect", "effect/*", "@effect/platform", "@effect/platform/*"],
    limit: "24.4 kB",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle, plugins: [contents] })
  },
  {
    ...app,
    name: "the whole app",
    limit: "110.3 kB",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle })
  },
  {
    ...app,
    name: "the whole app with a constant token",
    path: "packages/checks/src/size/constant.ts",
    modifyEsbuildConfig: (config) => ({ ...config, ...bundle })
  }
]
