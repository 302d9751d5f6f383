import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import { main } from "../../src/integrations/http-api.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

describe("http-api.ts", () => {
  it.live("puts and gets through a client that knows nothing of tokens", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* Environment.run(main), { item: "tea", quantity: 2 })
      deepStrictEqual(yield* Environment.seen, { token: [200], api: ["PUT 201", "GET 200"] })
    }).pipe(Effect.provide(Shop.layer())))
})
