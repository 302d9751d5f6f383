import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"
import * as KeyState from "../../src/provider/KeyState.js"
import * as OtherProcesses from "../../src/provider/OtherProcesses.js"
import * as AdoptionBench from "../support/AdoptionBench.js"
import { value } from "../support/ProviderBench.js"

describe("OtherProcesses", () => {
  it.effect("fleet rule 10: a change is read and adopted, unless this process is writing or a renewal looks itself", () =>
    Effect.gen(function*() {
      const { adoption, slot, slots, time, tokens } = yield* AdoptionBench.make()
      const notices = yield* Queue.unbounded<(key: string) => Effect.Effect<void>>()
      OtherProcesses.make({
        adoption,
        slots,
        fleet: { watch: (changed) => Queue.offer(notices, changed) },
        fork: Effect.runFork,
        now: () => time.now
      })
      const changed = yield* Queue.take(notices)
      adoption.take(slot, adoption.hold(AdoptionBench.token("old"), true))
      yield* tokens.write(slot.key, AdoptionBench.token("new"), Option.none())
      slot.apply(KeyState.writing)
      yield* changed(slot.key)
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "old")
      slot.apply(KeyState.written)
      yield* changed("another key")
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "old")
      yield* changed(slot.key)
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "new")
    }))
})
