/** HttpApiClient: a description of an API, and a client made from it that knows nothing of tokens. */
import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema } from "@effect/platform"
import { Config, Effect, Layer, Schema } from "effect"

const Order = Schema.Struct({ item: Schema.String, quantity: Schema.Number })

const id = HttpApiSchema.param("id", Schema.String)

const ShopApi = HttpApi.make("ShopApi").add(
  HttpApiGroup.make("orders")
    .add(HttpApiEndpoint.get("get")`/orders/${id}`.addSuccess(Order).addError(HttpApiError.NotFound))
    .add(HttpApiEndpoint.put("put")`/orders/${id}`.setPayload(Order).addSuccess(Order, { status: 201 }))
)

// Provides platform's HttpClient itself, which HttpApiClient asks for
const Http = Layer.unwrapEffect(
  Effect.map(Config.string("ALF_BASE_URL"), (baseUrl) => AuthedHttpClient.layerHttpClient({ baseUrl }))
).pipe(
  Layer.provide(TokenEndpoint.layerConfig({
    tokenEndpoint: Config.string("ALF_TOKEN_ENDPOINT"),
    clientId: Config.string("ALF_CLIENT_ID"),
    clientSecret: Config.redacted("ALF_CLIENT_SECRET")
  })),
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(NodeHttp.layer())
)

export const main = Effect.gen(function*() {
  // Without a base of its own: its paths are joined to that of the client
  const shop = yield* HttpApiClient.make(ShopApi)
  yield* shop.orders.put({ path: { id: "2" }, payload: { item: "tea", quantity: 2 } })
  return yield* shop.orders.get({ path: { id: "2" } })
}).pipe(Effect.provide(Http))
