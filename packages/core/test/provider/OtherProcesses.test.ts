import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"
import * as KeyState from "../../src/provider/KeyState.js"
import * as OriginVerdicts from "../../src/provider/OriginVerdicts.js"
import * as OtherProcesses from "../../src/provider/OtherProcesses.js"
import * as AdoptionBench from "../support/AdoptionBench.js"
import { value } from "../support/ProviderBench.js"

const api = "https://api.example.com"

describe("OtherProcesses", () => {
  it.effect("fleet rule 10: a change is read and adopted, unless this process is writing or a renewal looks itself", () =>
    Effect.gen(function*() {
      const { adoption, slot, slots, time, tokens } = yield* AdoptionBench.makeShared
      const writing = new Set<string>()
      const notices = yield* Queue.unbounded<(key: string) => Effect.Effect<void>>()
      const told = {
        isWriting: (key: string) => writing.has(key),
        tokens,
        watch: (changed: (key: string) => Effect.Effect<void>) => Queue.offer(notices, changed)
      }
      OtherProcesses.make(told)({
        adoption,
        slots,
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

  it.effect("fleet rule 2: if a write is refused, the winner's token is adopted", () =>
    Effect.gen(function*() {
      const { adoption, others, slot, tokens } = yield* AdoptionBench.makeShared
      assert.isTrue(yield* tokens.write(slot.key, AdoptionBench.token("first"), Option.none()))
      const own = adoption.hold(AdoptionBench.token("second"), true)
      adoption.take(slot, own)
      yield* others.overtaken(slot, own.token, "expiry")
      assert.strictEqual(slot.state.held && value(slot.state.held.token), "first")
      assert.strictEqual(slot.state.held?.isOwn, false)
    }))

  it.effect("a stored token that is not worth adopting is overwritten", () =>
    Effect.gen(function*() {
      const { adoption, others, slot, tokens } = yield* AdoptionBench.makeShared
      assert.isTrue(yield* tokens.write(slot.key, AdoptionBench.token("rejected"), Option.none()))
      slot.apply(KeyState.heard(OriginVerdicts.rejected("rejected", api, Infinity, 0)))
      const own = adoption.hold(AdoptionBench.token("good"), true)
      adoption.take(slot, own)
      yield* others.overtaken(slot, own.token, "expiry")
      assert.strictEqual(slot.state.held, own)
      const found = Option.flatMap(yield* tokens.read(slot.key), ({ token }) => token)
      assert.strictEqual(value(Option.getOrThrow(found)), "good")
    }))
})
