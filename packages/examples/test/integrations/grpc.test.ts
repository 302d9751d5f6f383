import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as Grpc from "@grpc/grpc-js"
import { Effect, Runtime } from "effect"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import { main, Stock } from "../../src/integrations/grpc.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

/** Accepts calls with a valid token; before each of the first `refusals` calls all tokens are revoked. */
const serve = (refusals: number) =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<AuthorizationServer>()
    const { revoke } = yield* AuthorizationServer
    const codes: Array<Grpc.status> = []
    const server = new Grpc.Server()
    server.addService(Stock, {
      reserve: (
        call: Grpc.ServerUnaryCall<{ readonly item: string }, unknown>,
        callback: Grpc.sendUnaryData<unknown>
      ) =>
        Runtime.runFork(runtime)(Effect.gen(function*() {
          if (codes.length < refusals) { for (const token of yield* Environment.issued) yield* revoke(token) }
          const isAuthorized = yield* Environment.isAuthorized(call.metadata.get("authorization")[0]?.toString())
          const code = isAuthorized ? Grpc.status.OK : Grpc.status.UNAUTHENTICATED
          codes.push(code)
          callback(isAuthorized ? null : { code, details: "the token is not valid" }, { ...call.request, left: 41 })
        }))
    })
    const port = yield* Effect.acquireRelease(
      Effect.async<number>((resume) =>
        server.bindAsync("127.0.0.1:0", Grpc.ServerCredentials.createInsecure(), (error, port) =>
          resume(error === null ? Effect.succeed(port) : Effect.die(error)))
      ),
      () =>
        Effect.sync(() =>
          server.forceShutdown()
        )
    )
    return { address: `127.0.0.1:${port}`, codes }
  })

describe("grpc.ts", () => {
  it.scopedLive("repeats an UNAUTHENTICATED call once, with a new token", () =>
    Effect.gen(function*() {
      const { address, codes } = yield* serve(1)
      deepStrictEqual(yield* Environment.run(main, { STOCK_ADDRESS: address }), [
        { item: "tea", left: 41 },
        { item: "coffee", left: 41 }
      ])
      deepStrictEqual(codes, [Grpc.status.UNAUTHENTICATED, Grpc.status.OK, Grpc.status.OK])
      deepStrictEqual((yield* Environment.seen).token, [200, 200])
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))

  it.scopedLive("fails with the service's error if the repeated call is UNAUTHENTICATED too", () =>
    Effect.gen(function*() {
      const { address, codes } = yield* serve(2)
      const error = yield* Effect.flip(Environment.run(main, { STOCK_ADDRESS: address }))
      assert.include(error.message, "the token is not valid")
      deepStrictEqual(codes, [Grpc.status.UNAUTHENTICATED, Grpc.status.UNAUTHENTICATED])
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))
})
