/**
 * A workflow whose activity calls an API. The engine retries activities, in
 * many workflows at once; the token endpoint notices nothing of it.
 */
import { AuthedHttpClient, OAuthError } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpClient } from "@effect/platform"
import { Activity, Workflow, WorkflowEngine } from "@effect/workflow"
import { Array, Effect, Layer, Option, Schema } from "effect"

/** What an engine can write down: it has words, and no token. */
class ShippingError extends Schema.TaggedError<ShippingError>()("ShippingError", {
  message: Schema.String,
  canBeRetried: Schema.Boolean
}) {}

const Shipping = Workflow.make({
  name: "Shipping",
  payload: { order: Schema.String },
  success: Schema.Number,
  error: ShippingError,
  idempotencyKey: ({ order }) => order
})

const ship = (order: string) =>
  Activity.make({
    name: "Ship",
    success: Schema.Number,
    error: ShippingError,
    execute: Effect.gen(function*() {
      const client = HttpClient.filterStatusOk(yield* AuthedHttpClient.AuthedHttpClient)
      const response = yield* client.get(`/orders/${order}`)
      return response.status
    }).pipe(Effect.mapError((error) =>
      new ShippingError({
        message: error.message,
        // A wrong secret or an address that is not allowed is for a person to mend
        canBeRetried: Option.isNone(OAuthError.fromUnknown(error))
      })
    ))
  }).pipe(Activity.retry({ times: 3 }))

const ShippingLive = Shipping.toLayer(({ order }) => ship(order))

export const main = Effect.forEach(
  Array.makeBy(10, () => "1"),
  (order, index) => Effect.either(Shipping.execute({ order })).pipe(Effect.annotateLogs({ index })),
  { concurrency: "unbounded" }
).pipe(
  Effect.provide(ShippingLive.pipe(
    Layer.provideMerge(WorkflowEngine.layerMemory),
    Layer.provide(NodeAuthedHttpClient.layerConfig())
  ))
)
