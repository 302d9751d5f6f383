import { AddressedRequest } from "@effect-alf/core"
import { Headers, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { inspect } from "node:util"

const asMade = HttpClientRequest.post("/orders", {
  headers: { "x-mine": "1" },
  urlParams: { page: "2" },
  hash: "top",
  body: undefined
}).pipe(HttpClientRequest.bodyText("an order"))

describe("AddressedRequest", () => {
  it("is the request of the app where its address is whole", () => {
    assert.strictEqual(AddressedRequest.toRequest({ request: asMade, url: asMade.url }), asMade)
  })

  it("is a request with the whole address where it was not", () => {
    const whole = AddressedRequest.toRequest({ request: asMade, url: "https://api.test/orders" })
    deepStrictEqual(whole.toJSON(), HttpClientRequest.setUrl(asMade, "https://api.test/orders").toJSON())
  })

  it("takes a header as platform's requests do, and is one of them", () => {
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
})
