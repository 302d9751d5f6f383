/** The tests of a service that calls two APIs, without a network: what it sends, with which scopes, and how it fails. */
import { OAuthError } from "@effect-alf/core"
import { TestAuthedHttpClient, TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import { Billing, Invoices, Orders } from "../../src/tasks/two-apis.js"

/** Stands for both APIs, and records what they are sent. */
const Api = TestAuthedHttpClient.layer((request) =>
  request.method === "GET" ? Response.json({ item: "tea" }) : Response.json({ item: "tea", euro: 8.4 }, { status: 201 })
)

const layer = Billing.Default.pipe(
  Layer.provide(Layer.merge(Orders.layer(Api), Invoices.layer(Api))),
  Layer.provideMerge(Api)
)

describe("two-apis.ts", () => {
  it.effect("reads the order with one scope, and writes the invoice with another", () =>
    Effect.gen(function*() {
      const { bill } = yield* Billing
      const { requests } = yield* TestAuthedHttpClient.TestAuthedHttpClient
      deepStrictEqual(yield* bill("1", 8.4), { item: "tea", euro: 8.4 })
      deepStrictEqual((yield* requests).map(({ method, tokenRequest, url }) => [method, url, tokenRequest?.scope]), [
        ["GET", "/orders/1", "read"],
        ["PUT", "/invoices/1", "write"]
      ])
    }).pipe(Effect.provide(layer)))

  it.effect("writes no invoice without an order", () =>
    Effect.gen(function*() {
      const { bill } = yield* Billing
      const { failNext, requests } = yield* TestAuthedHttpClient.TestAuthedHttpClient
      yield* failNext(1, TestTokenEndpoint.invalidClient)
      assert.isTrue(OAuthError.isOAuthError(yield* Effect.flip(bill("1", 8.4))))
      yield* failNext(1, new Response(null, { status: 404 }))
      assert.strictEqual((yield* Effect.flip(bill("1", 8.4)))._tag, "ResponseError")
      deepStrictEqual((yield* requests).map(({ method }) => method), ["GET", "GET"])
    }).pipe(Effect.provide(layer)))
})
