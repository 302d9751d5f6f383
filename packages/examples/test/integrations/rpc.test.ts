import { OAuthError } from "@effect-alf/core"
import * as Loopback from "@effect-alf/servers/Loopback"
import { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { RpcSerialization, RpcServer } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option, Stream } from "effect"
import * as Http from "node:http"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import { main, Stock } from "../../src/integrations/rpc.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

const Handlers = Stock.toLayer({
  Reserve: () => Effect.succeed(41),
  Watch: () => Stream.make(41, 40, 39)
})

/** The group behind a token check; before each of the first `refusals` requests all tokens are revoked. */
const serve = (refusals = 0) =>
  Effect.gen(function*() {
    const statuses: Array<number> = []
    const app = yield* RpcServer.toHttpApp(Stock)
    const guarded = Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const { revoke } = yield* AuthorizationServer
      if (refusals-- > 0) { for (const token of yield* Environment.issued) yield* revoke(token) }
      const isAuthorized = yield* Environment.isAuthorized(headers.authorization)
      statuses.push(isAuthorized ? 200 : 401)
      return isAuthorized ? yield* app : HttpServerResponse.empty({ status: 401 })
    })
    const server = Http.createServer()
    server.on("request", yield* NodeHttpServer.makeHandler(guarded))
    return { url: yield* Loopback.listen(server), statuses }
  }).pipe(Effect.provide(Handlers), Effect.provide(RpcSerialization.layerNdjson))

describe("rpc.ts", () => {
  it.scopedLive("calls and streams with one token, and replays a rejected request", () =>
    Effect.gen(function*() {
      const { statuses, url } = yield* serve(1)
      deepStrictEqual(yield* Environment.run(main, { ALF_BASE_URL: url }), { left: 41, levels: [41, 40, 39] })
      deepStrictEqual(statuses, [401, 200, 200])
      deepStrictEqual((yield* Environment.seen).token, [200, 200])
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))

  it.scopedLive("an OAuthError is found in the error of a call", () =>
    Effect.gen(function*() {
      const { statuses, url } = yield* serve()
      const error = yield* Effect.flip(Environment.run(main, { ALF_BASE_URL: url, ALF_CLIENT_SECRET: "wrong" }))
      const found = Option.getOrThrow(OAuthError.find(error))
      assert.instanceOf(found, OAuthError.TokenEndpointError)
      assert.strictEqual(found.error, "invalid_client")
      deepStrictEqual(statuses, [])
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))
})
