import { TestTokenStore } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, FastCheck as fc, Option, TestClock } from "effect"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as FleetNotes from "../../src/store/FleetNotes.js"
import * as ProviderBench from "../support/ProviderBench.js"
import { runs } from "../support/Runs.js"

const key = "key"
const memory = 2 * 60_000

/** The notes of one process over a store, and the same store as others see it. */
const make = Effect.gen(function*() {
  const { control, store } = yield* TestTokenStore.makeMemory
  const logs: Array<ProviderBench.Log> = []
  const join = Effect.map(
    BoundedStore.make(store, { timeout: Duration.seconds(1) }),
    FleetNotes.make
  )
  return {
    control,
    logs,
    notes: yield* join,
    /** Another process of the fleet. */
    join,
    logged: ProviderBench.collectLogs(logs),
    entry: Effect.map(control.entries, (entries) => entries.get(key))
  }
})

/** What is read, but for the version, which is random. */
const noteOf = (found: Option.Option<FleetNotes.Found>) =>
  Option.getOrUndefined(Option.map(found, ({ count, remaining }) => ({ count, remaining })))

const versionOf = Option.map(({ version }: FleetNotes.Found) => version)

describe.concurrent("FleetNotes", () => {
  it("a pace belongs to a key, a pause to a key and an origin, and their entries are not the token's", () => {
    const origins = ["https://a.example.com", "https://b.example.com"]
    const keys = ["k", "l"].flatMap((key) => [
      key,
      FleetNotes.paceKey(key),
      ...origins.map((origin) => FleetNotes.pauseKey(key, origin))
    ])
    assert.strictEqual(new Set(keys).size, keys.length)
  })

  it("the key of a pause does not show the origin, and has one length", () => {
    const pause = FleetNotes.pauseKey("k", "https://internal.example.com")
    assert.notInclude(pause, "internal")
    assert.strictEqual(FleetNotes.pauseKey("k", "https://x".padEnd(5000, "x")).length, pause.length)
  })

  it.effect("none: nothing is found, and a pause is as this process counts it", () =>
    Effect.gen(function*() {
      const pause = FleetNotes.nthPause(3)
      yield* FleetNotes.none.write(key, pause, Option.none())
      deepStrictEqual(yield* FleetNotes.none.read(key), Option.none())
      deepStrictEqual(yield* FleetNotes.none.countPause(key, pause), pause)
      yield* FleetNotes.none.forget(key)
      yield* FleetNotes.none.remove(key, "v")
    }))

  it.effect("fleet rule 1: a note ends by the store's clock, and its count outlasts it by two minutes", () =>
    Effect.gen(function*() {
      const { join, notes } = yield* make
      deepStrictEqual(yield* notes.read(key), Option.none())
      yield* notes.write(key, { count: 3, remaining: 5000 }, Option.none())
      const other = yield* join
      for (
        const [pause, remaining] of [[0, 5000], [4999, 1], [1, 0], [memory - 1, 1 - memory]] as const
      ) {
        yield* TestClock.adjust(pause)
        deepStrictEqual(noteOf(yield* other.read(key)), { count: 3, remaining })
      }
      yield* TestClock.adjust(1)
      deepStrictEqual(yield* other.read(key), Option.none())
    }))

  it.effect("fleet rule 1: a note contains no time of the writer's clock", () =>
    Effect.gen(function*() {
      const { entry, notes } = yield* make
      yield* TestClock.setTime(1_700_000_000_000)
      yield* notes.write(key, { count: 1, remaining: 1000 }, Option.none())
      deepStrictEqual(yield* Effect.map(entry, (entry) => JSON.parse(entry!.payload)), { v: 1, count: 1, memory })
      deepStrictEqual((yield* entry)?.timeToLive, Duration.millis(1000 + memory))
    }))

  it.effect("fleet rule 1: the writer decides how long a count is kept: another version may keep it longer", () =>
    Effect.gen(function*() {
      const { control, notes } = yield* make
      yield* control.backing.set(key, {
        version: "v",
        payload: JSON.stringify({ v: 1, count: 2, memory: 50 }),
        timeToLive: Duration.millis(80)
      }, Option.none())
      deepStrictEqual(yield* notes.read(key), Option.some({ count: 2, remaining: 30, version: "v" }))
    }))

  it.effect("fleet rule 1: every note has a new version, and a writer that read another is ignored", () =>
    Effect.gen(function*() {
      const { join, notes } = yield* make
      const other = yield* join
      yield* notes.write(key, { count: 1, remaining: 1000 }, Option.none())
      const seen = versionOf(yield* other.read(key))
      yield* notes.write(key, { count: 1, remaining: 1000 }, versionOf(yield* notes.read(key)))
      assert.notStrictEqual(Option.getOrThrow(versionOf(yield* notes.read(key))), Option.getOrThrow(seen))
      for (const replaces of [seen, Option.none(), Option.some("v")]) {
        yield* other.write(key, { count: 9, remaining: 9000 }, replaces)
        deepStrictEqual(noteOf(yield* other.read(key)), { count: 1, remaining: 1000 })
      }
    }))

  it.effect("fleet rule 1: a note is removed only by a process that read it", () =>
    Effect.gen(function*() {
      const { notes } = yield* make
      yield* notes.write(key, { count: 1, remaining: 1000 }, Option.none())
      yield* notes.remove(key, "v")
      const found = Option.getOrThrow(yield* notes.read(key))
      yield* notes.remove(key, found.version)
      deepStrictEqual(yield* notes.read(key), Option.none())
    }))

  it.effect("forget: a note is removed by any process, in force or not; there may be none", () =>
    Effect.gen(function*() {
      const { control, join, notes } = yield* make
      const other = yield* join
      yield* other.forget(key)
      deepStrictEqual(yield* control.callsOf("remove"), [])
      for (const pause of [0, 2000]) {
        yield* notes.write(key, { count: 1, remaining: 1000 }, Option.none())
        yield* TestClock.adjust(pause)
        yield* other.forget(key)
        deepStrictEqual(yield* notes.read(key), Option.none())
      }
    }))

  it.effect("forget: a note written after the read stays", () =>
    Effect.gen(function*() {
      const { control, join, notes } = yield* make
      const other = yield* join
      yield* notes.write(key, { count: 1, remaining: 1000 }, Option.none())
      const seen = versionOf(yield* notes.read(key))
      yield* control.afterGet(() =>
        Effect.zipRight(control.afterGet(undefined), other.write(key, { count: 2, remaining: 2000 }, seen))
      )
      yield* notes.forget(key)
      deepStrictEqual(noteOf(yield* notes.read(key)), { count: 2, remaining: 2000 })
    }))

  const garbage = [
    "",
    "garbage",
    "null",
    "{}",
    JSON.stringify({ v: 2, count: 1, memory: 0 }),
    JSON.stringify({ v: 1, count: 0, memory: 0 }),
    JSON.stringify({ v: 1, count: -1, memory: 0 }),
    JSON.stringify({ v: 1, count: 1.5, memory: 0 }),
    JSON.stringify({ v: 1, count: 1_000_001, memory: 0 }),
    JSON.stringify({ v: 1, count: "1", memory: 0 }),
    JSON.stringify({ v: 1, count: 1, memory: -1 }),
    JSON.stringify({ v: 1, count: 1 })
  ]

  it.effect("rule 8: garbage counts as an empty note, may be overwritten, and is no failure of the store", () =>
    Effect.gen(function*() {
      for (const payload of garbage) {
        const { control, logged, logs, notes } = yield* make
        yield* control.corrupt(key, payload)
        const found = yield* logged(notes.read(key))
        deepStrictEqual(noteOf(found), { count: 0, remaining: 0 })
        yield* logged(notes.write(key, { count: 1, remaining: 1000 }, versionOf(found)))
        deepStrictEqual(noteOf(yield* logged(notes.read(key))), { count: 1, remaining: 1000 })
        deepStrictEqual(logs, [])
      }
    }))

  it.effect("rule 8: a pause overwrites garbage too, and counts from 1", () =>
    Effect.gen(function*() {
      for (const payload of garbage) {
        const { control, notes } = yield* make
        yield* control.corrupt(key, payload)
        deepStrictEqual(yield* notes.countPause(key, FleetNotes.nthPause(1)), FleetNotes.nthPause(1))
        deepStrictEqual(noteOf(yield* notes.read(key)), FleetNotes.nthPause(1))
      }
    }))

  it.effect("rule 8: if the store fails there are no notes, and a pause is as this process counts it", () =>
    Effect.gen(function*() {
      const { control, logged, logs, notes } = yield* make
      yield* control.fail("refused")
      yield* logged(Effect.gen(function*() {
        deepStrictEqual(yield* notes.read(key), Option.none())
        yield* notes.write(key, { count: 1, remaining: 1000 }, Option.none())
        yield* notes.remove(key, "v")
        yield* notes.forget(key)
        deepStrictEqual(yield* notes.countPause(key, FleetNotes.nthPause(4)), FleetNotes.nthPause(4))
      }))
      assert.lengthOf(logs, 1)
    }))

  it.prop(
    "fleet rule 6: the nth pause is 1 s, doubling to 60 s",
    [fc.integer({ min: 1, max: 2_000_000 })],
    ([count]) => {
      deepStrictEqual(FleetNotes.nthPause(count), { count, remaining: Math.min(60_000, 1000 * 2 ** (count - 1)) })
    }
  )

  it.effect("fleet rule 6: another process's pause is not counted again while it is in force", () =>
    Effect.gen(function*() {
      const { control, join, notes } = yield* make
      const other = yield* join
      deepStrictEqual(yield* notes.countPause(key, FleetNotes.nthPause(1)), FleetNotes.nthPause(1))
      yield* TestClock.adjust(400)
      for (const atLeast of [FleetNotes.nthPause(1), FleetNotes.nthPause(5)]) {
        const { count, remaining } = yield* other.countPause(key, atLeast)
        deepStrictEqual({ count, remaining }, { count: 1, remaining: 600 })
      }
      assert.lengthOf(yield* control.callsOf("set"), 1)
    }))

  it.effect("fleet rule 6: after a pause the fleet's count continues: 1, 2, 4, 8, 16, 32, 60 and 60 seconds", () =>
    Effect.gen(function*() {
      const { join } = yield* make
      const waits: Array<number> = []
      for (let n = 0; n < 8; n++) {
        const { remaining } = yield* (yield* join).countPause(key, FleetNotes.nthPause(1))
        waits.push(remaining / 1000)
        yield* TestClock.adjust(remaining)
      }
      deepStrictEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60])
    }))

  it.effect("fleet rule 6: the higher count of a process counts", () =>
    Effect.gen(function*() {
      const { join, notes } = yield* make
      yield* notes.countPause(key, FleetNotes.nthPause(1))
      yield* TestClock.adjust(1000)
      deepStrictEqual(yield* (yield* join).countPause(key, FleetNotes.nthPause(5)), FleetNotes.nthPause(5))
      deepStrictEqual(noteOf(yield* notes.read(key)), FleetNotes.nthPause(5))
    }))

  it.effect("fleet rule 6: a forgotten count restarts", () =>
    Effect.gen(function*() {
      const { notes } = yield* make
      yield* notes.countPause(key, FleetNotes.nthPause(1))
      yield* TestClock.adjust(1000 + memory)
      deepStrictEqual(yield* notes.countPause(key, FleetNotes.nthPause(1)), FleetNotes.nthPause(1))
    }))

  it.effect("fleet rule 6: if two processes count at the same time, one is written", () =>
    Effect.gen(function*() {
      const { control, join, notes } = yield* make
      const other = yield* join
      yield* notes.countPause(key, FleetNotes.nthPause(1))
      yield* TestClock.adjust(1000)
      yield* control.afterGet(() =>
        Effect.zipRight(control.afterGet(undefined), other.countPause(key, FleetNotes.nthPause(7)))
      )
      deepStrictEqual(yield* notes.countPause(key, FleetNotes.nthPause(1)), FleetNotes.nthPause(2))
      deepStrictEqual(noteOf(yield* notes.read(key)), FleetNotes.nthPause(7))
    }))

  it.effect("rule 8: the highest readable count is written and read again", () =>
    Effect.gen(function*() {
      const { control, join, notes } = yield* make
      yield* control.corrupt(key, JSON.stringify({ v: 1, count: 1_000_000, memory: Duration.toMillis("1 hour") }))
      assert.strictEqual((yield* notes.countPause(key, FleetNotes.nthPause(1))).remaining, 60_000)
      deepStrictEqual(noteOf(yield* notes.read(key)), { count: 1_000_000, remaining: 60_000 })
      const found = yield* notes.read(key)
      yield* notes.write(key, { count: 1_000_001, remaining: 5000 }, versionOf(found))
      deepStrictEqual(noteOf(yield* (yield* join).read(key)), { count: 1_000_000, remaining: 5000 })
    }))

  it.effect("rule 8: of a note whose lifetime the store ignores only the count is used", () =>
    Effect.gen(function*() {
      for (const timeToLive of [Duration.infinity, Duration.millis(60_001 + memory)]) {
        const { control, notes } = yield* make
        const payload = JSON.stringify({ v: 1, count: 2, memory })
        yield* control.backing.set(key, { version: "v", payload, timeToLive }, Option.none())
        deepStrictEqual(yield* notes.read(key), Option.some({ count: 2, remaining: -Infinity, version: "v" }))
        deepStrictEqual(yield* notes.countPause(key, FleetNotes.nthPause(1)), FleetNotes.nthPause(3))
      }
    }))

  it.effect("rule 8: a note is in force no longer than when first read, whatever the store returns", () =>
    Effect.gen(function*() {
      const { control, notes } = yield* make
      const payload = JSON.stringify({ v: 1, count: 2, memory })
      for (const version of ["v", "another"]) {
        for (const remaining of [5_000, 2_000, -1_000]) {
          const before = Option.map(yield* control.backing.get(key), ({ version }) => version)
          yield* control.backing.set(key, { version, payload, timeToLive: Duration.millis(5_000 + memory) }, before)
          deepStrictEqual(yield* notes.read(key), Option.some({ count: 2, remaining, version }))
          yield* TestClock.adjust("3 seconds")
        }
      }
    }))

  it.effect.prop(
    "a written note is read with the remaining time",
    [fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 0, max: 60_000 }), fc.nat(200_000)],
    ([count, remaining, passed]) =>
      Effect.gen(function*() {
        const { notes } = yield* make
        yield* notes.write(key, { count, remaining }, Option.none())
        yield* TestClock.adjust(passed)
        deepStrictEqual(
          noteOf(yield* notes.read(key)),
          passed < remaining + memory ? { count, remaining: remaining - passed } : undefined
        )
      }),
    runs(100)
  )
})
