import { TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value } from "./support/ProviderBench.js"

describe("TokenProvider, tokens bound to a certificate", () => {
  it.scoped("rule 2: another certificate is another key, also for the default request", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      const scope = { scope: "read" }
      yield* tokens.setBinding("a")
      deepStrictEqual([value(yield* provider.get()), value(yield* provider.get(scope))], ["token-1", "token-2"])
      yield* tokens.setBinding("b")
      assert.isUndefined(provider.peek())
      deepStrictEqual([value(yield* provider.get()), value(yield* provider.get(scope))], ["token-3", "token-4"])
      deepStrictEqual([value(yield* provider.get()), value(yield* provider.get(scope))], ["token-3", "token-4"])
    }))

  for (const request of [undefined, { scope: "read" }]) {
    it.scoped(`a token requested during a change of certificate belongs to the new one and is not stored (${request?.scope})`, () =>
      Effect.gen(function*() {
        const sharedStore = yield* TokenStore.makeMemory()
        const { provider, store, tokens } = yield* ProviderBench.make({
          sharedStore,
          endpoint: { delay: "1 second" }
        })
        yield* tokens.setBinding("a")
        const [token] = yield* during("2 seconds")(
          Effect.all([provider.get(request), Effect.delay(tokens.setBinding("b"), "500 millis")], {
            concurrency: "unbounded"
          })
        )
        yield* settle
        assert.strictEqual(value(token), "token-1")
        assert.strictEqual(value(yield* provider.get(request)), "token-1")
        assert.strictEqual((yield* store.entries).size, 0)
        assert.lengthOf(yield* tokens.requests, 1)
      }))
  }

  it.scoped("a token that is already stored for the new certificate takes precedence", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      yield* tokens.setBinding("a")
      const [old, current] = yield* during("3 seconds")(
        Effect.all([
          provider.get(),
          Effect.zipRight(
            Effect.delay(tokens.setBinding("b"), "500 millis"),
            provider.get()
          )
        ], { concurrency: "unbounded" })
      )
      deepStrictEqual([value(old), value(current)], ["token-1", "token-2"])
      assert.strictEqual(value(yield* provider.get()), "token-2")
    }))
})
