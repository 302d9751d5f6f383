import { AccessToken } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, FastCheck as fc, Redacted } from "effect"
import { inspect } from "node:util"
import * as HeldToken from "../../src/provider/HeldToken.js"
import * as KeyState from "../../src/provider/KeyState.js"
import * as Secrets from "../support/Secrets.js"

const token = (value: string, expiresIn?: Duration.DurationInput, obtainedAt = 0) =>
  AccessToken.make({ value: Redacted.make(value), obtainedAt: DateTime.unsafeMake(obtainedAt), expiresIn })

const options = {
  refreshAhead: Duration.minutes(5),
  expiryLeeway: Duration.seconds(10),
  defaultLifetime: Duration.hours(1),
  jitter: 0
}

const hold = (token: AccessToken.AccessToken, isOwn = true) => HeldToken.make(token, { ...options, isOwn })

const taking = { isShared: true, defaultLifetime: 3_600_000 }

describe("HeldToken", () => {
  it.prop(
    "rule 12: it is handed out without a further look until the window of its renewal begins",
    [fc.integer({ min: 1, max: 1_000_000_000 }), fc.double({ min: 0, max: 1, noNaN: true })],
    ([lifetime, jitter]) => {
      const aToken = token("a", lifetime, 1000)
      const held = HeldToken.make(aToken, { ...options, jitter, isOwn: true })
      const { expiresAt, freshUntil, refreshAt } = held
      deepStrictEqual({ expiresAt, freshUntil, refreshAt }, AccessToken.windows(aToken, { ...options, jitter }))
      assert.isBelow(held.refreshAt, 1000 + lifetime)
      assert.strictEqual(KeyState.obtained(held, taking, 1000)(KeyState.initial).quietUntil, held.refreshAt)
    }
  )

  it("knows whether it was issued to this process", () => {
    assert.isTrue(hold(token("a"), true).isOwn)
    assert.isFalse(hold(token("a"), false).isOwn)
  })

  it("a token of this process stays its own when the store has it again", () => {
    const state = KeyState.obtained(hold(token("a", "1 hour"), true), taking, 0)(KeyState.initial)
    const stored = hold(token("a", "1 hour"), false)
    deepStrictEqual(KeyState.found(stored, taking, 0)(state).held, { ...stored, isOwn: true })
  })

  it("fleet rules 7 and 8: a token is due, then in its leeway, and over at its expiry, if it has one", () => {
    const { expiresAt, freshUntil, refreshAt } = hold(token("a", "100 seconds"))
    assert.isBelow(refreshAt, freshUntil)
    deepStrictEqual([freshUntil, expiresAt], [90_000, 100_000])
    const unknown = hold(token("a"))
    assert.isBelow(unknown.freshUntil, Number.MAX_SAFE_INTEGER)
    assert.isTrue(HeldToken.isAlive(unknown, Number.MAX_SAFE_INTEGER))
  })

  it("fleet rule 8: a token is alive until it really expires, whatever the leeway", () => {
    const held = hold(token("a", "100 seconds"))
    assert.isTrue(HeldToken.isAlive(held, 99_999))
    assert.isFalse(HeldToken.isAlive(held, 100_000))
    assert.isFalse(HeldToken.isAlive(undefined, 0))
  })

  it("fleet rule 8: a token of unknown lifetime is due after the default, and stays alive", () => {
    const held = hold(token("a"))
    assert.strictEqual(held.refreshAt, 55 * 60_000)
    assert.isTrue(HeldToken.isAlive(held, Number.MAX_SAFE_INTEGER))
  })

  it("fleet rule 1: the identity of a token is its value, not its times and not the object", () => {
    const aToken = token("a", "1 hour")
    const held = hold(aToken)
    assert.isTrue(HeldToken.is(held, aToken))
    assert.isTrue(HeldToken.is(held, token("a", "2 hours", 5000)))
    assert.isFalse(HeldToken.is(held, token("b", "1 hour")))
  })

  it("fleet rule 5: the same value has the same identity, and another value another", () => {
    const identity = HeldToken.identity(hold(token("a", "1 hour")))
    assert.strictEqual(identity, HeldToken.identity(hold(token("a", "2 hours", 5000), false)))
    assert.strictEqual(identity, HeldToken.identity(token("a")))
    assert.notStrictEqual(identity, HeldToken.identity(hold(token("b", "1 hour"))))
  })

  it("rule 9: printing it does not show the token", () => {
    assert.notInclude(inspect(hold(token("s3cr3t", "1 hour")), { depth: 9, showHidden: true, getters: true }), "s3cr3t")
  })

  it("the lifetime of a token runs from its request to its expiry; an unknown expiry is infinite", () => {
    deepStrictEqual(HeldToken.life(token("a", "10 seconds", 1000)), { obtainedAt: 1000, expiresAt: 11_000 })
    assert.strictEqual(HeldToken.life(token("a")).expiresAt, Infinity)
  })

  it("the redacted value and the source of a replaced token are kept", () => {
    const { value, ...rest } = HeldToken.replaced(hold(token("a", "1 hour")))
    assert.strictEqual(Redacted.value(value), "a")
    assert.notInclude(inspect(value), "\"a\"")
    deepStrictEqual(rest, { isOwn: true })
  })

  it("rule 9: printing a held or a replaced token does not show its value", () => {
    const held = hold(token("a-very-secret-token", "1 hour"))
    for (const value of [held, HeldToken.replaced(held)]) {
      deepStrictEqual(Secrets.leaks(value, ["a-very-secret-token"]), [])
      deepStrictEqual(Secrets.reaches(value, ["a-very-secret-token"]), [])
    }
  })
})
