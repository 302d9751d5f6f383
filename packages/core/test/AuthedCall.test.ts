import { type AccessToken, AuthedCall, OAuthError, OAuthMetrics, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Data, Effect, Exit, Layer, Metric, Redacted } from "effect"

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
  it.effect("rule 12: successive calls share a token", () =>
    Effect.gen(function*() {
      const { call, shown, tokens } = yield* world(["token-1"])
      deepStrictEqual([yield* call, yield* call], ["done", "done"])
      deepStrictEqual(shown, ["token-1", "token-1"])
      const [{ request }, ...none] = yield* tokens.requests
      deepStrictEqual([Object.fromEntries(request.params).scope, none.length], ["write", 0])
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 4: two hundred calls rejected at once cost one token request", () =>
    Effect.gen(function*() {
      const { call, tokens } = yield* world(["token-2"])
      const done = yield* Effect.all(Array.from({ length: 200 }, () => call), { concurrency: "unbounded" })
      assert.isTrue(done.every((answer) => answer === "done"))
      assert.strictEqual((yield* tokens.requests).length, 2)
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 5: a call is made at most twice, and rejecting every token pauses renewals", () =>
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

  it.effect("any other failure reaches the caller", () =>
    Effect.gen(function*() {
      const { authed, tokens } = yield* world()
      const error = yield* Effect.flip(authed(() => new Refused({ reason: "other" })))
      deepStrictEqual([error._tag, (yield* tokens.requests).length], ["Refused", 1])
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 6: without a token the call is not made", () =>
    Effect.gen(function*() {
      const { call, shown, tokens } = yield* world(["token-1"])
      yield* tokens.failNext(1)
      assert.isTrue(OAuthError.isOAuthError(yield* Effect.flip(call)))
      deepStrictEqual(shown, [])
    }).pipe(Effect.provide(Provider)))

  it.effect("if the renewal fails, the caller gets the rejection", () =>
    Effect.gen(function*() {
      const { authed, tokens } = yield* world()
      const error = yield* Effect.flip(
        authed(() => Effect.zipRight(tokens.failNext(1), new Refused({ reason: "token" })))
      )
      deepStrictEqual([error._tag, (yield* tokens.requests).length], ["Refused", 2])
    }).pipe(Effect.provide(Provider)))

  const outcomes = ["accepted", "rejected", "failed", "unreplayable", "unrenewed"] as const

  /** What was counted for the calls that were made with this tag. */
  const replays = (test: string) =>
    Effect.forEach(
      outcomes,
      (outcome) =>
        Effect.map(
          Metric.value(Metric.tagged(OAuthMetrics.tokenReplays(outcome), "test", test)),
          ({ count }) => [outcome, count] as const
        )
    ).pipe(Effect.map((counts) => Object.fromEntries(counts.filter(([, count]) => count > 0))))

  it.effect("rejections are counted as with AuthedHttpClient", () =>
    Effect.gen(function*() {
      const good = ["token-1"]
      const { authed, call, tokens } = yield* Effect.tagMetrics(world(good), "test", "counted")
      yield* call
      deepStrictEqual(yield* replays("counted"), {})
      good[0] = "token-2"
      yield* call
      deepStrictEqual(yield* replays("counted"), { accepted: 1 })
      yield* Effect.flip(
        authed((token) => new Refused({ reason: Redacted.value(token.value) === "token-2" ? "token" : "other" }))
      )
      deepStrictEqual(yield* replays("counted"), { accepted: 1, failed: 1 })
      good.length = 0
      yield* Effect.flip(call)
      deepStrictEqual(yield* replays("counted"), { accepted: 1, failed: 1, rejected: 1 })
      yield* tokens.failNext(1)
      yield* Effect.flip(call)
      deepStrictEqual(yield* replays("counted"), { accepted: 1, failed: 1, rejected: 1, unrenewed: 1 })
    }).pipe(Effect.provide(Provider)))

  it.effect("a failure keeps its whole cause, in the first and the second call", () =>
    Effect.gen(function*() {
      const { authed } = yield* world()
      for (const reason of ["other", "token"] as const) {
        const call = authed(() => Effect.ensuring(new Refused({ reason }), Effect.die("and broken")))
        const exit = yield* Effect.exit(call)
        assert(Exit.isFailure(exit))
        deepStrictEqual([...Cause.failures(exit.cause)].map((error) => error._tag), ["Refused"])
        deepStrictEqual([...Cause.defects(exit.cause)], ["and broken"])
      }
    }).pipe(Effect.provide(Provider)))

  /** A custom provider, which passes every call on and records the reports. */
  const ownProvider = (reports: Array<string>) =>
    Effect.map(TokenProvider.TokenProvider, ({ get, peek, renew, report }) =>
      TokenProvider.TokenProvider.of({
        get,
        peek,
        renew,
        report: (token, outcome, ...rest) =>
          Effect.zipRight(
            Effect.sync(() => reports.push(`${Redacted.value(token.value)} ${outcome}`)),
            report(token, outcome, ...rest)
          )
      }))

  it.effect("each accepted token is reported to a custom provider once, and again after a rejection", () =>
    Effect.gen(function*() {
      const reports: Array<string> = []
      const good = ["token-1"]
      const { call } = yield* Effect.provideServiceEffect(
        world(good),
        TokenProvider.TokenProvider,
        ownProvider(reports)
      )
      yield* Effect.all([call, call])
      good[0] = "token-2"
      yield* Effect.all([call, call])
      deepStrictEqual(reports, ["token-1 accepted", "token-2 accepted"])
    }).pipe(Effect.provide(Provider)))

  it.effect("rule 4: all callers of a provider report an accepted token once, and again after a rejection", () =>
    Effect.gen(function*() {
      const reports: Array<string> = []
      const told = Effect.map(TokenProvider.TokenProvider, (provider) => ({
        ...provider,
        renew: (rejected: AccessToken.AccessToken) => Effect.succeed(rejected),
        report: (_: AccessToken.AccessToken, outcome: string) => Effect.sync(() => void reports.push(outcome))
      }))
      const good = ["token-1"]
      const make = Effect.provideServiceEffect(world(good), TokenProvider.TokenProvider, told)
      const [one, other] = yield* Effect.all([make, make])
      yield* Effect.all([one.call, other.call])
      deepStrictEqual(reports, ["accepted"])
      good.length = 0
      yield* Effect.flip(one.call)
      good.push("token-1")
      yield* Effect.all([other.call, one.call])
      deepStrictEqual(reports, ["accepted", "accepted"])
    }).pipe(Effect.provide(Provider)))
})
