/**
 * An API behind Auth0, which has to be told whom the token is for: by the
 * parameter `audience`, in place of a resource indicator (RFC 8707 §2).
 *
 * At Auth0: make the API, whose identifier is the audience, make an application
 * of type Machine to Machine, and authorize it for the API.
 *
 * - AUTH0_ISSUER_BASE_URL: the tenant's domain, as in `https://TENANT.eu.auth0.com`
 * - AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET: as the application's settings say
 * - AUTH0_AUDIENCE: the API's identifier
 * - API_URL: where the API is
 */
import { AuthedHttpClient, ClientAuth } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { pathToFileURL } from "node:url"

const settings = Config.all({
  issuer: Config.url("AUTH0_ISSUER_BASE_URL"),
  clientId: Config.string("AUTH0_CLIENT_ID"),
  clientSecret: Config.redacted("AUTH0_CLIENT_SECRET"),
  audience: Config.string("AUTH0_AUDIENCE"),
  baseUrl: Config.string("API_URL")
})

const layerAuth0 = Layer.unwrapEffect(Effect.map(
  settings,
  ({ audience, baseUrl, clientId, clientSecret, issuer }) =>
    NodeAuthedHttpClient.layer({
      tokenEndpoint: new URL("/oauth/token", issuer),
      clientId,
      // What a new application is set to; Basic is the other choice (RFC 6749 §2.3.1)
      clientAuth: ClientAuth.clientSecretPost(clientSecret),
      audience,
      baseUrl
    })
))

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/42")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(layerAuth0))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
