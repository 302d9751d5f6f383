import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Either } from "effect"
import { main } from "../../src/integrations/workflow.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

describe("workflow.ts", () => {
  it.live("ten workflows share a token", () =>
    Effect.gen(function*() {
      const results = yield* Environment.run(main)
      deepStrictEqual(Array.from(new Set(results.map(Either.getOrThrow))), [200])
      const { api, token } = yield* Environment.seen
      deepStrictEqual([api.length, token], [10, [200]])
    }).pipe(Effect.provide(Shop.layer())))

  it.live("forty attempts with a wrong secret share one failed token request", () =>
    Effect.gen(function*() {
      const results = yield* Environment.run(main, { ALF_CLIENT_SECRET: "wrong" })
      for (const result of results) {
        assert.isTrue(Either.isLeft(result) && result.left.message.includes("answered 401 invalid_client"))
      }
      deepStrictEqual(yield* Environment.seen, { token: [401], api: [] })
    }).pipe(Effect.provide(Shop.layer())))
})
