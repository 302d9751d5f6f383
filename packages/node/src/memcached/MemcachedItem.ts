/**
 * How an entry is stored as an item of Memcached, whose clock counts whole
 * seconds.
 */
import type { Entry } from "@effect-alf/core/TokenStore"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** What is written. */
export interface Item {
  readonly value: string
  /** In Memcached's format: seconds, a time since 1970 for a distant expiry, or 0 for none. */
  readonly expiry: number
}

/** What is read. */
export interface Found {
  readonly value: string
  /** The remaining lifetime by Memcached's clock; -1 without an expiry. */
  readonly seconds: number
}

const second = 1_000

// Memcached reads a larger number of seconds as a time since 1970
const maxSeconds = Duration.toSeconds("30 days")

// The largest signed integer of 32 bits
const maxExpiry = 2 ** 31 - 1

/** The item of an entry that is written now (epoch milliseconds). */
export const encode = (entry: Entry, now: number): Item => ({
  value: encodeValue(entry, Duration.isFinite(entry.timeToLive) ? millisOf(entry.timeToLive) : "", now),
  expiry: expiryOf(entry.timeToLive, now)
})

/**
 * The item of a lease. Its lifetime is not written into the value: a lease ends
 * when Memcached drops it, whatever the clocks of the readers say.
 */
export const encodeLease = (lease: Entry, now: number): Item => ({
  value: encodeValue(lease, "", now),
  expiry: expiryOf(lease.timeToLive, now)
})

/** The longest remaining lifetime, by Memcached's clock, of an item that was just written. */
export const longest = (lifetime: Duration.Duration): Duration.Duration => Duration.seconds(secondsOf(lifetime))

const encodeValue = ({ payload, version }: Entry, lifetime: number | "", now: number) =>
  `alf1:${Buffer.from(version).toString("hex")}:${lifetime}:${now}\n${payload}`

const millisOf = (lifetime: Duration.Duration): number =>
  Math.min(Math.max(1, Math.floor(Duration.toMillis(lifetime))), Number.MAX_SAFE_INTEGER)

/** One second more than the lifetime: the first may end at once, when the clock ticks. */
const secondsOf = (lifetime: Duration.Duration): number => Math.ceil(millisOf(lifetime) / second) + 1

const expiryOf = (lifetime: Duration.Duration, now: number): number => {
  if (!Duration.isFinite(lifetime)) return 0
  const seconds = secondsOf(lifetime)
  return Math.min(maxExpiry, seconds > maxSeconds ? Math.ceil(now / second) + seconds : seconds)
}

/** The entry of an item that is read now; `None` if `encode` did not write it. It may have expired. */
export const decode = ({ seconds, value }: Found, now: number): Option.Option<Entry> => {
  const header = /^alf1:([0-9a-f]*):(\d*):(-?\d+)\n/.exec(value)
  if (header === null) return Option.none()
  const [line, version, lifetime, writtenAt] = header
  return Option.some({
    version: Buffer.from(version, "hex").toString(),
    payload: value.slice(line.length),
    timeToLive: Duration.millis(
      seconds < 0
        ? Infinity
        : lifetime === ""
        ? seconds * second
        : remaining(Number(lifetime), seconds, now - Number(writtenAt))
    )
  })
}

/**
 * The remaining lifetime. Memcached's clock decides, to a second in either
 * direction. Within that second the time between the writer's clock and the
 * reader's counts; these clocks may differ.
 */
const remaining = (lifetime: number, seconds: number, passed: number): number => {
  const ticks = secondsOf(Duration.millis(lifetime)) - seconds
  const age = Math.min(Math.max(passed, (ticks - 1) * second), (ticks + 1) * second)
  return Math.max(0, lifetime - Math.max(0, age))
}
