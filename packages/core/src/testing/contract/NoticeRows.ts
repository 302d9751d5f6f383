/** What the contract says of notices of changes. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { TokenStoreError } from "../../OAuthError.js"
import { expect, expectEntry, longTime, makeEntry, type Probe, put, type RowSource, violation } from "./Probe.js"

/** The rows. */
export const rows: ReadonlyArray<RowSource> = [
  {
    name: "changes: stays open",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const fiber = yield* Effect.fork(Effect.either(Stream.runDrain(store.changes)))
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* store.remove(key, entry.version)
      yield* advance(shortTime)
      const ended = yield* Fiber.poll(fiber)
      yield* Fiber.interrupt(fiber)
      yield* expect(Option.isNone(ended), "a stream that goes on", "it ended or failed")
    })
  },
  {
    name: "changes: reports a write, to other processes too",
    claims: ["notices"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, other, store } = probe
      const { hears } = yield* listen(probe)
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* hears(key, 1, "a write")
      yield* expectEntry({ ...probe, store: other }, key, entry, "in the other process")
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "changes: reports a removal, to other processes too",
    claims: ["notices"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const { hears } = yield* listen(probe)
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* hears(key, 1, "a write")
      yield* store.remove(key, entry.version)
      yield* hears(key, 2, "a removal")
    })
  },
  {
    name: "changes: does not report leases",
    claims: ["notices", "leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const { hears, told } = yield* listen(probe)
      yield* store.acquireLease(key, "a", longTime)
      yield* store.extendLease(key, "a", longTime)
      yield* store.releaseLease(key, "a")
      const last = `${key}-last`
      const entry = yield* makeEntry("payload")
      yield* put(probe, last, entry)
      yield* hears(last, 1, "a write")
      yield* expect(!told.includes(key), "no notice of a lease", "there was one")
      yield* store.remove(last, entry.version)
    })
  }
]

/** Listens in the other process, and succeeds when it gets a notice. */
const listen = Effect.fnUntraced(function*(probe: Probe) {
  const { advance, key, other, shortTime, store } = probe
  const told: Array<string> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(other.changes, (key) => Effect.sync(() => told.push(key)))
  )

  const hears = Effect.fnUntraced(function*(
    key: string,
    times: number,
    what: string,
    again: Effect.Effect<unknown, TokenStoreError> = Effect.void
  ) {
    for (let look = 0; look < maxLooks; look++) {
      if (told.filter((heard) => heard === key).length >= times) return
      yield* again
      yield* advance(Duration.times(shortTime, 0.04 * 1.3 ** look))
      yield* Effect.yieldNow()
      // The error that ended it, if there is one
      yield* Option.getOrElse(yield* Fiber.poll(fiber), () => Effect.void)
    }
    return yield* violation(`a notice of ${what}`, "there was none")
  })

  // It is not visible from outside when a subscription becomes active
  const first = `${key}-first`
  const write = Effect.gen(function*() {
    const entry = yield* makeEntry("payload")
    yield* store.set(first, entry, Option.none())
    yield* store.remove(first, entry.version)
  })
  yield* hears(first, 1, "a write", write)
  return { told, hears }
})

// With ever longer waits between them, about ten seconds in all on a busy server
const maxLooks = 20
