/**
 * A workload in Kubernetes without any secret of its own: the token of its
 * service account, which the kubelet writes into a file and replaces there
 * before it expires, proves to Microsoft Entra who it is (RFC 7521 §4.2). Other
 * servers that trust the cluster take it the same way.
 *
 * At Entra: add a federated credential to the app, with the cluster's issuer,
 * the subject `system:serviceaccount:NAMESPACE:NAME` and the audience
 * `api://AzureADTokenExchange`. In the cluster: label the pod and annotate the
 * service account for Azure Workload Identity, which sets the AZURE_* variables
 * and projects the token into the file.
 *
 * - AZURE_TENANT_ID, AZURE_CLIENT_ID: as the registration says
 * - AZURE_FEDERATED_TOKEN_FILE: where the service account's token is
 * - AZURE_AUTHORITY_HOST: unless it is https://login.microsoftonline.com
 * - API_SCOPE: the API's application id URI and `/.default`, as in `api://orders/.default`
 * - API_URL: where the API is
 */
import { AuthedHttpClient, ClientAuth } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpBody } from "@effect/platform"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { pathToFileURL } from "node:url"

const settings = Config.all({
  authority: Config.withDefault(Config.url("AZURE_AUTHORITY_HOST"), new URL("https://login.microsoftonline.com")),
  tenant: Config.string("AZURE_TENANT_ID"),
  clientId: Config.string("AZURE_CLIENT_ID"),
  tokenFile: Config.string("AZURE_FEDERATED_TOKEN_FILE"),
  scope: Config.string("API_SCOPE"),
  baseUrl: Config.string("API_URL")
})

const layerWorkload = Layer.unwrapEffect(Effect.map(
  settings,
  ({ authority, baseUrl, clientId, scope, tenant, tokenFile }) =>
    NodeAuthedHttpClient.layer({
      tokenEndpoint: new URL(`/${tenant}/oauth2/v2.0/token`, authority),
      clientId,
      clientAuth: ClientAuth.assertionFile(tokenFile),
      scope,
      baseUrl
    })
)).pipe(Layer.provide(NodeFileSystem.layer))

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  yield* alf.put("/orders/42", { body: HttpBody.unsafeJson({ item: "tea", quantity: 2 }) })
  const order = yield* alf.get("/orders/42")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(layerWorkload))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
