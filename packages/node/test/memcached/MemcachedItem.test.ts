import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, FastCheck as fc, Option } from "effect"
import { anyString } from "../../../core/test/support/anyString.js"
import * as MemcachedItem from "../../src/memcached/MemcachedItem.js"

const second = 1_000
const writtenAt = Date.UTC(2026, 0, 1)

/** What Memcached's clock, whose ticks begin so many milliseconds after those of a writer's, has left after a time. */
const secondsLeft = (expiry: number, phase: number, passed: number) =>
  expiry - (Math.floor((phase + passed) / second) - Math.floor(phase / second))

const read = (
  lifetime: number,
  options: { readonly phase: number; readonly passed: number; readonly apart: number }
) => {
  const { expiry, value } = MemcachedItem.encode(
    { version: "v1", payload: "p", timeToLive: Duration.millis(lifetime) },
    writtenAt
  )
  const seconds = secondsLeft(expiry, options.phase, options.passed)
  const entry = MemcachedItem.decode({ value, seconds }, writtenAt + options.passed + options.apart)
  return Duration.toMillis(Option.getOrThrow(entry).timeToLive)
}

const lifetime = fc.integer({ min: 1, max: Duration.toMillis("10 days") })
const phase = fc.integer({ min: 0, max: second - 1 })
const part = fc.double({ min: 0, max: 1, noNaN: true })

describe("MemcachedItem", () => {
  it.prop("if the clocks agree, the remaining lifetime is exact to the millisecond", [lifetime, phase, part], (
    [lifetime, phase, part]
  ) => {
    const passed = Math.floor(part * lifetime)
    assert.strictEqual(read(lifetime, { phase, passed, apart: 0 }), lifetime - passed)
  })

  it.prop("no entry expires early, however Memcached's clock ticks", [lifetime, phase, part], (
    [lifetime, phase, part]
  ) => {
    const passed = Math.min(lifetime - 1, Math.floor(part * lifetime))
    for (const encode of [MemcachedItem.encode, MemcachedItem.encodeLease]) {
      const { expiry } = encode({ version: "v", payload: "", timeToLive: Duration.millis(lifetime) }, writtenAt)
      assert.isAbove(secondsLeft(expiry, phase, passed), 0)
    }
  })

  it.prop("leases ignore readers' clocks", [lifetime, fc.integer({ min: -1e9, max: 1e9 })], ([lifetime, apart]) => {
    const timeToLive = Duration.millis(lifetime)
    const { expiry, value } = MemcachedItem.encodeLease({ version: "owner", payload: "", timeToLive }, writtenAt)
    const lease = MemcachedItem.decode({ value, seconds: expiry }, writtenAt + apart)
    deepStrictEqual(
      lease,
      Option.some({ version: "owner", payload: "", timeToLive: MemcachedItem.longest(timeToLive) })
    )
  })

  it.prop(
    "if the clocks differ, the remaining lifetime is less than two seconds off, and never longer than was set",
    [lifetime, phase, part, fc.integer({ min: -1e9, max: 1e9 })],
    ([lifetime, phase, part, apart]) => {
      const passed = Math.floor(part * lifetime)
      const remaining = read(lifetime, { phase, passed, apart })
      assert.isAtMost(remaining, lifetime)
      assert.isBelow(Math.abs(remaining - (lifetime - passed)), 2 * second)
    }
  )

  it.prop(
    "version and payload are read back unchanged",
    [anyString(), anyString()],
    ([version, payload]) => {
      const { expiry, value } = MemcachedItem.encode({ version, payload, timeToLive: Duration.infinity }, writtenAt)
      assert.strictEqual(expiry, 0)
      deepStrictEqual(
        MemcachedItem.decode({ value, seconds: -1 }, writtenAt),
        Option.some({ version, payload, timeToLive: Duration.infinity })
      )
    }
  )

  it("a shorter lifetime that another program set applies", () => {
    const { value } = MemcachedItem.encode({ version: "v", payload: "", timeToLive: Duration.infinity }, writtenAt)
    const limited = Option.getOrThrow(MemcachedItem.decode({ value, seconds: 7 }, writtenAt))
    deepStrictEqual(limited.timeToLive, Duration.seconds(7))
    const { value: bounded } = MemcachedItem.encode(
      { version: "v", payload: "", timeToLive: Duration.seconds(7) },
      writtenAt
    )
    const restored = Option.getOrThrow(MemcachedItem.decode({ value: bounded, seconds: 1_000 }, writtenAt + 1e7))
    deepStrictEqual(restored.timeToLive, Duration.seconds(7))
  })

  it("a distant expiry is an absolute time, at most the largest that Memcached can count", () => {
    const expiryOf = (timeToLive: Duration.DurationInput) =>
      MemcachedItem.encode({ version: "v", payload: "", timeToLive: Duration.decode(timeToLive) }, writtenAt).expiry
    const day = 24 * 60 * 60
    assert.strictEqual(expiryOf(Duration.seconds(30 * day - 1)), 30 * day)
    assert.strictEqual(expiryOf("30 days"), writtenAt / second + 30 * day + 1)
    assert.strictEqual(expiryOf(Duration.millis(Number.MAX_VALUE)), 2 ** 31 - 1)
  })

  it("a value of another program is not an entry", () => {
    for (const value of ["", "alf1:", "alf1:zz:1:2\np", "{\"alf1\":1}", "alf1:00:1:2"]) {
      assert.isTrue(Option.isNone(MemcachedItem.decode({ value, seconds: 1 }, writtenAt)), value)
    }
  })
})
