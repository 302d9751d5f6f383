import { OAuthError } from "@effect-alf/core"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option } from "effect"
import { main } from "../../src/integrations/fetch.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

describe("fetch.ts", () => {
  it.live("openapi-fetch and ky share one token", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* Environment.run(main), { data: { item: "tea", quantity: 2 }, order: { item: "tea" } })
      deepStrictEqual(yield* Environment.seen, { token: [200], api: ["PUT 201", "GET 200"] })
    }).pipe(Effect.provide(Shop.layer())))

  it.live("an OAuthError is found in the error of a rejected call", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Environment.run(main, { ALF_CLIENT_SECRET: "wrong" }))
      deepStrictEqual(Option.map(OAuthError.find(error), ({ _tag }) => _tag), Option.some("TokenEndpointError"))
      deepStrictEqual(yield* Environment.seen, { token: [401], api: [] })
    }).pipe(Effect.provide(Shop.layer())))
})
