import type { AccessToken } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Option, TestClock } from "effect"
import { inspect } from "node:util"
import * as ProviderBench from "./support/ProviderBench.js"
import { during, settle, value, warnings } from "./support/ProviderBench.js"

const a = "https://a.test"
const b = "https://b.test"

/**
 * One request to a resource, as `AuthedHttpClient` makes it: with one replay on
 * a 401. Returns the token that was sent last, and whether it was accepted.
 */
const call = Effect.fnUntraced(function*(
  { provider }: ProviderBench.Bench,
  origin: string,
  accepts: (token: string) => boolean
) {
  const token = yield* provider.get(undefined, origin)
  if (accepts(value(token))) return { token, accepted: true }
  const renewed = yield* provider.renew(token, undefined, origin)
  if (renewed === token) return { token, accepted: false }
  const accepted = accepts(value(renewed))
  yield* provider.report(renewed, accepted ? "accepted" : "rejected", undefined, origin)
  return { token: renewed, accepted }
})

describe.concurrent("TokenProvider, a 401", () => {
  it.scoped("rule 4: 200 rejections at once cost one token request", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const token = yield* during("1 second")(provider.get())
      const renewed = yield* Effect.all(Array.from({ length: 200 }, () => provider.renew(token)), {
        concurrency: "unbounded"
      }).pipe(during("1 second"))
      deepStrictEqual(new Set(renewed.map(value)), new Set(["token-2"]))
      assert.lengthOf(yield* tokens.requests, 2)
    }))

  it.scoped("rule 4: after a late 401 for an older token the one in memory is used, without a request", () =>
    Effect.gen(function*() {
      const { provider, store, tokens } = yield* ProviderBench.make()
      const old = yield* provider.get()
      const current = yield* provider.renew(old)
      yield* provider.report(current, "accepted")
      yield* settle
      yield* store.resetRecords
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* provider.renew(old), current)
      assert.lengthOf(yield* tokens.requests, 2)
      deepStrictEqual(yield* store.calls, [])
    }))

  it.scoped("rule 8: a caller whose new token was rejected while it waited does not get the expired one", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "10 seconds" } })
      const old = yield* provider.get(undefined, a)
      yield* TestClock.adjust("6 seconds")
      yield* tokens.setDelay("4 seconds")
      yield* Effect.fork(Effect.flatMap(
        provider.renew(old, undefined, a),
        (renewed) => provider.report(renewed, "rejected", undefined, a)
      ))
      yield* settle
      const waiting = yield* Effect.fork(provider.get(undefined, a))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(value(yield* Fiber.join(waiting)), "token-2")
    }))

  it.scoped("rule 4: a token that another process stored is adopted before the endpoint is asked", () =>
    Effect.gen(function*() {
      const one = yield* ProviderBench.make()
      const two = yield* ProviderBench.make({ sharedStore: one.store.backing, endpoint: { tokenPrefix: "two-" } })
      const first = yield* one.provider.get()
      yield* settle
      assert.strictEqual(value(yield* two.provider.get()), "token-1")
      const renewed = yield* two.provider.renew(first)
      assert.strictEqual(value(renewed), "two-1")
      yield* settle
      assert.strictEqual(value(yield* one.provider.renew(first)), "two-1")
      assert.lengthOf(yield* one.tokens.requests, 1)
      assert.lengthOf(yield* two.tokens.requests, 1)
    }))

  it.scoped("rule 4: a rejected token is never adopted from the store", () =>
    Effect.gen(function*() {
      const { provider, store, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "100 seconds" } })
      const first = yield* provider.get(undefined, a)
      yield* settle
      yield* store.fail("read only", "set")
      assert.strictEqual(value(yield* provider.renew(first, undefined, a)), "token-2")
      yield* settle
      assert.lengthOf((yield* store.entries).size === 1 ? [1] : [], 1)
      yield* TestClock.adjust("10 seconds")
      // The store still has the first
      assert.strictEqual(value(yield* provider.renew(yield* provider.get(undefined, a), undefined, a)), "token-3")
      // Not for another origin either: one origin rejected it
      yield* TestClock.adjust("80 seconds")
      assert.strictEqual(value(yield* provider.get(undefined, b)), "token-3")
      yield* settle
      assert.strictEqual(value(yield* provider.get(undefined, b)), "token-4")
      assert.lengthOf(yield* tokens.requests, 4)
    }))

  it.scoped("rule 4: during the renewal the token serves the origins that accept it", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const token = yield* during("1 second")(provider.get(undefined, a))
      const renewal = yield* Effect.fork(provider.renew(token, undefined, a))
      yield* settle
      assert.strictEqual(yield* provider.get(undefined, b), token)
      // Callers of the origin that rejected it wait for the renewal in progress
      const waiting = yield* Effect.fork(provider.get(undefined, a))
      yield* settle
      assert.isNull(waiting.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* Fiber.join(renewal)), "token-2")
      assert.strictEqual(value(yield* Fiber.join(waiting)), "token-2")
      assert.strictEqual(value(yield* provider.get(undefined, b)), "token-2")
      assert.lengthOf(yield* tokens.requests, 2)
    }))

  it.scoped("rule 4: while there is no other, every origin gets the token, also one that rejected it", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      const token = yield* provider.get(undefined, a)
      yield* tokens.failNext(1000, TestTokenEndpoint.invalidClient)
      const error = yield* Effect.flip(provider.renew(token, undefined, a))
      assert.strictEqual(error.message, TestTokenEndpoint.invalidClient.message)
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(yield* provider.get(undefined, b), token)
        assert.strictEqual(yield* provider.get(undefined, a), token)
        assert.strictEqual((yield* Effect.flip(provider.renew(token, undefined, a))).message, error.message)
        yield* TestClock.adjust("400 millis")
      }
      assert.lengthOf(yield* tokens.requests, 2)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Effect.flip(provider.get(undefined, a))).message, error.message)
    }))

  it.scoped("rule 4: a rejected token that is used as there is no other counts as stale", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      const token = yield* provider.get(undefined, a)
      yield* tokens.failNext(1000)
      yield* Effect.flip(ProviderBench.during("1 minute")(provider.renew(token, undefined, a)))
      yield* TestClock.adjust("1 minute")
      const uses: Array<string> = []
      const again = provider.get(undefined, a, (use) => uses.push(use))
      assert.strictEqual(yield* ProviderBench.during("1 minute")(again), token)
      deepStrictEqual(uses, ["awaited", "stale"])
    }))

  it.scoped("fleet rule 5: if the endpoint returns the same token, this origin's callers get the 401, others their token", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { lifetime: "1 hour" } })
      const { provider, requestTimes, tokens } = bench
      yield* tokens.returnSameToken(true)
      const token = yield* provider.get(undefined, a)
      assert.strictEqual(yield* provider.renew(token, undefined, a), token)
      const asked: Array<number> = []
      for (let second = 0; second < 64; second++) {
        yield* TestClock.adjust("1 second")
        assert.strictEqual(value(yield* provider.get(undefined, b)), "token-1")
        const before = (yield* requestTimes).length
        assert.strictEqual(value(yield* provider.renew(token, undefined, a)), "token-1")
        if ((yield* requestTimes).length > before) asked.push(second + 1)
      }
      // The first request is at 0; paused for 1, 2, 4, 8, 16, 32 and then 60 seconds
      deepStrictEqual(asked, [1, 3, 7, 15, 31, 63])
    }))

  it.scoped("fleet rule 6: an origin that always rejects the same token is paused for a minute at most", () =>
    Effect.gen(function*() {
      const { provider, requestTimes, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "1 day" } })
      yield* tokens.returnSameToken(true)
      const token = yield* provider.get(undefined, a)
      for (let seconds = 0; seconds < 480; seconds += 30) {
        yield* provider.renew(token, undefined, a)
        yield* TestClock.adjust("30 seconds")
      }
      const times = yield* requestTimes
      const gaps = times.slice(2).map((time, index) => time - times[index + 1])
      deepStrictEqual(gaps.slice(-5), [60, 60, 60, 60, 60])
    }))

  it.scoped("fleet rule 6: a rejected replay pauses the origin, twice as long for each further token", () =>
    Effect.gen(function*() {
      const { provider, requestTimes } = yield* ProviderBench.make()
      let token = yield* provider.get(undefined, a)
      for (const [at, pause] of [[0, 1], [1, 2], [3, 4], [7, 8]] as const) {
        assert.strictEqual(yield* TestClock.currentTimeMillis, at * 1000)
        const next = yield* provider.renew(token, undefined, a)
        assert.notStrictEqual(next, token)
        // Any number of replays are rejected
        for (let i = 0; i < 5; i++) yield* provider.report(next, "rejected", undefined, a)
        yield* TestClock.adjust(pause * 1000 - 1)
        assert.strictEqual(yield* provider.renew(next, undefined, a), next)
        yield* TestClock.adjust(1)
        token = next
      }
      deepStrictEqual(yield* requestTimes, [0, 0, 1, 3, 7])
    }))

  it.scoped("fleet rule 6: a successful replay ends the pause and the doubling", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      let token: AccessToken.AccessToken = yield* provider.get(undefined, a)
      for (const seconds of [1, 2, 4]) {
        token = yield* provider.renew(token, undefined, a)
        yield* provider.report(token, "rejected", undefined, a)
        yield* TestClock.adjust(seconds * 1000)
      }
      token = yield* provider.renew(token, undefined, a)
      yield* provider.report(token, "accepted", undefined, a)
      assert.strictEqual(provider.peek(undefined, a), token)
      const requests = (yield* tokens.requests).length
      const next = yield* provider.renew(token, undefined, a)
      yield* provider.report(next, "rejected", undefined, a)
      assert.lengthOf(yield* tokens.requests, requests + 1)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* provider.renew(next, undefined, a), next)
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* provider.renew(next, undefined, a), next)
    }))

  it.scoped("fleet rule 5: any response but 401 clears the mark, and the token is served again", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      yield* tokens.returnSameToken(true)
      const token = yield* provider.get(undefined, a)
      assert.strictEqual(yield* provider.renew(token, undefined, a), token)
      assert.isUndefined(provider.peek(undefined, a))
      yield* provider.report(token, "accepted", undefined, a)
      assert.strictEqual(value(provider.peek(undefined, a)!), "token-1")
      yield* provider.get(undefined, a)
      assert.lengthOf(yield* tokens.requests, 2)
    }))

  it.scoped("fleet rule 5: a token that two origins reject is marked until both accept it", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      yield* tokens.returnSameToken(true)
      const token = yield* provider.get(undefined, a)
      yield* provider.renew(token, undefined, a)
      yield* provider.renew(token, undefined, b)
      yield* provider.report(token, "accepted", undefined, a)
      assert.isUndefined(provider.peek(undefined, a))
      yield* provider.report(token, "accepted", undefined, b)
      assert.isDefined(provider.peek(undefined, a))
    }))

  it.scoped("fleet rule 6: 401s of one origin cost at most 6 token requests at once, and one more every 5 seconds", () =>
    Effect.gen(function*() {
      const { provider, requestTimes } = yield* ProviderBench.make()
      let token = yield* provider.get(undefined, a)
      // Nobody reports on the tokens: only the bucket bounds this
      for (let i = 0; i < 40; i++) {
        token = yield* provider.renew(token, undefined, a)
        yield* TestClock.adjust("500 millis")
      }
      deepStrictEqual(yield* requestTimes, [0, 0, 0.5, 1, 1.5, 2, 2.5, 5, 10, 15])
      assert.strictEqual(value(yield* provider.renew(token, undefined, b)), "token-11")
    }))

  it.scoped("rule 4: the last allowed renewal serves all callers whose token was rejected, also those that arrive during it", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      let token = yield* provider.get(undefined, a)
      for (let i = 0; i < 5; i++) {
        token = yield* provider.renew(token, undefined, a)
        yield* provider.report(token, "accepted", undefined, a)
      }
      yield* tokens.setDelay("1 second")
      const renewals = [yield* Effect.fork(provider.renew(token, undefined, a))]
      yield* TestClock.adjust("500 millis")
      renewals.push(
        yield* Effect.fork(provider.renew(token, undefined, a)),
        yield* Effect.fork(provider.get(undefined, a))
      )
      yield* TestClock.adjust("500 millis")
      deepStrictEqual((yield* Fiber.join(Fiber.all(renewals))).map(value), ["token-7", "token-7", "token-7"])
      assert.lengthOf(yield* tokens.requests, 7)
    }))

  it.scoped("rule 5: a resource that rejects every new token costs one token request per pause", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      for (let i = 0; i < 40; i++) {
        const { accepted } = yield* call(bench, a, () => false)
        assert.isFalse(accepted)
        yield* TestClock.adjust("1 second")
      }
      // The first token and its replacement, then one after each pause of 1, 2, 4, 8 and 16 seconds
      deepStrictEqual(yield* bench.requestTimes, [0, 0, 1, 3, 7, 15, 31])
    }))

  it.scoped("fleet rule 6: failed renewals do not lengthen a pause: after an outage the endpoint is asked soon", () =>
    Effect.gen(function*() {
      let isDown = false
      const bench = yield* ProviderBench.make({
        wrapEndpoint: (endpoint) => ({
          ...endpoint,
          attempt: (request) => isDown ? Effect.fail(TestTokenEndpoint.unavailable) : endpoint.attempt(request)
        })
      })
      assert.isFalse((yield* call(bench, a, (token) => token === "token-3")).accepted)
      isDown = true
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.exit(call(bench, a, () => false))
      }
      isDown = false
      // The bucket allows one every 5 seconds
      yield* TestClock.adjust("5 seconds")
      assert.isTrue((yield* call(bench, a, (token) => token === "token-3")).accepted)
    }))

  it.scoped("rule 5: ten concurrent callers of a resource that rejects every token cost no more", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({ endpoint: { delay: "100 millis" } })
      for (let i = 0; i < 16; i++) {
        const calls = yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.fork(call(bench, a, () => false)))
        yield* TestClock.adjust("1 second")
        yield* Effect.forEach(calls, Fiber.join)
      }
      assert.isAtMost((yield* bench.requestTimes).length, 7)
    }))

  it.scoped("rule 5: a resource that rejects every token does not stop renewals for another with the same key", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      let valid = 1
      const accepts = (token: string) => Number(token.slice("token-".length)) >= valid
      for (let i = 0; i < 10; i++) {
        assert.isFalse((yield* call(bench, a, () => false)).accepted)
        assert.isTrue((yield* call(bench, b, accepts)).accepted)
        yield* TestClock.adjust("1 second")
      }
      // Every token so far is revoked during the pause
      valid = (yield* bench.tokens.issued).length + 1
      assert.isTrue((yield* call(bench, b, accepts)).accepted)
      for (let i = 0; i < 10; i++) {
        assert.isTrue((yield* call(bench, b, accepts)).accepted)
        assert.isFalse((yield* call(bench, a, () => false)).accepted)
        yield* TestClock.adjust("1 second")
      }
      assert.isAtMost((yield* bench.requestTimes).length, 10)
    }))

  it.scoped("fleet rule 6: neither pause nor bucket delays a renewal due to expiry", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make({
        endpoint: { lifetime: "10 seconds" },
        refreshAhead: 0,
        expiryLeeway: 0
      })
      const { provider, tokens } = bench
      let token = yield* provider.get(undefined, a)
      for (let i = 0; i < 8; i++) token = yield* provider.renew(token, undefined, a)
      yield* provider.report(token, "rejected", undefined, a)
      assert.strictEqual(yield* provider.get(undefined, a), token)
      const issued = (yield* tokens.issued).length
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(value(yield* provider.get(undefined, a)), `token-${issued + 1}`)
    }))

  it.scoped("fleet rule 6: a pause does not delay a renewal after the 401 of an expired token", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make()
      const first = yield* provider.get(undefined, a)
      yield* tokens.respondNext({ lifetime: "500 millis" })
      const second = yield* provider.renew(first, undefined, a)
      yield* provider.report(second, "rejected", undefined, a)
      yield* TestClock.adjust("499 millis")
      assert.strictEqual(yield* provider.renew(second, undefined, a), second)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(value(yield* provider.renew(second, undefined, a)), "token-3")
    }))

  it.scoped("rule 4: a token that was adopted and rejected does not count as a fruitless renewal", () =>
    Effect.gen(function*() {
      const one = yield* ProviderBench.make({ endpoint: { tokenPrefix: "one-" } })
      const two = yield* ProviderBench.make({ sharedStore: one.store.backing, endpoint: { tokenPrefix: "two-" } })
      const first = yield* one.provider.get()
      yield* settle
      yield* two.provider.get()
      const second = yield* one.provider.renew(first)
      yield* settle
      // The second adopts the token of the first, and the resource rejects it
      assert.strictEqual(value(yield* two.provider.renew(first)), value(second))
      yield* two.provider.report(second, "rejected")
      assert.strictEqual(value(yield* two.provider.renew(second)), "two-1")
    }))

  it.scoped("rule 4: a rejected token that is unknown, as from before a restart, is renewed once", () =>
    Effect.gen(function*() {
      const other = yield* ProviderBench.make()
      const stranger = yield* other.provider.get()
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { tokenPrefix: "mine-" } })
      assert.strictEqual(value(yield* provider.renew(stranger)), "mine-1")
      assert.strictEqual(value(yield* provider.renew(stranger)), "mine-1")
      assert.lengthOf(yield* tokens.requests, 1)
    }))

  it.scoped("rule 4: a rejected replay marks its token: after the pause the next caller gets another", () =>
    Effect.gen(function*() {
      const { provider } = yield* ProviderBench.make()
      const second = yield* provider.renew(yield* provider.get(undefined, a), undefined, a)
      yield* provider.report(second, "rejected", undefined, a)
      assert.isUndefined(provider.peek(undefined, a))
      assert.strictEqual(yield* provider.get(undefined, a), second)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* provider.get(undefined, a)), "token-3")
    }))

  it.scoped("rule 4: if the endpoint hangs, renew waits no longer than maxWait", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ maxWait: "3 seconds" })
      const token = yield* provider.get()
      yield* tokens.hang(true)
      const waiting = yield* Effect.fork(Effect.flip(provider.renew(token)))
      yield* TestClock.adjust("3 seconds")
      assert.isNotNull(waiting.unsafePoll())
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error._tag === "TokenProviderError" && error.reason, "MaxWait")
    }))

  it.scoped("rule 4: if the caller of renew is interrupted, the renewal continues", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { delay: "1 second" } })
      const token = yield* during("1 second")(provider.get())
      const renewal = yield* Effect.fork(provider.renew(token))
      yield* settle
      yield* Fiber.interrupt(renewal)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(provider.peek()!), "token-2")
      assert.lengthOf(yield* tokens.requests, 2)
    }))

  it.scoped("fleet rule 8: a rejected token of unknown lifetime is renewed, and serves other origins if that fails", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ endpoint: { lifetime: "none" } })
      const token = yield* provider.get(undefined, a)
      deepStrictEqual(token.expiresAt, Option.none())
      yield* tokens.failNext(1)
      yield* Effect.flip(provider.renew(token, undefined, a))
      assert.strictEqual(yield* provider.get(undefined, b), token)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* provider.get(undefined, a)), "token-2")
    }))

  it.scoped("rule 9: no text of the provider, its exits and its tokens contains a token", () =>
    Effect.gen(function*() {
      const { provider, tokens } = yield* ProviderBench.make({ maxWait: "1 second" })
      const token = yield* provider.get()
      const renewed = yield* Effect.exit(provider.renew(token))
      yield* tokens.failNext(1)
      const failed = yield* Effect.exit(provider.get({ scope: "a" }))
      yield* tokens.hang(true)
      const late = yield* during("1 second")(Effect.exit(provider.get({ scope: "b" })))
      deepStrictEqual([renewed, failed, late].map(({ _tag }) => _tag), ["Success", "Failure", "Failure"])
      for (const shown of [provider, token, renewed, failed, late]) {
        for (const text of [inspect(shown, { depth: null, showHidden: true }), JSON.stringify(shown), String(shown)]) {
          assert.notInclude(text, "token-")
        }
      }
    }))

  it.scoped("rule 9: no log of a rejection contains the token", () =>
    Effect.gen(function*() {
      const bench = yield* ProviderBench.make()
      for (let i = 0; i < 10; i++) {
        yield* call(bench, a, () => false)
        yield* TestClock.adjust("1 second")
      }
      deepStrictEqual(warnings(bench), [])
      assert.notInclude(JSON.stringify(bench.logs), "token-")
    }))
})
