/** What the contract says of entries. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  contenders,
  expect,
  expectAnswer,
  expectEntry,
  expectNone,
  expectTime,
  longTime,
  makeEntry,
  past,
  type Probe,
  put,
  type RowSource,
  show,
  violation
} from "./Probe.js"

const roundTrip = (probe: Probe, key: string, payload: string) =>
  Effect.gen(function*() {
    const entry = yield* makeEntry(payload)
    yield* put(probe, key, entry)
    yield* expectEntry(probe, key, entry, "as it was set")
    yield* probe.store.remove(key, entry.version)
  })

// Every kind of text that an encoding could break; without NUL, which SQL text cannot contain
const oddPayload = "{\"a\":\"\\u0000\\\\\"} \t\r\n 'quoted' %s $1 ${x} äöü ß 漢字 עברית 👩‍👩‍👧 e\u0301 \u2028 \u007f"

// With encryption and group claims an entry is nearly as long
const largePayload = "0123456789abcdef".repeat(4096)

// The longest suffix of a key that the client uses contains the fingerprint of an origin
const longKey = `#pause:${"0".repeat(42)}`

const oddKeys = [
  "with space",
  "a:b",
  "a/b",
  "../up",
  "a*?[b]",
  "{a}b",
  "%2F",
  "ключ-🔑",
  "UPPER",
  "upper",
  `${longKey}a`,
  `${longKey}b`
]

/** The rows. */
export const rows: ReadonlyArray<RowSource> = [
  {
    name: "get: a key that was never set has no entry",
    claims: [],
    check: (probe) => expectNone(probe, probe.key, "under a key that was never set")
  },
  {
    name: "set: an entry is read back unchanged",
    claims: [],
    check: (probe) => roundTrip(probe, probe.key, "payload")
  },
  {
    name: "set: any text is read back unchanged",
    claims: [],
    check: (probe) => roundTrip(probe, probe.key, oddPayload)
  },
  {
    name: "set: 64 KiB are read back unchanged",
    claims: [],
    check: (probe) => roundTrip(probe, probe.key, largePayload)
  },
  {
    name: "set: replaces the version that the writer has read",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const first = yield* makeEntry("first")
      const second = yield* makeEntry("second")
      yield* put(probe, key, first)
      const replace = store.set(key, second, Option.some(first.version))
      yield* expectAnswer(true, replace, "set with the version that is there")
      yield* expectEntry(probe, key, second, "that was set last")
      yield* store.remove(key, second.version)
    })
  },
  {
    name: "set: writes if the entry that the writer has read is gone",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const entry = yield* makeEntry("payload")
      yield* expectAnswer(true, store.set(key, entry, Option.some("gone")), "set on a key that holds nothing")
      yield* expectEntry(probe, key, entry, "as it was set")
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "set: refuses a writer that has read no entry if there is one",
    claims: ["compareAndSet"],
    check: (probe) => refusal(probe, Option.none())
  },
  {
    name: "set: refuses a writer that has read another version",
    claims: ["compareAndSet"],
    check: (probe) => refusal(probe, Option.some("another"))
  },
  {
    name: "set: one of many simultaneous writers wins, on an empty key and over an entry",
    claims: ["compareAndSet"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key } = probe
      const winner = yield* race(probe, Option.none())
      const next = yield* race(probe, Option.some(winner.version))
      yield* probe.store.remove(key, next.version)
    })
  },
  {
    name: "get: returns the remaining lifetime, never more than was set",
    claims: ["expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectTime(probe, key, longTime)
      yield* advance(shortTime)
      const after = yield* store.get(key)
      // A timer may fire slightly early
      const most = Duration.subtract(longTime, Duration.times(shortTime, 0.8))
      const shrank = Option.exists(after, ({ timeToLive }) => Duration.lessThanOrEqualTo(timeToLive, most))
      yield* expect(
        shrank,
        `at most ${Duration.format(most)} to remain after ${Duration.format(shortTime)}`,
        show(after)
      )
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "set: a new entry has its own lifetime",
    claims: ["expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const first = yield* makeEntry("first", shortTime)
      const second = yield* makeEntry("second")
      const third = yield* makeEntry("third", shortTime)
      yield* put(probe, key, first)
      yield* store.set(key, second, Option.some(first.version))
      yield* expectTime(probe, key, longTime)
      yield* advance(past(shortTime))
      yield* expectEntry(probe, key, second, "after the time of the one that it replaced")
      yield* store.set(key, third, Option.some(second.version))
      yield* advance(past(shortTime))
      yield* expectNone(probe, key, "after its time, which was shorter than that of the one that it replaced")
      yield* put(probe, key, first)
      yield* store.remove(key, first.version)
    })
  },
  {
    name: "get: an expired entry is gone, and its key is free",
    claims: ["expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const entry = yield* makeEntry("payload", shortTime)
      yield* put(probe, key, entry)
      yield* advance(past(shortTime))
      yield* expectNone(probe, key, "after its time")
      yield* expectAnswer(false, store.remove(key, entry.version), "remove of an entry after its time")
      const next = yield* makeEntry("next", shortTime)
      yield* put(probe, key, next)
      yield* advance(past(shortTime))
      const last = yield* makeEntry("last")
      const replace = store.set(key, last, Option.some(next.version))
      yield* expectAnswer(true, replace, "set by a writer who has seen the entry whose time is over")
      yield* expectEntry(probe, key, last, "as it was set")
      yield* store.remove(key, last.version)
    })
  },
  {
    name: "get: an entry without expiry stays, and its lifetime is infinite",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const entry = yield* makeEntry("payload", Duration.infinity)
      yield* Effect.gen(function*() {
        yield* put(probe, key, entry)
        yield* advance(past(shortTime))
        yield* expectEntry(probe, key, entry, "without an end")
        const found = yield* store.get(key)
        const endless = Option.exists(found, ({ timeToLive }) => !Duration.isFinite(timeToLive))
        yield* expect(endless, "an infinite time to remain", show(found))
      }).pipe(Effect.ensuring(Effect.ignore(store.remove(key, entry.version))))
    })
  },
  {
    name: "remove: removes the given version",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectAnswer(true, store.remove(key, entry.version), "remove with the version that is there")
      yield* expectNone(probe, key, "after it was removed")
      const next = yield* makeEntry("next")
      yield* put(probe, key, next)
      yield* store.remove(key, next.version)
    })
  },
  {
    name: "remove: does not remove another version",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectAnswer(false, store.remove(key, "another"), "remove with another version")
      yield* expectEntry(probe, key, entry, "as it was set")
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "remove: returns false if there is no entry",
    claims: [],
    check: (probe) => expectAnswer(false, probe.store.remove(probe.key, "any"), "remove on a key that holds nothing")
  },
  {
    name: "keys: each has its own entry, whatever its characters",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const written = yield* Effect.forEach(
        ["", ...oddKeys],
        (suffix) => Effect.map(makeEntry(suffix), (entry) => ({ key: key + suffix, entry }))
      )
      yield* Effect.forEach(written, ({ entry, key }) => put(probe, key, entry))
      yield* Effect.forEach(written, ({ entry, key }) => expectEntry(probe, key, entry, `of the key "${key}"`))
      const [first, ...others] = written
      yield* store.remove(first.key, first.entry.version)
      yield* Effect.forEach(others, ({ entry, key }) => expectEntry(probe, key, entry, `of the key "${key}"`))
      yield* Effect.forEach(others, ({ entry, key }) => store.remove(key, entry.version))
    })
  }
]

const refusal = Effect.fnUntraced(function*(probe: Probe, seen: Option.Option<string>) {
  const { key, store } = probe
  const first = yield* makeEntry("first")
  const second = yield* makeEntry("second")
  yield* put(probe, key, first)
  yield* expectAnswer(false, store.set(key, second, seen), "set by a writer who has not seen the entry")
  yield* expectEntry(probe, key, first, "that was there")
  yield* store.remove(key, first.version)
})

const race = Effect.fnUntraced(function*(probe: Probe, seen: Option.Option<string>) {
  const { key, store } = probe
  const entries = yield* Effect.forEach(contenders, (name) => makeEntry(name))
  const answers = yield* Effect.forEach(entries, (entry) => store.set(key, entry, seen), { concurrency: "unbounded" })
  const [winner, ...others] = entries.filter((_, index) => answers[index])
  if (winner === undefined) return yield* violation("one winner", "there was none")
  yield* expect(others.length === 0, "one winner", `there were ${others.length + 1}`)
  yield* expectEntry(probe, key, winner, "of the winner")
  return winner
})
