/** What the contract says of leases. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  contenders,
  expect,
  expectAnswer,
  expectEntry,
  expectNone,
  longTime,
  makeEntry,
  past,
  type Probe,
  put,
  type RowSource
} from "./Probe.js"

/** The rows. */
export const rows: ReadonlyArray<RowSource> = [
  {
    name: "acquireLease: grants a lease that nobody holds",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* expectAnswer(true, store.acquireLease(key, "a", longTime), "acquireLease of a free lease")
      yield* store.releaseLease(key, "a")
    })
  },
  {
    name: "acquireLease: refuses others while it is held, but not the holder",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* store.acquireLease(key, "a", longTime)
      yield* expectAnswer(false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* expectAnswer(true, store.acquireLease(key, "a", longTime), "acquireLease by the holder")
      yield* expectAnswer(false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* store.releaseLease(key, "a")
    })
  },
  {
    name: "acquireLease: refuses while another process holds the lease",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, other, store } = probe
      yield* store.acquireLease(key, "a", longTime)
      yield* expectAnswer(false, other.acquireLease(key, "b", longTime), "acquireLease in another process")
      yield* other.releaseLease(key, "b")
      yield* expectAnswer(true, store.extendLease(key, "a", longTime), "extendLease by the holder")
      yield* store.releaseLease(key, "a")
      yield* expectAnswer(true, other.acquireLease(key, "b", longTime), "acquireLease after the release")
      yield* other.releaseLease(key, "b")
    })
  },
  {
    name: "acquireLease: one of many simultaneous calls gets it",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const answers = yield* Effect.forEach(
        contenders,
        (owner) => store.acquireLease(key, owner, longTime),
        { concurrency: "unbounded" }
      )
      const granted = contenders.filter((_, index) => answers[index])
      yield* expect(granted.length === 1, "one owner", `there were ${granted.length}`)
      yield* Effect.forEach(granted, (owner) => store.releaseLease(key, owner))
    })
  },
  {
    name: "acquireLease: an expired lease is free",
    claims: ["leases", "expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      yield* store.acquireLease(key, "a", shortTime)
      yield* advance(past(shortTime))
      yield* expectAnswer(false, store.extendLease(key, "a", longTime), "extendLease after its time")
      yield* expectAnswer(true, store.acquireLease(key, "b", longTime), "acquireLease after its time")
      yield* store.releaseLease(key, "b")
    })
  },
  {
    name: "acquireLease: a lease with more than ten times the requested duration counts as free",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const endless = `${key}-endless`
      const short = Duration.times(longTime, 0.2)
      yield* store.acquireLease(key, "a", longTime)
      const held = store.acquireLease(key, "b", short)
      yield* expectAnswer(false, held, "acquireLease by another, for a fifth of the time")
      yield* store.releaseLease(key, "a")
      yield* store.acquireLease(endless, "a", Duration.times(longTime, 20))
      const free = store.acquireLease(endless, "b", short)
      yield* expectAnswer(true, free, "acquireLease by another, for a hundredth of the time")
      yield* store.releaseLease(endless, "b")
    })
  },
  {
    name: "extendLease: works only for the holder",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* expectAnswer(false, store.extendLease(key, "a", longTime), "extendLease of a free lease")
      yield* store.acquireLease(key, "a", longTime)
      yield* expectAnswer(false, store.extendLease(key, "b", longTime), "extendLease by another")
      yield* expectAnswer(true, store.extendLease(key, "a", longTime), "extendLease by the holder")
      yield* store.releaseLease(key, "a")
    })
  },
  {
    name: "extendLease: the new duration starts now",
    claims: ["leases", "expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const most = Duration.times(shortTime, 0.6)
      yield* store.acquireLease(key, "a", shortTime)
      yield* advance(most)
      yield* store.extendLease(key, "a", shortTime)
      yield* advance(most)
      yield* expectAnswer(false, store.acquireLease(key, "b", longTime), "acquireLease of an extended lease")
      yield* advance(most)
      yield* expectAnswer(true, store.acquireLease(key, "b", longTime), "acquireLease after its time")
      yield* store.releaseLease(key, "b")
    })
  },
  {
    name: "releaseLease: works only for the holder, and frees the lease",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* store.releaseLease(key, "a")
      yield* store.acquireLease(key, "a", longTime)
      yield* store.releaseLease(key, "b")
      yield* expectAnswer(false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* store.releaseLease(key, "a")
      yield* expectAnswer(true, store.acquireLease(key, "b", longTime), "acquireLease after the release")
      yield* store.releaseLease(key, "b")
    })
  },
  {
    name: "leases: are independent of entries and of other keys",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const other = `${key}-other`
      yield* store.acquireLease(key, "a", longTime)
      yield* expectNone(probe, key, "under a key that was only leased")
      yield* expectAnswer(true, store.acquireLease(other, "b", longTime), "acquireLease of another key")
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectEntry(probe, key, entry, "as it was set")
      yield* store.remove(key, entry.version)
      yield* store.releaseLease(other, "b")
      yield* expectAnswer(false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* store.releaseLease(key, "a")
    })
  }
]
