import { AuthedHttpClient } from "@effect-alf/core"
import { TestAuthedHttpClient, TestTokenEndpoint } from "@effect-alf/core/testing"
import { HttpBody } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"

const services = Effect.all({
  client: AuthedHttpClient.AuthedHttpClient,
  control: TestAuthedHttpClient.TestAuthedHttpClient
})

describe("TestAuthedHttpClient", () => {
  it.effect("records the app's requests and their token requests", () =>
    Effect.gen(function*() {
      const { client, control } = yield* services
      yield* client.get("/orders?a=1", { urlParams: { page: 2 }, hash: "top" })
      yield* AuthedHttpClient.withTokenScope(client.post("/orders", { body: HttpBody.text("body") }), "write")
      yield* AuthedHttpClient.withoutToken(client.get("https://other.test/"))
      const requests = yield* control.requests
      deepStrictEqual(requests.map(({ method, status, url }) => [method, url, status]), [
        ["GET", "/orders?a=1&page=2#top", 201],
        ["POST", "/orders", 201],
        ["GET", "https://other.test/", 201]
      ])
      deepStrictEqual(requests.map(({ tokenRequest }) => tokenRequest?.scope), [undefined, "write", undefined])
      deepStrictEqual(requests.map(({ withoutToken }) => withoutToken), [false, false, true])
      assert.strictEqual(new TextDecoder().decode(requests[1].body), "body")
      yield* control.resetRecords
      deepStrictEqual(yield* control.requests, [])
    }).pipe(Effect.provide(TestAuthedHttpClient.layer(() => new Response(null, { status: 201 })))))

  it.effect("fails some or all requests, with a response or an error", () =>
    Effect.gen(function*() {
      const { client, control } = yield* services
      const status = Effect.map(client.get("/"), ({ status }) => status)
      yield* control.fail(new Response("gone", { status: 410 }))
      yield* control.failNext(1)
      yield* control.failNext(1, TestTokenEndpoint.invalidClient)
      assert.strictEqual(yield* status, 503)
      assert.strictEqual(yield* Effect.flip(status), TestTokenEndpoint.invalidClient)
      for (const _ of [1, 2]) {
        assert.strictEqual(yield* Effect.flatMap(client.get("/"), ({ text }) => text), "gone")
      }
      yield* control.fail(undefined)
      assert.strictEqual(yield* status, 200)
      deepStrictEqual((yield* control.requests).map(({ status }) => status), [503, undefined, 410, 410, 200])
    }).pipe(Effect.provide(TestAuthedHttpClient.layer(() => Effect.succeed(new Response())))))
})
