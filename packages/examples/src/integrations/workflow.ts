/**
 * A workflow whose activity calls an API. The engine retries activities, in
 * many workflows at once: the token endpoint notices nothing of it.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpClient } from "@effect/platform"
import { Activity, Workflow, WorkflowEngine } from "@effect/workflow"
import { Array, Effect, Layer, Schema } from "effect"

/** What an engine can write down: words, and no token. */
class ShippingError extends Schema.TaggedError<ShippingError>()("ShippingError", { message: Schema.String }) {}

const Shipping = Workflow.make({
  name: "Shipping",
  payload: { order: Schema.String, parcel: Schema.Number },
  success: Schema.Number,
  error: ShippingError,
  idempotencyKey: ({ order, parcel }) => `${order}/${parcel}`
})

const ShippingLive = Shipping.toLayer(({ order }) =>
  Activity.make({
    name: "Ship",
    success: Schema.Number,
    error: ShippingError,
    execute: Effect.gen(function*() {
      const client = HttpClient.filterStatusOk(yield* AuthedHttpClient.AuthedHttpClient)
      const response = yield* client.get(`/orders/${order}`)
      return response.status
    }).pipe(Effect.mapError(({ message }) => new ShippingError({ message })))
  }).pipe(Activity.retry({ times: 3 }))
)

export const main = Effect.forEach(
  Array.range(1, 10),
  (parcel) => Effect.either(Shipping.execute({ order: "1", parcel })),
  { concurrency: "unbounded" }
).pipe(
  Effect.provide(ShippingLive.pipe(
    Layer.provideMerge(WorkflowEngine.layerMemory),
    // One client for all workflows, outside of them
    Layer.provide(NodeAuthedHttpClient.layerEnv())
  ))
)
