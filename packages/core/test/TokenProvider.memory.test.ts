import { TokenProvider, TokenRevocation, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, Scope, Stream, TestClock } from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value } from "./support/ProviderBench.js"

const api = "https://api.example.com"

/** Providers of one process over its memory, as in an app. */
const makeProcess = Effect.fnUntraced(function*(memory?: TokenStore.TokenStore["Type"]) {
  const store = memory ?? (yield* TokenStore.makeMemory())
  return (options: ProviderBench.Options = {}) => ProviderBench.make({ ...options, wrapStore: () => store })
})

const unusable = Effect.die("the memory of a process has a shorter way")

describe.concurrent("TokenProvider, the memory of its process", () => {
  it.scoped("rule 1: two providers ask once", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      const one = yield* makeProvider({ endpoint: { delay: "5 seconds" } })
      const two = yield* makeProvider()
      const tokens = yield* during("6 seconds")(
        Effect.all([one.provider.get(), two.provider.get()], { concurrency: "unbounded" })
      )
      deepStrictEqual(tokens.map(value), ["token-1", "token-1"])
      deepStrictEqual(yield* two.tokens.requests, [])
    }))

  it.scoped("rule 4: another provider's token is adopted before the endpoint is asked, unless it is the rejected one", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      const one = yield* makeProvider()
      const two = yield* makeProvider({ endpoint: { tokenPrefix: "other-" } })
      const first = yield* one.provider.get()
      assert.strictEqual(yield* two.provider.get(), first)
      const second = yield* one.provider.renew(first, undefined, api)
      assert.strictEqual(value(second), "token-2")
      assert.strictEqual(yield* two.provider.renew(first, undefined, api), second)
      deepStrictEqual(yield* two.tokens.requests, [])
      assert.strictEqual(value(yield* two.provider.renew(second, undefined, api)), "other-1")
    }))

  it.scoped("rule 1: after a failure the other provider has its turn", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      const one = yield* makeProvider({ endpoint: { delay: "1 second" } })
      const two = yield* makeProvider()
      yield* one.tokens.failNext(1, TestTokenEndpoint.invalidClient)
      const [failed, token] = yield* during("2 seconds")(
        Effect.all([Effect.exit(one.provider.get()), two.provider.get()], { concurrency: "unbounded" })
      )
      assert.isTrue(Exit.isFailure(failed))
      assert.strictEqual(value(token), "token-1")
    }))

  it.scoped("rule 1: a provider closed during its turn leaves it to the other", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      const scope = yield* Scope.make()
      const one = yield* Scope.extend(makeProvider({ endpoint: { delay: "5 seconds" } }), scope)
      const two = yield* makeProvider()
      yield* Effect.fork(Effect.exit(one.provider.get()))
      yield* settle
      const fiber = yield* Effect.fork(two.provider.get())
      yield* TestClock.adjust("1 second")
      deepStrictEqual(yield* two.tokens.requests, [])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* Fiber.join(fiber)), "token-1")
    }))

  it.scoped("a caller that waits for the other provider's turn gets an error about this wait after maxWait", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      const one = yield* makeProvider({ endpoint: { delay: "1 minute" } })
      const two = yield* makeProvider({ maxWait: "2 seconds" })
      yield* Effect.fork(Effect.exit(one.provider.get()))
      yield* settle
      const error = yield* during("2 seconds")(Effect.flip(two.provider.get()))
      assert.match(error.message, /^No token within 2s: another process is requesting a token from/)
    }))

  it.scoped("rule 8: an invalid token is not kept for the next renewal", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      let isBroken = true
      const { provider } = yield* makeProvider({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          attempt: (...args) =>
            Effect.map(endpoint.attempt(...args), (token) =>
              isBroken ? ({ ...token, value: "no secret" } as never) : token)
        })
      })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(provider.get())))
      isBroken = false
      assert.strictEqual(value(yield* provider.get()), "token-2")
    }))

  it.scoped("rule 2: a token issued during a change of certificate is not shared under the old key", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      let isCurrent = true
      const one = yield* makeProvider({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          isCurrent: () => isCurrent,
          attempt: (...args) =>
            Effect.tap(endpoint.attempt(...args), () => {
              isCurrent = false
            })
        })
      })
      yield* one.provider.get()
      const two = yield* makeProvider({ endpoint: { tokenPrefix: "other-" } })
      assert.strictEqual(value(yield* two.provider.get()), "other-1")
    }))

  it.scoped("beyond the capacity the token written first is dropped", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess(yield* TokenStore.makeMemory({ capacity: 2 }))
      const one = yield* makeProvider()
      for (const scope of ["a", "b", "c"]) yield* one.provider.get({ scope })
      const two = yield* makeProvider({ endpoint: { tokenPrefix: "other-" } })
      const tokens = yield* Effect.forEach(["c", "b", "a"], (scope) => two.provider.get({ scope }))
      deepStrictEqual(tokens.map(value), ["token-3", "token-2", "other-1"])
    }))

  it.scoped("a token revoked by a closing provider is not shared", () =>
    Effect.gen(function*() {
      const makeProvider = yield* makeProcess()
      const scope = yield* Scope.make()
      const one = yield* Scope.extend(makeProvider({ revocation: TokenRevocation.onClose(() => Effect.void) }), scope)
      yield* one.provider.get()
      yield* Scope.close(scope, Exit.void)
      const two = yield* makeProvider({ endpoint: { tokenPrefix: "other-" } })
      assert.strictEqual(value(yield* two.provider.get()), "other-1")
    }))

  it.scoped("the store is not called: there is nothing that could fail", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory()
      const makeProvider = yield* makeProcess({
        ...memory,
        get: () => unusable,
        set: () => unusable,
        remove: () => unusable,
        acquireLease: () => unusable,
        extendLease: () => unusable,
        releaseLease: () => unusable,
        changes: Stream.fromEffect(unusable)
      })
      const { logs, provider } = yield* makeProvider({ revocation: TokenRevocation.onClose(() => Effect.void) })
      const token = yield* provider.get()
      yield* provider.renew(token, undefined, api)
      assert.strictEqual((yield* TokenProvider.status(provider)).store, "working")
      deepStrictEqual(logs, [])
    }))
})
