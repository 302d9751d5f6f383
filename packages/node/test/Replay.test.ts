import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as LocalServer from "./LocalServer.js"

const transports: Record<string, Layer.Layer<HttpClient.HttpClient, unknown>> = {
  "NodeHttp.layer": NodeHttp.layer({ connections: 1, connectTimeout: hang }),
  "NodeHttpClient.layerUndici": NodeHttpClient.layerUndici,
  "NodeHttpClient over an agent": Layer.provide(
    NodeHttpClient.layerWithoutAgent,
    NodeHttpClient.makeAgentLayer({ keepAlive: true, maxSockets: 1 })
  ),
  "FetchHttpClient.layer": FetchHttpClient.layer
}

describe("Replay over a real connection", () => {
  for (const body of ["", "no"]) {
    it.live(`rule 5: a 401 with ${body === "" ? "no" : "a"} body leaves the connection to the replay`, () =>
      rowsEffect(Object.entries(transports), ([name]) => name, ([_, transport]) =>
        Effect.gen(function*() {
          const server = yield* LocalServer.make((request, response) => {
            const status = request.headers.authorization === "Bearer token-1" ? 401 : 200
            response.writeHead(status, { "content-length": body.length }).end(body)
          })
          const context = yield* Layer.build(
            AuthedHttpClient.layer({ baseUrl: server.url }).pipe(
              Layer.provide([TestTokenEndpoint.layer(), TokenStore.layerMemory(), transport])
            )
          )
          const client = Context.get(context, AuthedHttpClient.AuthedHttpClient)
          const response = yield* client.get("/")
          assert.strictEqual(response.status, 200)
        })))
  }
})
