import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as KeyState from "../../src/provider/KeyState.js"
import * as OriginVerdicts from "../../src/provider/OriginVerdicts.js"
import * as Sharing from "../../src/store/Sharing.js"
import { make, token } from "../support/AdoptionBench.js"

const api = "https://api.example.com"

describe("Adoption", () => {
  it("adopts a stored token while it is fresh; for a background renewal, only before it is due", () => {
    const { adoption, slot, time } = make()
    for (
      const [now, background, expiry] of [[0, true, true], [799_999, true, true], [800_000, false, true], [
        899_999,
        false,
        true
      ], [900_000, false, false]] as const
    ) {
      time.now = now
      assert.strictEqual(adoption.isAdoptable(slot, token("a"), "background"), background, `${now} background`)
      assert.strictEqual(adoption.isAdoptable(slot, token("a"), "expiry"), expiry, `${now} expiry`)
    }
  })

  it("fleet rule 5: does not adopt a rejected token, nor one that was replaced here", () => {
    const { adoption, slot } = make()
    adoption.take(slot, adoption.hold(token("a"), true))
    adoption.take(slot, adoption.hold(token("b"), true))
    assert.isFalse(adoption.isAdoptable(slot, token("a"), "expiry"))
    assert.isTrue(adoption.isAdoptable(slot, token("c"), "expiry"))
    slot.apply(KeyState.heard(OriginVerdicts.rejected("c", api, Infinity, 0)))
    assert.isFalse(adoption.isAdoptable(slot, token("c"), "expiry"))
  })

  it("fleet rule 9: a success ends a cool-down at once", () => {
    const { adoption, slot } = make()
    for (const failure of [TestTokenEndpoint.unavailable, TestTokenEndpoint.invalidClient]) {
      slot.apply(KeyState.failedWaiting({ error: failure, reason: "expiry", at: 0, cooldown: 1000 }, 0))
      assert.strictEqual(KeyState.answering(slot.state, 0), failure)
      adoption.take(slot, adoption.hold(token("a"), true))
      assert.isUndefined(KeyState.answering(slot.state, 0))
    }
  })

  it("keeps nothing of a replaced token if no other process writes to the store", () => {
    for (const isShared of [true, false]) {
      const { adoption, slot } = make({ ...Sharing.none, isShared })
      adoption.take(slot, adoption.hold(token("a"), true))
      adoption.take(slot, adoption.hold(token("b"), true))
      assert.strictEqual(slot.state.replaced !== undefined, isShared)
    }
  })

  it("the same token from another source keeps its origin and its acceptances", () => {
    const { acceptances, adoption, slot } = make()
    const own = adoption.hold(token("a"), true)
    adoption.take(slot, own)
    acceptances.accepted(own.token, api)
    const again = token("a")
    adoption.take(slot, adoption.hold(again, false))
    const { held } = slot.state
    assert.strictEqual(held?.token, again)
    assert.isTrue(held?.isOwn)
    assert.isTrue(acceptances.works(again, api))
    assert.isUndefined(slot.state.replaced)
  })

  it("a token of a renewal ends a failure; a closed provider does not keep it", () => {
    const { adoption, slot, slots } = make()
    const failing = { error: TestTokenEndpoint.unavailable, reason: "background", at: 0, cooldown: 1000 } as const
    slot.apply(KeyState.failed(failing, 0))
    adoption.take(slot, adoption.hold(token("a"), true))
    deepStrictEqual(slot.state.renewal, { _tag: "Idle", notBefore: 0 })
    assert.isDefined(slot.state.held)
    slots.close()
    adoption.take(slot, adoption.hold(token("b"), true))
    assert.isUndefined(slot.state.held)
  })
})
