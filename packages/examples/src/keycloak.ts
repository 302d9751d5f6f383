/**
 * An API behind Keycloak, of which nothing but the issuer is known: the token
 * endpoint, and how it wants to be given the secret, are found in the realm's
 * metadata (RFC 8414 §2).
 *
 * At Keycloak: make a client with Client authentication and Service account
 * roles (and no other flow), and add the API to the audience of its tokens by a
 * mapper of type Audience.
 *
 * - KEYCLOAK_ISSUER: the realm, as in `https://keycloak.example.com/realms/shop`
 * - KEYCLOAK_CLIENT_ID, KEYCLOAK_CLIENT_SECRET: as the client's credentials say
 * - API_URL: where the API is
 */
import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { pathToFileURL } from "node:url"

const settings = Config.all({
  issuer: Config.string("KEYCLOAK_ISSUER"),
  clientId: Config.string("KEYCLOAK_CLIENT_ID"),
  clientSecret: Config.redacted("KEYCLOAK_CLIENT_SECRET"),
  baseUrl: Config.string("API_URL")
})

const layerKeycloak = Layer.unwrapEffect(Effect.map(
  settings,
  ({ baseUrl, clientId, clientSecret, issuer }) =>
    AuthedHttpClient.layer({ baseUrl }).pipe(
      Layer.provide(TokenEndpoint.layerDiscovery({ issuer, clientId, clientSecret }))
    )
)).pipe(
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(NodeHttp.layer())
)

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/42")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(layerKeycloak))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
