import {
  type AccessToken,
  AuthedCall,
  OAuthError,
  TestTokenEndpoint,
  TokenProvider,
  TokenStore
} from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Data, Effect, Layer, Redacted } from "effect"

class Refused extends Data.TaggedError("Refused")<{ readonly reason: "token" | "other" }> {}

/** Another side that takes only these tokens; with those that it was shown. */
const world = (good: ReadonlyArray<string> = []) =>
  Effect.gen(function*() {
    const shown: Array<string> = []
    const authed = yield* AuthedCall.make({
      isRejection: ({ reason }: Refused) => reason === "token",
      request: { scope: "write" },
      origin: "db://orders"
    })
    const call = authed((token: AccessToken.AccessToken) =>
      Effect.suspend(() => {
        const value = Redacted.value(token.value)
        shown.push(value)
        return good.includes(value) ? Effect.succeed("done") : Effect.fail(new Refused({ reason: "token" }))
      })
    )
    return { authed, call, shown, tokens: yield* TestTokenEndpoint.TestTokenEndpoint }
  })

const Provider = TokenProvider.layer().pipe(
  Layer.provide(TokenStore.layerMemory()),
  Layer.provideMerge(TestTokenEndpoint.layer())
)

describe("AuthedCall", () => {
  it.effect("rule 12: calls one after the other share a token", () =>
    Effect.gen(function*() {
      const { call, shown, tokens } = yield* world(["token-1"])
      deepStrictEqual([yield* call, yield* call], ["done", "done"])
      deepStrictEqual(shown, ["token-1", "token-1"])
      const [{ request }, ...none] = yield* tokens.requests
      deepStrictEqual([Object.fromEntries(request.params).scope, none.length], ["write", 0])
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 4: two hundred that are rejected at once cost one more", () =>
    Effect.gen(function*() {
      const { call, tokens } = yield* world(["token-2"])
      const done = yield* Effect.all(Array.from({ length: 200 }, () => call), { concurrency: "unbounded" })
      assert.isTrue(done.every((answer) => answer === "done"))
      assert.strictEqual((yield* tokens.requests).length, 2)
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 5: a call is made at most twice, and one that rejects every token holds further renewals", () =>
    Effect.gen(function*() {
      const { call, shown, tokens } = yield* world()
      assert.instanceOf(yield* Effect.flip(call), Refused)
      deepStrictEqual(shown, ["token-1", "token-2"])
      for (let i = 0; i < 5; i++) assert.instanceOf(yield* Effect.flip(call), Refused)
      assert.strictEqual((yield* tokens.requests).length, 2)
    }).pipe(Effect.provide(Provider)))

  it.effect("a token that is rejected later is replaced again", () =>
    Effect.gen(function*() {
      const good = ["token-1"]
      const { call, shown, tokens } = yield* world(good)
      yield* call
      good[0] = "token-2"
      assert.strictEqual(yield* call, "done")
      good[0] = "token-3"
      assert.strictEqual(yield* call, "done")
      deepStrictEqual(shown, ["token-1", "token-1", "token-2", "token-2", "token-3"])
      assert.strictEqual((yield* tokens.requests).length, 3)
    }).pipe(Effect.provide(Provider)))

  it.effect("any other failure is the caller's", () =>
    Effect.gen(function*() {
      const { authed, tokens } = yield* world()
      const error = yield* Effect.flip(authed(() => new Refused({ reason: "other" })))
      deepStrictEqual([error._tag, (yield* tokens.requests).length], ["Refused", 1])
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 6: without a token there is no call", () =>
    Effect.gen(function*() {
      const { call, shown, tokens } = yield* world(["token-1"])
      yield* tokens.failNext(1)
      assert.isTrue(OAuthError.isOAuthError(yield* Effect.flip(call)))
      deepStrictEqual(shown, [])
    }).pipe(Effect.provide(Provider)))

  it.effect("what the other side said says more than a renewal that fails", () =>
    Effect.gen(function*() {
      const { authed, tokens } = yield* world()
      const error = yield* Effect.flip(
        authed(() => Effect.zipRight(tokens.failNext(1), new Refused({ reason: "token" })))
      )
      deepStrictEqual([error._tag, (yield* tokens.requests).length], ["Refused", 2])
    }).pipe(Effect.provide(Provider)))
})
