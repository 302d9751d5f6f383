import { Headers, HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Scope } from "effect"
import { inspect } from "node:util"
import * as AddressedRequest from "../../src/client/AddressedRequest.js"
import * as Resource from "../support/Resource.js"
import { rowsEffect } from "../support/Rows.js"

const asMade = HttpClientRequest.post("/orders", {
  headers: { "x-mine": "1" },
  urlParams: { page: "2" },
  hash: "top",
  body: undefined
}).pipe(HttpClientRequest.bodyText("an order"))

describe("AddressedRequest", () => {
  it("is the request of the app if its URL is absolute", () => {
    assert.strictEqual(AddressedRequest.toRequest({ request: asMade, url: asMade.url }), asMade)
  })

  it("is a request with the joined URL otherwise", () => {
    const whole = AddressedRequest.toRequest({ request: asMade, url: "https://api.test/orders" })
    deepStrictEqual(whole.toJSON(), HttpClientRequest.setUrl(asMade, "https://api.test/orders").toJSON())
  })

  it("is an HttpClientRequest: headers can be set", () => {
    const ours = AddressedRequest.withHeader({ request: asMade, url: "https://api.test/orders" }, "x-other", "2")
    const platforms = asMade.pipe(
      HttpClientRequest.setUrl("https://api.test/orders"),
      HttpClientRequest.setHeader("x-other", "2")
    )
    assert(HttpClientRequest.TypeId in ours)
    assert(Headers.isHeaders(ours.headers))
    deepStrictEqual(ours.toJSON(), platforms.toJSON())
    assert.strictEqual(String(ours), String(platforms))
    assert.strictEqual(inspect(ours), inspect(platforms))
    assert.strictEqual(ours.body, asMade.body)
    deepStrictEqual(
      ours.pipe(HttpClientRequest.setMethod("PUT")).toJSON(),
      platforms.pipe(HttpClientRequest.setMethod("PUT")).toJSON()
    )
    // The app's own is left as it was
    assert.strictEqual(asMade.headers["x-other"], undefined)
  })

  const made: ReadonlyArray<
    [string, (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest]
  > = [
    ["with the whole address", (request) => AddressedRequest.toRequest({ request, url: "https://api.test/orders" })],
    [
      "with a header",
      (request) => AddressedRequest.withHeader({ request, url: "https://api.test/orders" }, "x-a", "1")
    ],
    [
      "made of it in another way",
      (request) => AddressedRequest.carryScope(request, HttpClientRequest.setUrl(request, "https://api.test/orders"))
    ]
  ]
  it.live("HttpClient.withScope aborts a replaced request too", () =>
    rowsEffect(made, ([name]) => name, ([, change]) =>
      Effect.gen(function*() {
        const { client, sent } = Resource.make()
        const replaced = HttpClient.transform(client, (_, request) => client.execute(change(request)))
        const scope = yield* Scope.make()
        yield* Scope.extend(HttpClient.withScope(replaced).get("/orders"), scope)
        assert.isFalse(sent[0].signal.aborted)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(sent[0].signal.aborted)
      })))

  it("a request without a scope passes none on", () => {
    const request = HttpClientRequest.get("https://api.test/")
    assert.strictEqual(AddressedRequest.carryScope(HttpClientRequest.get("/"), request), request)
  })
})
