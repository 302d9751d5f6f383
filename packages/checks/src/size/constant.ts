// The same app with a token that never changes, beside which the other is measured
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const orders = Effect.gen(function*() {
  const api = HttpClient.mapRequest(yield* HttpClient.HttpClient, HttpClientRequest.bearerToken("token"))
  const response = yield* api.get("https://api.example.com/orders")
  return yield* HttpClientResponse.schemaBodyJson(Schema.Array(Schema.Struct({ id: Schema.String })))(response)
})

void Effect.runPromise(Effect.provide(orders, FetchHttpClient.layer)).then(console.log)
