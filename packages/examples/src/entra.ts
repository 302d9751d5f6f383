/**
 * An API behind Microsoft Entra, as an app that owns a certificate: the proof is
 * a JWT signed with the certificate's key (RFC 7523 §2.2), whose header names
 * the certificate by its thumbprint (RFC 7515 §4.1.8).
 *
 * At Entra: register the app, upload its certificate (Certificates & secrets),
 * and grant it an application permission of the API with admin consent. The
 * file at AZURE_CLIENT_CERTIFICATE_PATH is read anew for every token, so that a
 * new certificate takes the place of the old one without a restart.
 *
 * - AZURE_TENANT_ID, AZURE_CLIENT_ID: as the registration says
 * - AZURE_CLIENT_CERTIFICATE_PATH: a PEM file of the private key (PKCS#8) and the certificate
 * - AZURE_AUTHORITY_HOST: unless it is https://login.microsoftonline.com
 * - API_SCOPE: the API's application id URI and `/.default`, as in `api://orders/.default`
 * - API_URL: where the API is
 */
import { AuthedHttpClient, ClientAuth } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { pathToFileURL } from "node:url"

const settings = Config.all({
  authority: Config.withDefault(Config.url("AZURE_AUTHORITY_HOST"), new URL("https://login.microsoftonline.com")),
  tenant: Config.string("AZURE_TENANT_ID"),
  clientId: Config.string("AZURE_CLIENT_ID"),
  certificate: Config.string("AZURE_CLIENT_CERTIFICATE_PATH"),
  scope: Config.string("API_SCOPE"),
  baseUrl: Config.string("API_URL")
})

const layerEntra = Layer.unwrapEffect(Effect.map(
  settings,
  ({ authority, baseUrl, certificate, clientId, scope, tenant }) =>
    NodeAuthedHttpClient.layer({
      tokenEndpoint: new URL(`/${tenant}/oauth2/v2.0/token`, authority),
      clientId,
      // The certificate that lies beside the key gives x5t and x5t#S256
      clientAuth: ClientAuth.privateKeyJwt({
        key: ClientAuth.secretFile(certificate),
        algorithm: "PS256",
        audience: "tokenEndpoint",
        notBefore: 0
      }),
      scope,
      baseUrl
    })
)).pipe(Layer.provide(NodeFileSystem.layer))

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/42")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(layerEntra))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
