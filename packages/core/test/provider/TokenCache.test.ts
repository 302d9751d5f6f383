import { AccessToken } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, FastCheck as fc, Redacted } from "effect"
import { constVoid } from "effect/Function"
import { fingerprint } from "../../src/disclosure/Fingerprint.js"
import * as HeldToken from "../../src/provider/HeldToken.js"
import * as KeyState from "../../src/provider/KeyState.js"
import * as TokenCache from "../../src/provider/TokenCache.js"
import { runs } from "../support/Runs.js"
import { storeKey } from "../support/StoreKey.js"
import * as TokenRequests from "../support/TokenRequests.js"

const origin = "https://api.example.com"
const scopes = ["a", "b", "c", "d", "e", "f", "g"]

const sharing = { keyOf: fingerprint, nameOf: (key: string) => `name of ${key}` }

const make = (capacity: number, defaults = {}) => {
  const requests = TokenRequests.make(defaults)
  return { requests, slots: TokenCache.make(requests, sharing, capacity) }
}

const flight = () =>
  KeyState.makeFlight("expiry", origin, { wait: () => Effect.never, nothingBefore: constVoid, tell: constVoid })

const aToken = HeldToken.make(
  AccessToken.make({ value: Redacted.make("token"), obtainedAt: DateTime.unsafeMake(0) }),
  {
    refreshAhead: Duration.minutes(5),
    expiryLeeway: Duration.seconds(10),
    defaultLifetime: Duration.hours(1),
    jitter: 0,
    isOwn: true
  }
)

describe("TokenCache", () => {
  it("rule 2: each token has one slot", () => {
    const { requests, slots } = make(10)
    const slot = slots.of({ scope: "read write" })
    assert.strictEqual(slots.of({ scope: ["write", "read"] }), slot)
    assert.notStrictEqual(slots.of({ scope: "read" }), slot)
    assert.notStrictEqual(slots.of({ scope: "read write", audience: "a" }), slot)
    deepStrictEqual(slot.request, requests.resolve({ scope: "read write" }))
  })

  it("rule 2: a request equal to the default has the default's slot", () => {
    const { slots } = make(1, { scope: "read" })
    const first = slots.of(undefined)
    assert.strictEqual(slots.of({}), first)
    assert.strictEqual(slots.of({ scope: "read" }), first)
    assert.notStrictEqual(slots.of({ scope: "write" }), first)
  })

  it("rule 12: the key of a request is computed once, also if the binding of tokens was changed back", () => {
    const requests = TokenRequests.make()
    let resolved = 0
    const slots = TokenCache.make(
      {
        ...requests,
        resolve: (request) => {
          resolved++
          return requests.resolve(request)
        }
      },
      sharing,
      10
    )
    for (const binding of ["a", "b", "a"]) {
      requests.bind(binding)
      slots.of({ scope: "read" })
      const before = resolved
      for (let n = 0; n < 10; n++) slots.of({ scope: "read" })
      assert.strictEqual(resolved, before, binding)
    }
  })

  it("a new slot is empty, and slots share nothing", () => {
    const { slots } = make(10)
    const slot = slots.of({ scope: "a" })
    const { habits, request, source, state } = slot
    deepStrictEqual(source, { scope: "a" })
    deepStrictEqual([state, habits], [KeyState.initial, undefined])
    assert.isTrue(TokenCache.sharesTokens(slot))
    const other = slots.of({ scope: "b" })
    assert.notStrictEqual(other.key, slot.key)
    assert.strictEqual(slot.key, storeKey(request))
    assert.strictEqual(slot.name, `name of ${slot.key}`)
    slot.apply(KeyState.busyElsewhere(1, 0))
    assert.strictEqual(other.state, KeyState.initial)
  })

  it("a key is found while it is in use, and finding it does not count as a use", () => {
    const { requests, slots } = make(2)
    const key = (scope: string) => storeKey(requests.resolve({ scope }))
    assert.strictEqual(slots.find(storeKey(requests.resolve())), slots.of(undefined))
    assert.isUndefined(slots.find(key("a")))
    const a = slots.of({ scope: "a" })
    slots.of({ scope: "b" })
    assert.strictEqual(slots.find(key("a")), a)
    assert.strictEqual(slots.peek({ scope: "a" }), a)
    slots.of({ scope: "c" })
    assert.isUndefined(slots.find(key("a")))
    assert.isUndefined(slots.peek({ scope: "a" }))
    assert.isDefined(slots.find(key("b")))
  })

  it("the default slot is never dropped and takes no capacity", () => {
    const { requests, slots } = make(2)
    const first = slots.of(undefined)
    const a = slots.of({ scope: "a" })
    slots.of({ scope: "b" })
    slots.of(undefined)
    assert.strictEqual(slots.of({ scope: "a" }), a)
    for (let n = 0; n < 10; n++) slots.of({ scope: `${n}` })
    assert.strictEqual(slots.of(undefined), first)
    assert.strictEqual(slots.find(storeKey(requests.resolve())), first)
  })

  it("rule 1: a slot with a flight is not dropped until the flight has ended", () => {
    const { requests, slots } = make(2)
    const inUse = () => scopes.filter((scope) => slots.find(storeKey(requests.resolve({ scope }))) !== undefined)
    const flying = scopes.slice(0, 3).map((scope) => slots.of({ scope }))
    deepStrictEqual(inUse(), ["b", "c"])
    const aFlight = flight()
    for (const slot of flying) slot.apply(KeyState.started(aFlight, 1000, 0))
    slots.of({ scope: "d" })
    slots.of({ scope: "e" })
    deepStrictEqual(inUse(), ["b", "c", "e"])
    assert.strictEqual(slots.of({ scope: "b" }), flying[1])
    for (const slot of flying) slot.apply(KeyState.ended(aFlight))
    slots.of({ scope: "d" })
    deepStrictEqual(inUse(), ["b", "d"])
  })

  it("close drops the default token and every other key", () => {
    const { requests, slots } = make(2)
    const first = slots.of(undefined)
    first.apply(KeyState.obtained(aToken, { isShared: true, defaultLifetime: 3_600_000 }, 0))
    assert.isDefined(first.state.held)
    const a = slots.of({ scope: "a" })
    assert.isFalse(slots.isClosed())
    slots.close()
    assert.isTrue(slots.isClosed())
    assert.isUndefined(slots.find(storeKey(requests.resolve({ scope: "a" }))))
    assert.notStrictEqual(slots.of({ scope: "a" }), a)
    assert.strictEqual(slots.of(undefined), first)
    assert.isUndefined(first.state.held)
    assert.strictEqual(first.state.quietUntil, -Infinity)
  })

  it.prop(
    "the slots used last are kept, those with a flight as well, and no more than the capacity beside these",
    [
      fc.integer({ min: 1, max: 5 }),
      fc.array(
        fc.record({ scope: fc.constantFrom(...scopes), takesOff: fc.boolean() }),
        { maxLength: 30, size: "max" }
      )
    ],
    ([capacity, uses]) => {
      const { requests, slots } = make(capacity)
      const keys = scopes.map((scope) => [scope, storeKey(requests.resolve({ scope }))] as const)
      const aFlight = flight()
      // The same as one would write it down: in the order of their last use
      let expected: ReadonlyArray<{ readonly scope: string; readonly slot: TokenCache.Slot }> = []
      for (const { scope, takesOff } of uses) {
        const slot = slots.of({ scope })
        const known = expected.find((other) => other.scope === scope)
        if (known !== undefined) assert.strictEqual(slot, known.slot)
        else {
          let surplus = expected.length - (capacity - 1)
          expected = expected.filter(({ slot }) => KeyState.flightOf(slot.state) !== undefined || surplus-- <= 0)
        }
        expected = [...expected.filter((other) => other.scope !== scope), { scope, slot }]
        slot.apply(takesOff ? KeyState.started(aFlight, 1000, 0) : KeyState.ended(aFlight))
        for (const [other, key] of keys) {
          assert.strictEqual(slots.find(key), expected.find(({ scope }) => scope === other)?.slot)
        }
      }
    },
    runs(100)
  )
})
