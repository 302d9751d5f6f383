import { AccessToken, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Option, Redacted, TestClock } from "effect"
import * as HeldToken from "../../src/provider/HeldToken.js"
import * as KeyState from "../../src/provider/KeyState.js"
import * as TokenCache from "../../src/provider/TokenCache.js"
import * as Verdicts from "../../src/provider/Verdicts.js"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as FleetNotes from "../../src/store/FleetNotes.js"
import * as ProviderBench from "../ProviderBench.js"

const api = "https://api.example.com"
const other = "https://other.example.com"

const token = (name: string) =>
  AccessToken.make({ value: Redacted.make(name), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1 hour" })

const options = {
  refreshAhead: Duration.minutes(5),
  expiryLeeway: Duration.seconds(10),
  defaultLifetime: Duration.hours(1),
  jitter: 0,
  isOwn: true
}

const make = Effect.gen(function*() {
  const logs: Array<ProviderBench.Log> = []
  const later: Array<Effect.Effect<void>> = []
  const { endpoint } = yield* TestTokenEndpoint.make()
  const memory = { ...yield* TokenStore.makeMemory(), isShared: true }
  const store = yield* Effect.provideService(
    BoundedStore.make({ timeout: Duration.seconds(1) }),
    TokenStore.TokenStore,
    memory
  )
  const slots = TokenCache.make(endpoint, 10)
  const slot = slots.of(undefined)
  const held = HeldToken.make(token("a"), options)
  const clock = yield* Effect.clock
  const keep = (held: HeldToken.HeldToken) => {
    const taking = { isRejected: false, isShared: true, defaultLifetime: 3_600_000 }
    slot.apply(KeyState.obtained(held, taking, clock.unsafeCurrentTimeMillis()))
  }
  keep(held)
  const issue = (token: AccessToken.AccessToken) => keep(HeldToken.make(token, options))
  const notes = FleetNotes.make(store)
  const verdicts = Verdicts.make({
    store,
    notes,
    fork: (effect) => later.push(effect),
    now: () => clock.unsafeCurrentTimeMillis()
  })
  /** Runs what nobody waits for. */
  const run = Effect.suspend(() => Effect.all(later.splice(0), { discard: true })).pipe(ProviderBench.collectLogs(logs))
  const hold = Effect.map(notes.read(FleetNotes.holdKey(slot.request.key, api)), Option.isSome)
  return { held, hold, issue, logs, run, slot, verdicts }
})

describe.concurrent("Verdicts", () => {
  it.effect("rule 4: a rejected token is handed out with a further look only, until it is accepted everywhere", () =>
    Effect.gen(function*() {
      const { held, slot, verdicts } = yield* make
      const { refreshAt } = held
      assert.strictEqual(slot.state.quietUntil, refreshAt)
      verdicts.rejected(slot, held.token, api)
      verdicts.rejected(slot, held.token, other)
      assert.strictEqual(slot.state.quietUntil, -Infinity)
      verdicts.accepted(slot, held.token, api)
      assert.strictEqual(slot.state.quietUntil, -Infinity)
      verdicts.accepted(slot, held.token, other)
      assert.strictEqual(slot.state.quietUntil, refreshAt)
    }))

  it.effect("what is said of another token does not touch the one in use", () =>
    Effect.gen(function*() {
      const { held, slot, verdicts } = yield* make
      verdicts.rejected(slot, token("b"), api)
      assert.strictEqual(slot.state.quietUntil, held.refreshAt)
    }))

  it.effect("fleet rule 6: the fleet hears of a fruitless renewal, and of its end", () =>
    Effect.gen(function*() {
      const { held, hold, run, slot, verdicts } = yield* make
      verdicts.rejectedAgain(slot, held.token, api)
      yield* run
      assert.isTrue(yield* hold)
      assert.isFalse(slot.rejected?.mayRenew(api, 0))
      yield* TestClock.adjust("10 millis")
      verdicts.accepted(slot, held.token, api)
      yield* run
      assert.isFalse(yield* hold)
      assert.isTrue(slot.rejected?.mayRenew(api, 10))
    }))

  it.effect("fleet rule 6: a hold that has ended before the fleet has heard of it is over, also with an empty bucket", () =>
    Effect.gen(function*() {
      const { held, hold, run, slot, verdicts } = yield* make
      verdicts.rejectedAgain(slot, held.token, api)
      for (let n = 0; n < 6; n++) slot.rejected?.spend(api, 0)
      verdicts.accepted(slot, held.token, api)
      yield* run
      assert.isFalse(yield* hold)
      yield* TestClock.adjust("5 seconds")
      // The next of its kind is the first again
      const next = slot.rejected?.fruitless("next", api, 5_000)
      deepStrictEqual(next, FleetNotes.nthHold(1))
    }))

  it.effect("who takes a token is known while it is held and when it has just been replaced", () =>
    Effect.gen(function*() {
      const { held, issue, slot, verdicts } = yield* make
      for (const origin of [api, other, api]) verdicts.accepted(slot, held.token, origin)
      deepStrictEqual(slot.state.held?.acceptedBy, [api, other])
      issue(token("b"))
      verdicts.accepted(slot, token("a"), "https://late.example.com")
      deepStrictEqual(slot.state.replaced?.acceptedBy, [api, other, "https://late.example.com"])
      deepStrictEqual(slot.state.held?.acceptedBy, [])
    }))

  it.effect("with any number of origins, 64 of those that take a token are remembered at most", () =>
    Effect.gen(function*() {
      const { held, slot, verdicts } = yield* make
      for (let n = 0; n < 1_000; n++) {
        verdicts.accepted(slot, held.token, `https://${n}.example.com`)
        assert.isAtMost(slot.state.held?.acceptedBy.length ?? Infinity, 64)
      }
    }))

  it.effect("a token from before the one that was replaced is not sent again, and says nothing of the server", () =>
    Effect.gen(function*() {
      const { held, issue, slot, verdicts } = yield* make
      verdicts.accepted(slot, held.token, api)
      issue(token("b"))
      issue(token("c"))
      verdicts.rejected(slot, held.token, api)
      assert.isTrue(slot.rejected?.has(held.digest, api))
      assert.isUndefined(slot.habits)
      verdicts.rejected(slot, token("b"), api)
      assert.isDefined(slot.habits)
    }))

  it.effect("fleet rule 12: a habit of the server is said in one warning", () =>
    Effect.gen(function*() {
      const { issue, logs, run, slot, verdicts } = yield* make
      for (let n = 0; n < 20; n++) {
        yield* TestClock.adjust("1 second")
        const obtainedAt = yield* DateTime.now
        const young = AccessToken.make({ value: Redacted.make(`token-${n}`), obtainedAt, expiresIn: "1 hour" })
        issue(young)
        verdicts.accepted(slot, young, api)
        yield* TestClock.adjust("1 second")
        verdicts.rejected(slot, young, api)
      }
      yield* run
      deepStrictEqual(logs.map(({ level }) => level), ["Warning"])
      assert.match(logs[0].text, /^Tokens that worked are rejected long before their end: /)
    }))
})
