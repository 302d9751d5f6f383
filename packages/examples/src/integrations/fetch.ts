/** AuthedFetch under libraries that take a fetch function: openapi-fetch and ky share one token. */
import { AuthedFetch, OAuthError } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Config, Effect, Option } from "effect"
import ky from "ky"
import createClient from "openapi-fetch"

interface Order {
  readonly item: string
  readonly quantity?: number
}

/** As openapi-typescript writes it. */
interface paths {
  "/orders/{id}": {
    get: {
      parameters: { path: { id: string } }
      responses: { 200: { content: { "application/json": Order } } }
    }
    put: {
      parameters: { path: { id: string } }
      requestBody: { content: { "application/json": Order } }
      responses: { 201: { content: { "application/json": Order } } }
    }
  }
}

export const main = Effect.gen(function*() {
  const baseUrl = yield* Config.string("ALF_BASE_URL")
  const fetch = yield* AuthedFetch.make

  const shop = createClient<paths>({ baseUrl, fetch })
  const { data } = yield* Effect.tryPromise(() =>
    shop.PUT("/orders/{id}", { params: { path: { id: "2" } }, body: { item: "tea", quantity: 2 } })
  )

  const http = ky.create({
    prefixUrl: baseUrl,
    fetch,
    // Token requests were retried already
    retry: { shouldRetry: ({ error }) => Option.isSome(OAuthError.find(error)) ? false : undefined }
  })
  const order = yield* Effect.tryPromise(() => http.get("orders/1").json<Order>())
  return { data, order }
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv()))
