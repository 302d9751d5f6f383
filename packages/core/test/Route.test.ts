import { OAuthError, Route } from "@effect-alf/core"
import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"

// Where each address goes, and which options are refused, is in AuthedHttpClient.origins.test.ts

describe("Route", () => {
  it.effect("rule 10: completes an address, or says why no token may go there", () =>
    Effect.gen(function*() {
      const route = yield* Route.make({ baseUrl: "https://api.test/v1", origins: ["https://b.test"] })
      const relative = route.of(HttpClientRequest.post("/orders"))
      deepStrictEqual([relative.request.url, relative.request.method, relative.origin], [
        "https://api.test/v1/orders",
        "POST",
        "https://api.test"
      ])
      const absolute = HttpClientRequest.get("https://b.test/x")
      assert.strictEqual(route.of(absolute).request, absolute)
      const evil = HttpClientRequest.get("https://evil.test/x")
      const refused = route.of(evil)
      assert(refused.origin === undefined)
      assert.strictEqual(refused.request, evil)
      deepStrictEqual(
        refused.error,
        new OAuthError.OriginNotAllowed({
          origin: "https://evil.test",
          allowed: ["https://api.test", "https://b.test"]
        })
      )
    }))

  it.effect("rule 10: names the origins that were named, however many are allowed", () =>
    Effect.gen(function*() {
      const named = (options: Route.Options) => Effect.map(Route.make(options), ({ named }) => named)
      deepStrictEqual(yield* named({ baseUrl: "https://API.test:443/v1", origins: ["https://b.test/"] }), [
        "https://api.test",
        "https://b.test"
      ])
      deepStrictEqual(yield* named({ baseUrl: "https://api.test", origins: "any" }), ["https://api.test"])
      deepStrictEqual(yield* named({ origins: "any" }), [])
    }))
})
