/**
 * How an entry is kept as an item of Memcached, whose clock counts whole
 * seconds.
 */
import type { Entry } from "@effect-alf/core/TokenStore"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** What is written. */
export interface Item {
  readonly value: string
  /** As Memcached takes it: seconds, or the time of an end that is far away, or 0 where there is none. */
  readonly expiry: number
}

/** What is read. */
export interface Found {
  readonly value: string
  /** What remains by Memcached's clock; -1 where there is no end. */
  readonly seconds: number
}

const second = 1_000

// More seconds than these Memcached reads as a time since 1970
const maxSeconds = Duration.toSeconds("30 days")

// Of a signed number of 32 bits
const maxExpiry = 2 ** 31 - 1

/** Of an entry that is written now (epoch milliseconds). */
export const encode = (entry: Entry, now: number): Item => ({
  value: encodeValue(entry, Duration.isFinite(entry.timeToLive) ? millisOf(entry.timeToLive) : "", now),
  expiry: expiryOf(entry.timeToLive, now)
})

/**
 * The same of a lease. Its lifetime is not written beside it: it ends when
 * Memcached drops it, whatever the clocks of those who read it say.
 */
export const encodeLease = (lease: Entry, now: number): Item => ({
  value: encodeValue(lease, "", now),
  expiry: expiryOf(lease.timeToLive, now)
})

/** What may remain, by Memcached's clock, of a lifetime that was just written. */
export const longest = (lifetime: Duration.Duration): Duration.Duration => Duration.seconds(secondsOf(lifetime))

const encodeValue = ({ payload, version }: Entry, lifetime: number | "", now: number) =>
  `alf1:${Buffer.from(version).toString("hex")}:${lifetime}:${now}\n${payload}`

const millisOf = (lifetime: Duration.Duration): number =>
  Math.min(Math.max(1, Math.floor(Duration.toMillis(lifetime))), Number.MAX_SAFE_INTEGER)

/** One more than the lifetime has: the first may be over at once, when the clock ticks. */
const secondsOf = (lifetime: Duration.Duration): number => Math.ceil(millisOf(lifetime) / second) + 1

const expiryOf = (lifetime: Duration.Duration, now: number): number => {
  if (!Duration.isFinite(lifetime)) return 0
  const seconds = secondsOf(lifetime)
  return Math.min(maxExpiry, seconds > maxSeconds ? Math.ceil(now / second) + seconds : seconds)
}

/** The entry that is read now; `None` where it was not written by `encode`. Its time may be over. */
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
 * What remains of a lifetime. Memcached's clock decides; within the second that it
 * leaves open on either side it is the time that has passed by the clocks of those who
 * wrote and read, which may be apart.
 */
const remaining = (lifetime: number, seconds: number, passed: number): number => {
  const ticks = secondsOf(Duration.millis(lifetime)) - seconds
  const age = Math.min(Math.max(passed, (ticks - 1) * second), (ticks + 1) * second)
  return Math.max(0, lifetime - Math.max(0, age))
}
