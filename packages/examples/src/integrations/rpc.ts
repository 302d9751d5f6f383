/** RPC over HTTP: its calls and streams carry a token, and a 401 of the server is replayed. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpClient } from "@effect/platform"
import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
import { Effect, Layer, Schema, Stream } from "effect"

export class Stock extends RpcGroup.make(
  Rpc.make("Reserve", { payload: { item: Schema.String }, success: Schema.Number }),
  Rpc.make("Watch", { payload: { item: Schema.String }, success: Schema.Number, stream: true })
) {}

// What asks for platform's HttpClient gets the client of the environment, with platform's type of error
const Http = Layer.project(
  NodeAuthedHttpClient.layerEnv(),
  AuthedHttpClient.AuthedHttpClient,
  HttpClient.HttpClient,
  AuthedHttpClient.toHttpClient
)

const Protocol = RpcClient.layerProtocolHttp({ url: "/rpc" }).pipe(
  Layer.provide(RpcSerialization.layerNdjson),
  Layer.provide(Http)
)

export const main = Effect.gen(function*() {
  const stock = yield* RpcClient.make(Stock)
  const left = yield* stock.Reserve({ item: "tea" })
  const levels = yield* Stream.runCollect(stock.Watch({ item: "tea" }))
  return { left, levels: Array.from(levels) }
}).pipe(Effect.scoped, Effect.provide(Protocol))
