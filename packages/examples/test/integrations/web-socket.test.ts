import * as Loopback from "@effect-alf/servers/Loopback"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Runtime } from "effect"
import * as Http from "node:http"
import { WebSocketServer } from "ws"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import { main } from "../../src/integrations/web-socket.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

/** Sends two messages on a connection with a valid token, and closes it as if the token had expired. */
const serve = (isGood: (count: number) => boolean) =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<AuthorizationServer>()
    const { revoke } = yield* AuthorizationServer
    const http = Http.createServer()
    let connections = 0
    new WebSocketServer({ server: http }).on("connection", (socket, request) =>
      Runtime.runFork(runtime)(Effect.gen(function*() {
        if (isGood(++connections) && (yield* Environment.isAuthorized(request.headers.authorization))) {
          for (const word of ["one", "two"]) {
            socket.send(`${word} of ${connections}`)
          }
          for (const token of yield* Environment.issued) {
            yield* revoke(token)
          }
        }
        socket.close(4401, "the token is not valid")
      })))
    return (yield* Loopback.listen(http)).replace("http", "ws")
  })

describe("web-socket.ts", () => {
  it.scopedLive("reconnects with a new token when a token has expired", () =>
    Effect.gen(function*() {
      const url = yield* serve(() => true)
      deepStrictEqual(yield* Environment.run(main, { EVENTS_URL: url }), [
        "one of 1",
        "two of 1",
        "one of 2",
        "two of 2"
      ])
      deepStrictEqual((yield* Environment.seen).token, [200, 200])
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))

  it.scopedLive("fails if a new token is rejected too", () =>
    Effect.gen(function*() {
      const url = yield* serve(() => false)
      const error = yield* Effect.flip(Environment.run(main, { EVENTS_URL: url }))
      assert.include(error.message, "4401 the token is not valid")
      deepStrictEqual((yield* Environment.seen).token, [200, 200])
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))
})
