// An app with client credentials and the store in memory: what is measured
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import * as TokenStore from "@effect-alf/core/TokenStore"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const Api = AuthedHttpClient.layer({ baseUrl: "https://api.example.com" }).pipe(
  Layer.provide(TokenEndpoint.layer({
    tokenEndpoint: "https://auth.example.com/token",
    clientId: "client-id",
    clientSecret: Redacted.make("client-secret")
  })),
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(FetchHttpClient.layer)
)

const orders = Effect.gen(function*() {
  const api = yield* AuthedHttpClient.AuthedHttpClient
  const response = yield* api.get("/orders")
  return yield* HttpClientResponse.schemaBodyJson(Schema.Array(Schema.Struct({ id: Schema.String })))(response)
})

void Effect.runPromise(Effect.provide(orders, Api)).then(console.log)
