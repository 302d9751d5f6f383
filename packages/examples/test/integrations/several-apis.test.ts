import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import { main } from "../../src/integrations/several-apis.js"
import { ProtectedApi } from "../../src/ProtectedApi.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

const payments = { id: "payments", secret: Redacted.make("another-secret-0123456789abcdef"), scope: "read" }

describe("several-apis.ts", () => {
  it.live("has a token for each credential and resource", () =>
    Effect.gen(function*() {
      const { tokenEndpoint } = yield* AuthorizationServer
      const { requests, url } = yield* ProtectedApi
      const answers = yield* Environment.run(main, {
        PAYMENTS_TOKEN_ENDPOINT: tokenEndpoint,
        PAYMENTS_CLIENT_ID: payments.id,
        PAYMENTS_CLIENT_SECRET: Redacted.value(payments.secret),
        PAYMENTS_BASE_URL: url
      })
      deepStrictEqual(answers, [{ item: "tea" }, { euro: 8.4 }, { item: "tea" }])
      deepStrictEqual(yield* Environment.seen, { token: [200, 200, 200], api: ["GET 200", "GET 200", "GET 200"] })
      assert.strictEqual(new Set((yield* requests).map(({ sentToken }) => sentToken)).size, 3)
    }).pipe(Effect.provide(Shop.layer({ clients: [Shop.client, payments] }))))
})
