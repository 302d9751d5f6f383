/**
 * A Google API, as a service account: a JWT signed with the account's key is
 * traded for a token (RFC 7523 §2.1, §3). The account authenticates by nothing
 * else, and there are no refresh tokens: the next token takes another JWT.
 *
 * At Google: enable the API in the project (here Cloud Storage), make a service
 * account, grant it a role (here Viewer), and add a key of type JSON.
 *
 * - GOOGLE_APPLICATION_CREDENTIALS: the path of that file
 * - GOOGLE_CLOUD_PROJECT: the id of the project
 * - GOOGLE_API_URL: unless it is https://storage.googleapis.com
 */
import { AuthedHttpClient, ClientAuth, Grant } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Schema } from "effect"
import { pathToFileURL } from "node:url"

const ServiceAccount = Schema.compose(
  // JSON.parse quotes what it stumbles over: here, a private key
  Schema.parseJson().annotations({ message: () => ({ message: "The file is not JSON", override: true }) }),
  Schema.Struct({
    type: Schema.Literal("service_account"),
    private_key_id: Schema.String,
    private_key: Schema.Redacted(Schema.String),
    client_email: Schema.String,
    token_uri: Schema.String
  })
)

const layerGoogle = Layer.unwrapEffect(Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Config.string("GOOGLE_APPLICATION_CREDENTIALS")
  const baseUrl = yield* Config.withDefault(Config.string("GOOGLE_API_URL"), "https://storage.googleapis.com")
  const account = yield* Effect.flatMap(fs.readFileString(path), Schema.decode(ServiceAccount))
  return NodeAuthedHttpClient.layer({
    tokenEndpoint: account.token_uri,
    clientId: account.client_email,
    clientAuth: ClientAuth.omitted,
    // `iss` is the client's id, `aud` the token endpoint; Google reads the scope from the JWT alone, and takes a `sub`
    // for the user to act for
    grant: Grant.jwtBearer(Grant.signedJwt({
      key: account.private_key,
      keyId: account.private_key_id,
      algorithm: "RS256",
      claims: { scope: "https://www.googleapis.com/auth/devstorage.read_only", sub: undefined }
    })),
    baseUrl
  })
})).pipe(Layer.provide(NodeFileSystem.layer))

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const project = yield* Config.string("GOOGLE_CLOUD_PROJECT")
  const buckets = yield* alf.get("/storage/v1/b", { urlParams: { project } })
  yield* Console.log(yield* buckets.json)
}).pipe(Effect.provide(layerGoogle))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
