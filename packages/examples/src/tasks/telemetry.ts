/** Exports the spans, metrics and logs of an app and of its client to an OpenTelemetry collector, by OTLP over HTTP. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient, NodeHttp } from "@effect-alf/node"
import * as Otlp from "@effect/opentelemetry/Otlp"
import { Config, Effect, Layer } from "effect"

const OpenTelemetry = Layer.unwrapEffect(Effect.map(
  Config.string("OTEL_EXPORTER_OTLP_ENDPOINT"),
  (baseUrl) => Otlp.layerJson({ baseUrl, resource: { serviceName: "shop" } })
)).pipe(Layer.provide(NodeHttp.layer()))

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const response = yield* alf.get("/orders/1")
  return response.status
}).pipe(
  Effect.withSpan("orders"),
  // Around the client: renewals run in fibers of their own, with the tracer that the client's layer was built with
  Effect.provide(Layer.provideMerge(NodeAuthedHttpClient.layerEnv(), OpenTelemetry))
)
