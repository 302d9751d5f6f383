import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { inspect } from "node:util"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as Secrets from "../../core/test/support/Secrets.js"
import * as SpanRecord from "../../core/test/support/SpanRecord.js"
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

const makeClient = (baseUrl: string, transport: Layer.Layer<HttpClient.HttpClient, unknown>) =>
  Effect.map(
    Layer.build(
      AuthedHttpClient.layer({ baseUrl }).pipe(
        Layer.provide([TestTokenEndpoint.layer(), TokenStore.layerMemory(), transport])
      )
    ),
    Context.get(AuthedHttpClient.AuthedHttpClient)
  )

describe("Replay over a real connection", () => {
  for (const body of ["", "no"]) {
    it.live(`rule 5: a 401 with ${body === "" ? "no" : "a"} body leaves the connection to the replay`, () =>
      rowsEffect(Object.entries(transports), ([name]) => name, ([_, transport]) =>
        Effect.gen(function*() {
          const server = yield* LocalServer.make((request, response) => {
            const status = request.headers.authorization === "Bearer token-1" ? 401 : 200
            response.writeHead(status, { "content-length": body.length }).end(body)
          })
          const client = yield* makeClient(server.url, transport)
          const response = yield* client.get("/")
          assert.strictEqual(response.status, 200)
        })))
  }

  it.live("rule 9: no span and no exit shows a token, whether a request succeeds, is replayed or fails", () =>
    rowsEffect(Object.entries(transports), ([name]) => name, ([_, transport]) =>
      Effect.gen(function*() {
        const server = yield* LocalServer.make((request, response) => {
          if (request.url === "/broken") {
            request.socket.destroy()
            return
          }
          response.writeHead(request.headers.authorization === "Bearer token-1" ? 401 : 200).end()
        })
        const { spans, tracer } = yield* SpanRecord.make
        const client = yield* makeClient(server.url, transport)
        yield* Effect.withTracer(
          Effect.forEach(["/", "/again", "/broken"], (path) =>
            Effect.exit(Effect.flatMap(client.get(path), ({ text }) => text))),
          tracer
        )
        assert.isAtLeast(
          spans.filter(({ name }) =>
            name === "http.client GET"
          ).length,
          4
        )
        const isToken = Secrets.finder(["token-1", "token-2"])
        for (const { attributes, name, status } of spans) {
          assert(status._tag === "Ended")
          const shown = inspect([status.exit, attributes], { depth: 7 }) + JSON.stringify(status.exit)
          assert.isFalse(isToken(shown), name)
        }
      })))
})
