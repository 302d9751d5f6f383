import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"
import * as OtherProcesses from "../../src/provider/OtherProcesses.js"
import * as AdoptionBench from "../support/AdoptionBench.js"
import { value } from "../support/ProviderBench.js"

describe("OtherProcesses", () => {
  it.effect("fleet rule 10: a change is read and adopted, unless this process is writing or a renewal looks itself", () =>
    Effect.gen(function*() {
      const { adoption, slot, slots, time, tokens } = yield* AdoptionBench.make()
      const writing = new Set<string>()
      const notices = yield* Queue.unbounded<(key: string) => Effect.Effect<void>>()
      OtherProcesses.make({
        adoption,
        slots,
        fleet: { isWriting: (key) => writing.has(key), watch: (changed) => Queue.offer(notices, changed) },
        fork: Effect.runFork,
        now: () => time.now
      })
      const changed = yield* Queue.take(notices)
      adoption.take(slot, adoption.hold(AdoptionBench.token("old"), true))
      yield* tokens.write(slot.key, AdoptionBench.token("new"), Option.none())
      writing.add(slot.key)
      yield* changed(slot.key)
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "old")
      writing.delete(slot.key)
      yield* changed("another key")
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "old")
      yield* changed(slot.key)
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "new")
    }))
})
