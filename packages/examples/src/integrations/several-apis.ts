/** Several APIs in one app: a tag for each, with a credential of its own or with one that they share. */
import { AuthedHttpClient, Environment, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient, NodeHttp } from "@effect-alf/node"
import { Config, Effect, Layer } from "effect"

class Payments extends AuthedHttpClient.Tag("@effect-alf/examples/integrations/several-apis/Payments")<Payments>() {}
class Orders extends AuthedHttpClient.Tag("@effect-alf/examples/integrations/several-apis/Orders")<Orders>() {}
class Invoices extends AuthedHttpClient.Tag("@effect-alf/examples/integrations/several-apis/Invoices")<Invoices>() {}

// A credential of its own: PAYMENTS_CLIENT_ID and the others
const PaymentsLive = Payments.layer(NodeAuthedHttpClient.layerEnv({ prefix: "PAYMENTS" }))

const shop = (collection: string) =>
  Layer.unwrapEffect(Effect.map(
    Config.string("ALF_BASE_URL"),
    (baseUrl) => AuthedHttpClient.layerFromProvider({ baseUrl, request: { resource: `urn:shop:${collection}` } })
  ))

// Two APIs with one credential: one provider for both, and each has tokens for its own resource
const ShopLive = Layer.merge(Orders.layer(shop("orders")), Invoices.layer(shop("invoices"))).pipe(
  Layer.provide(TokenProvider.layer()),
  Layer.provide(TokenEndpoint.layerConfig(Environment.tokenEndpoint)),
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(NodeHttp.layer())
)

export const main = Effect.gen(function*() {
  const orders = yield* Orders
  const invoices = yield* Invoices
  const payments = yield* Payments
  return yield* Effect.all([
    Effect.flatMap(orders.get("/orders/1"), ({ json }) => json),
    Effect.flatMap(invoices.get("/invoices/7"), ({ json }) => json),
    Effect.flatMap(payments.get("/orders/1"), ({ json }) => json)
  ])
}).pipe(Effect.provide(Layer.merge(PaymentsLive, ShopLive)))
