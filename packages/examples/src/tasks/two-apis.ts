/**
 * A service calls two APIs, each with a credential of its own: it reads an order with one scope, and writes an invoice,
 * through an HttpApiClient, with another.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup, HttpClient, HttpClientResponse } from "@effect/platform"
import { Effect, Layer, Schema } from "effect"

export class Orders extends AuthedHttpClient.Tag("@effect-alf/examples/tasks/two-apis/Orders")<Orders>() {}
export class Invoices extends AuthedHttpClient.Tag("@effect-alf/examples/tasks/two-apis/Invoices")<Invoices>() {}

const Order = Schema.Struct({ item: Schema.String })
const Invoice = Schema.Struct({ item: Schema.String, euro: Schema.Number })

const put = HttpApiEndpoint.put("put", "/invoices/:id")
  .setPath(Schema.Struct({ id: Schema.String }))
  .setPayload(Invoice)
  .addSuccess(Invoice, { status: 201 })

const InvoicesApi = HttpApi.make("InvoicesApi").add(HttpApiGroup.make("invoices").add(put))

export class Billing extends Effect.Service<Billing>()("@effect-alf/examples/tasks/two-apis/Billing", {
  effect: Effect.gen(function*() {
    const orders = HttpClient.filterStatusOk(yield* Orders)
    const { invoices } = yield* HttpApiClient.makeWith(InvoicesApi, { httpClient: yield* Invoices })
    const bill = Effect.fn("Billing.bill")(function*(id: string, euro: number) {
      const order = yield* orders.get(`/orders/${id}`).pipe(AuthedHttpClient.withTokenScope("read"))
      const { item } = yield* HttpClientResponse.schemaBodyJson(Order)(order)
      const payload = { item, euro }
      return yield* invoices.put({ path: { id }, payload }).pipe(AuthedHttpClient.withTokenScope("write"))
    })
    return { bill }
  })
}) {}

// ORDERS_CLIENT_ID and INVOICES_CLIENT_ID in place of ALF_CLIENT_ID, and likewise the other variables
const Apis = Layer.merge(
  Orders.layer(NodeAuthedHttpClient.layerEnv({ prefix: "ORDERS" })),
  Invoices.layer(NodeAuthedHttpClient.layerEnv({ prefix: "INVOICES" }))
)

export const main = Effect.flatMap(Billing, ({ bill }) => bill("1", 8.4)).pipe(
  Effect.provide(Layer.provide(Billing.Default, Apis))
)
