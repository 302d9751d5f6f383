import { OAuthError, TokenRevocation, TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, Option, Scope, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { value, warnings } from "./support/ProviderBench.js"

/** A provider whose scope ends when the test says so, and the tokens it revoked. Its store is one of this process. */
const make = (
  { sharedStore, ...options }: ProviderBench.Options = {},
  revoke: (token: string) => Effect.Effect<void, unknown> = () => Effect.void
) =>
  Effect.gen(function*() {
    const revoked: Array<string> = []
    const store = sharedStore ?? (yield* TokenStore.makeMemory())
    const scope = yield* Scope.make()
    const bench = yield* Scope.extend(
      ProviderBench.make({
        ...options,
        wrapStore: () => store,
        revocation: TokenRevocation.onClose((token) =>
          Effect.zipRight(revoke(value(token)), Effect.sync(() => revoked.push(value(token))))
        )
      }),
      scope
    )
    return { ...bench, bench, revoked, close: Scope.close(scope, Exit.void) }
  })

describe("TokenProvider, closing", () => {
  it.effect("RFC 7009: revokes each token that it was issued, once, and removes it from the store", () =>
    Effect.gen(function*() {
      const sharedStore = yield* TokenStore.makeMemory()
      const { close, provider, revoked } = yield* make({ sharedStore })
      const other = yield* make({ sharedStore, endpoint: { tokenPrefix: "other-" } })
      yield* provider.get()
      yield* provider.get({ scope: "read" })
      yield* provider.get({ scope: "read" })
      yield* ProviderBench.settle
      assert.strictEqual(value(yield* other.provider.get()), "token-1")
      yield* close
      deepStrictEqual(revoked, ["token-1", "token-2"])
      assert.strictEqual(value(yield* other.provider.get({ scope: "read" })), "other-1")
    }))

  it.effect("revokes tokens also if the app is interrupted, as by SIGTERM", () =>
    Effect.gen(function*() {
      const revoked: Array<string> = []
      const store = yield* TokenStore.makeMemory()
      const fiber = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const { provider } = yield* ProviderBench.make({
          wrapStore: () => store,
          revocation: TokenRevocation.onClose((token) =>
            Effect.zipRight(Effect.yieldNow(), Effect.sync(() => revoked.push(value(token))))
          )
        })
        yield* provider.get()
        yield* Effect.never
      })))
      yield* ProviderBench.settle
      yield* Fiber.interrupt(fiber)
      deepStrictEqual(revoked, ["token-1"])
    }))

  it.effect("revokes neither expired tokens nor those of other providers", () =>
    Effect.gen(function*() {
      const sharedStore = yield* TokenStore.makeMemory()
      const other = yield* make({ sharedStore })
      yield* other.provider.get()
      yield* ProviderBench.settle
      const { close, provider, revoked } = yield* make({ sharedStore })
      assert.strictEqual(value(yield* provider.get()), "token-1")
      yield* provider.get({ scope: "read" })
      yield* TestClock.adjust("2 hours")
      yield* close
      deepStrictEqual(revoked, [])
    }))

  for (const sharing of ["byTurns", "lastWriteWins"] as const) {
    it.effect(`revokes nothing if other processes use the same store ${sharing}`, () =>
      Effect.gen(function*() {
        const { close, provider, revoked } = yield* make({
          sharedStore: yield* TokenStore.makeMemory({ sharing: TokenStore[sharing] })
        })
        yield* provider.get()
        yield* close
        deepStrictEqual(revoked, [])
      }))
  }

  it.effect("revokes tokens that it keeps out of a shared store", () =>
    Effect.gen(function*() {
      const { close, provider, revoked } = yield* make({
        sharedStore: yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns }),
        shareTokens: false
      })
      yield* provider.get()
      yield* close
      deepStrictEqual(revoked, ["token-1"])
    }))

  it.effect("ends within two seconds, whatever the server does", () =>
    Effect.gen(function*() {
      const { bench, close, provider, revoked } = yield* make({}, () => Effect.uninterruptible(Effect.never))
      yield* provider.get()
      const fiber = yield* Effect.fork(close)
      yield* TestClock.adjust("1999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      deepStrictEqual(warnings(bench), ["Tokens were not revoked within 2s: they stay valid until they expire"])
      deepStrictEqual(revoked, [])
    }))

  it.effect("rule 9: a failure is logged without the secrets it may contain", () =>
    Effect.gen(function*() {
      const known = new OAuthError.TokenRevocationError({
        reason: "Transport",
        endpoint: "https://auth.test/revoke",
        description: "refused"
      })
      const { bench, close, provider } = yield* make(
        {},
        (token) => token === "token-1" ? Effect.die("s3cr3t") : Effect.fail(known)
      )
      yield* provider.get()
      yield* provider.get({ scope: "read" })
      yield* close
      deepStrictEqual(warnings(bench), [
        "Tokens that were not revoked: 2. They stay valid until they expire. Revocation endpoint https://auth.test/revoke: refused"
      ])
    }))

  it.effect("rule 1: a waiting caller fails with Closed, although its renewal has just ended without a token", () =>
    Effect.gen(function*() {
      const [origin, request] = ["https://bad.test", { scope: "read" }]
      for (const call of ["get", "renew"] as const) {
        // The other process has paused renewals for the origin
        const sharedStore = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
        const { close, provider } = yield* make({ sharedStore })
        const { provider: other } = yield* ProviderBench.make({ sharedStore })
        const first = yield* other.get(request, origin)
        yield* ProviderBench.settle
        yield* other.report(yield* other.renew(first, request, origin), "rejected", request, origin)
        yield* ProviderBench.settle
        const token = yield* provider.get(request, origin)
        yield* Effect.fork(Effect.zipRight(provider.renew(token, request, origin), close))
        const waiting = call === "get" ? provider.get(request, origin) : provider.renew(token, request, origin)
        const fiber = yield* Effect.fork(Effect.zipRight(Effect.yieldNow(), Effect.flip(waiting)))
        yield* ProviderBench.settle
        assert.strictEqual((yield* Fiber.join(fiber)).reason, "Closed", call)
      }
    }).pipe(Effect.scoped))
})
