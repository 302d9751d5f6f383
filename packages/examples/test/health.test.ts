import { TokenProvider } from "@effect-alf/core"
import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
import { HttpClient } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Logger, TestClock } from "effect"
import * as Health from "../src/health.js"

/** The service on a loopback port; the script controls its token endpoint. */
const serve = (script: Layer.Layer<never, never, TestTokenEndpoint.TestTokenEndpoint> = Layer.empty) =>
  Health.Main.pipe(
    Layer.provideMerge(TokenProvider.layer()),
    Layer.provideMerge(script),
    Layer.provideMerge(TestTokenEndpoint.layer({ lifetime: "1 hour" })),
    Layer.provideMerge(TestTokenStore.layerMemory()),
    Layer.provideMerge(NodeHttpServer.layerTest),
    Layer.provide(Logger.remove(Logger.defaultLogger))
  )

const health = Effect.gen(function*() {
  const response = yield* HttpClient.get("/health")
  return { status: response.status, body: yield* response.json }
})

describe("health.ts", () => {
  it.effect("reports the token that was requested at startup", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("10 minutes")
      deepStrictEqual(yield* health, {
        status: 200,
        body: {
          status: "ok",
          token: { ageSeconds: 600, expiresInSeconds: 3000, source: "issued", isRejected: false },
          isRenewing: false,
          store: "working"
        }
      })
    }).pipe(Effect.provide(serve())))

  it.live("is degraded while a resource rejects its token, or the store fails", () =>
    Effect.gen(function*() {
      const provider = yield* TokenProvider.TokenProvider
      const tokens = yield* TestTokenEndpoint.TestTokenEndpoint
      const store = yield* TestTokenStore.TestTokenStore
      yield* tokens.returnSameToken(true)
      yield* provider.renew(yield* provider.get())
      const rejected = yield* health
      assert.strictEqual(rejected.status, 200)
      assert.propertyVal(rejected.body, "status", "degraded")
      yield* tokens.returnSameToken(false)
      yield* store.fail("connection lost")
      yield* provider.get({ scope: "other" })
      const away = yield* health
      assert.propertyVal(away.body, "status", "degraded")
      assert.propertyVal(away.body, "store", "failing")
    }).pipe(Effect.provide(serve())))

  it.live("answers 503 without a token, and reports the last error", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* health, {
        status: 503,
        body: {
          _tag: "Unhealthy",
          isRenewing: false,
          lastError: TestTokenEndpoint.invalidClient.message,
          store: "working"
        }
      })
    }).pipe(Effect.provide(serve(
      Layer.effectDiscard(Effect.flatMap(
        TestTokenEndpoint.TestTokenEndpoint,
        ({ failNext }) => failNext(1, TestTokenEndpoint.invalidClient)
      ))
    ))))
})
