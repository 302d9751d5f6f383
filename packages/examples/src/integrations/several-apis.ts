/** Several APIs in one app: a tag for each, with a credential of its own or with one that they share. */
import { AuthedHttpClient, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient, NodeHttp } from "@effect-alf/node"
import { Config, ConfigProvider, Context, Effect, identity, Layer } from "effect"

type Client = AuthedHttpClient.AuthedHttpClient["Type"]

class Payments extends Context.Tag("@effect-alf/examples/integrations/several-apis/Payments")<Payments, Client>() {}
class Orders extends Context.Tag("@effect-alf/examples/integrations/several-apis/Orders")<Orders, Client>() {}
class Invoices extends Context.Tag("@effect-alf/examples/integrations/several-apis/Invoices")<Invoices, Client>() {}

/** For a layer that is to read `PAYMENTS_ALF_CLIENT_ID` where it says `ALF_CLIENT_ID`. */
const prefixed = (prefix: string) =>
  Layer.unwrapEffect(
    Effect.configProviderWith((provider) =>
      Effect.succeed(Layer.setConfigProvider(ConfigProvider.nested(provider, prefix)))
    )
  )

// A credential of its own: a client as any other, under another name
const PaymentsLive = NodeAuthedHttpClient.layerConfig().pipe(
  Layer.project(AuthedHttpClient.AuthedHttpClient, Payments, identity),
  Layer.provide(prefixed("PAYMENTS"))
)

const shop = (collection: string) =>
  Effect.flatMap(
    Config.string("ALF_BASE_URL"),
    (baseUrl) => AuthedHttpClient.make({ baseUrl, request: { resource: `urn:shop:${collection}` } })
  )

// Two APIs with one credential: one provider for both, and each has tokens for its own resource
const ShopLive = Layer.merge(Layer.effect(Orders, shop("orders")), Layer.effect(Invoices, shop("invoices"))).pipe(
  Layer.provide(TokenProvider.layer()),
  Layer.provide(TokenEndpoint.layerConfig({
    tokenEndpoint: Config.string("ALF_TOKEN_ENDPOINT"),
    clientId: Config.string("ALF_CLIENT_ID"),
    clientSecret: Config.redacted("ALF_CLIENT_SECRET")
  })),
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
