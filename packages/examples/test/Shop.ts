/** An authorization server, an API that trusts it, and clients for both. */
import { type AuthedHttpClient, type OAuthError, type TokenProvider } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { type Duration, Effect, Layer, Redacted } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as AuthorizationServer from "../src/AuthorizationServer.js"
import * as ProtectedApi from "../src/ProtectedApi.js"
import * as Wire from "../src/Wire.js"

export type Format = "JWT" | "opaque"

export const client: AuthorizationServer.Client = {
  id: "shop",
  secret: Redacted.make("only-for-these-tests-0123456789abcdef"),
  scope: "read write"
}

/** Tokens for `orders`, which is the default, and for `invoices` are of one format and lifetime. */
export const layer = (options: {
  readonly format?: Format | undefined
  readonly lifetime?: Duration.DurationInput | undefined
  readonly clients?: ReadonlyArray<AuthorizationServer.Client> | undefined
} = {}): Layer.Layer<AuthorizationServer.AuthorizationServer | ProtectedApi.ProtectedApi | Wire.Wire> => {
  const settings = { format: options.format ?? "JWT", lifetime: options.lifetime ?? "1 hour" }
  return ProtectedApi.layer({ "orders/1": { item: "tea" }, "invoices/7": { euro: 8.4 } }).pipe(
    Layer.provideMerge(AuthorizationServer.layer({
      clients: options.clients ?? [client],
      scope: "read write admin",
      defaultResource: orders,
      resources: { [orders]: settings, [invoices]: settings }
    })),
    Layer.provideMerge(Wire.layer)
  )
}

export const orders = ProtectedApi.resource("orders")
export const invoices = ProtectedApi.resource("invoices")

/** The library on Node, for the API of the layer above, without limits that a busy machine reaches. */
export const clientLayer = (
  options: Partial<NodeAuthedHttpClient.Options> = {}
): Layer.Layer<
  AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
  OAuthError.InvalidOptions,
  AuthorizationServer.AuthorizationServer | ProtectedApi.ProtectedApi
> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const { tokenEndpoint } = yield* AuthorizationServer.AuthorizationServer
    const { url } = yield* ProtectedApi.ProtectedApi
    return NodeAuthedHttpClient.layer({
      tokenEndpoint,
      clientId: client.id,
      clientSecret: client.secret,
      baseUrl: url,
      http: { proxy: false, connectTimeout: hang },
      tokenRequest: { timeout: hang },
      maxWait: hang,
      storeTimeout: hang,
      ...options
    })
  }))
