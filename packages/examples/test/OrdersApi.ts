import { HttpApi, HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema } from "@effect/platform"
import { Schema } from "effect"

const Order = Schema.Struct({ item: Schema.String, quantity: Schema.Number })

const id = HttpApiSchema.param("id", Schema.String)

/** The protected API as a user would describe it, without a word about tokens. */
export const OrdersApi = HttpApi.make("OrdersApi").add(
  HttpApiGroup.make("orders")
    .add(HttpApiEndpoint.get("get")`/orders/${id}`.addSuccess(Order).addError(HttpApiError.NotFound))
    .add(HttpApiEndpoint.put("put")`/orders/${id}`.setPayload(Order).addSuccess(Order, { status: 201 }))
    .add(HttpApiEndpoint.del("remove")`/orders/${id}`)
)
