import { OAuthError, Origin } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"

// Where each address goes, and which options are refused, is in AuthedHttpClient.origins.test.ts

describe("Origin.makeRoute", () => {
  it.effect("rule 10: completes a URL, or reports why no token may go there", () =>
    Effect.gen(function*() {
      const route = yield* Origin.makeRoute({ baseUrl: "https://api.test/v1", origins: ["https://b.test"] })
      assert.strictEqual(route.complete("/orders"), "https://api.test/v1/orders")
      assert.strictEqual(route.originOf("https://api.test/v1/orders"), "https://api.test")
      assert.strictEqual(route.complete("https://b.test/x"), "https://b.test/x")
      assert.strictEqual(route.originOf("https://b.test/x"), "https://b.test")
      deepStrictEqual(
        route.originOf("https://evil.test/x"),
        new OAuthError.OriginNotAllowed({
          origin: "https://evil.test",
          allowed: ["https://api.test", "https://b.test"]
        })
      )
    }))

  it.effect("rule 10: names the configured origins, even if any origin is allowed", () =>
    Effect.gen(function*() {
      const named = (options: Origin.Options) => Effect.map(Origin.makeRoute(options), ({ named }) => named)
      deepStrictEqual(yield* named({ baseUrl: "https://API.test:443/v1", origins: ["https://b.test/"] }), [
        "https://api.test",
        "https://b.test"
      ])
      deepStrictEqual(yield* named({ baseUrl: "https://api.test", origins: "any" }), ["https://api.test"])
      deepStrictEqual(yield* named({ origins: "any" }), [])
    }))
})
