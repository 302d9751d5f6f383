/**
 * The contract of every `TokenStore`, as a list of named effects: run them
 * against your own store in any test framework.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { describeCause, type TokenStoreError } from "../OAuthError.js"
import { type Entry, TokenStore } from "../TokenStore.js"

/**
 * A store violates the contract.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContractViolation extends Data.TaggedError("ContractViolation")<{
  /** The name of the row. */
  readonly row: string
  readonly expected: string
  readonly actual: string
}> {
  override get message(): string {
    return `${this.row}: expected ${this.expected}, but ${this.actual}`
  }
}

/**
 * One requirement. Its keys are its own and new each time, so that rows can run
 * in parallel and again on the same store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row<R = never> {
  readonly name: string
  readonly effect: Effect.Effect<void, ContractViolation, TokenStore | R>
}

/**
 * What the store promises. Without a promise, the rows about it are omitted.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> {
  /** Advances the store's time: `TestClock.adjust` for a store in memory, a real delay for a server. */
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  /** `set` does not overwrite a version that the writer has not seen. The default is `true`. */
  readonly compareAndSet?: boolean | undefined
  /** A lease has one owner at a time. The default is `true`. */
  readonly leases?: boolean | undefined
  /** Entries and leases expire. The default is `true`. */
  readonly expiry?: boolean | undefined
  /** `changes` reports what was written and removed. The default is `true`. */
  readonly notices?: boolean | undefined
  /**
   * The same store as another process sees it. Without it, nothing tests whether entries and leases are visible outside
   * the process, and a store that does not report a process's own writes gives no notice. The default is the store
   * itself.
   */
  readonly other?: Effect.Effect<TokenStore["Type"], unknown, R> | undefined
  /**
   * The lifetime of the entries and leases whose expiry is awaited: longer than a few calls of the store. The default
   * is 500 milliseconds.
   */
  readonly shortTime?: Duration.DurationInput | undefined
}

type Claim = "compareAndSet" | "leases" | "expiry" | "notices"

/** A row's access to the store: every failure is a violation. */
interface Probe {
  readonly store: TokenStore["Type"]
  /** The same store as another process sees it. */
  readonly other: TokenStore["Type"]
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  readonly shortTime: Duration.Duration
  /** A key that nobody else uses. */
  readonly key: string
  readonly violation: (expected: string, actual: string) => ContractViolation
}

interface RowSource {
  readonly name: string
  readonly claims: ReadonlyArray<Claim>
  readonly check: (probe: Probe) => Effect.Effect<void, ContractViolation | TokenStoreError, Scope.Scope>
}

/**
 * The rows for a store with these promises.
 *
 * @example
 * ```ts
 * import { TokenStore } from "@effect-alf/core"
 * import { TokenStoreContract } from "@effect-alf/core/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Effect, TestClock } from "effect"
 *
 * describe("my store", () => {
 *   for (const row of TokenStoreContract.make({ advance: TestClock.adjust })) {
 *     it.effect(row.name, () => Effect.provide(row.effect, TokenStore.layerMemory()))
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(options: Options<R>): ReadonlyArray<Row<Exclude<R, Scope.Scope>>> => {
  const { advance, compareAndSet = true, expiry = true, leases = true, notices = true } = options
  const claims = { compareAndSet, expiry, leases, notices }
  const shortTime = Duration.decode(options.shortTime ?? defaultShortTime)
  return sources.filter((source) => source.claims.every((claim) => claims[claim])).map(({ check, claims, name }) => {
    const violation = (expected: string, actual: string) => new ContractViolation({ row: name, expected, actual })
    const row = Effect.gen(function*() {
      const store = yield* TokenStore
      const isForTwo = claims.includes("notices") || claims.includes("leases")
      const other = isForTwo && options.other !== undefined ? yield* options.other : store
      const key = yield* randomKey
      yield* check({ store, other, advance, shortTime, key, violation })
    })
    return {
      name,
      effect: Effect.catchAllCause(Effect.scoped(row), (cause) => {
        const failure = Option.getOrUndefined(Cause.failureOption(cause))
        if (failure instanceof ContractViolation) return Effect.fail(failure)
        return Cause.isInterruptedOnly(cause)
          ? Effect.interrupt
          : Effect.fail(violation("no failure", `it failed with: ${describeCause(cause)}`))
      })
    }
  })
}

// A healthy server answers within a millisecond, and a row makes some ten calls
const defaultShortTime = Duration.millis(500)

// What a failed row leaves behind expires within a minute
const longTime = Duration.minutes(1)

const randomText = Effect.map(
  Effect.all([Random.nextInt, Random.nextInt, Random.nextInt]),
  (parts) => parts.map((part) => Math.abs(part).toString(36)).join("")
)

const randomKey = Effect.map(randomText, (text) => `contract-${text}`)

const makeEntry = (payload: string, timeToLive: Duration.Duration = longTime): Effect.Effect<Entry> =>
  Effect.map(randomText, (version) => ({ version, payload, timeToLive }))

const expect = (probe: Probe, condition: boolean, expected: string, actual: string) =>
  condition ? Effect.void : Effect.fail(probe.violation(expected, actual))

const show = (entry: Option.Option<Entry>): string =>
  Option.match(entry, {
    onNone: () => "there was no entry",
    onSome: ({ payload, timeToLive, version }) =>
      `there was version ${version} with ${payload.length} characters for ${Duration.format(timeToLive)}`
  })

/** Reads a key and compares version and payload. */
const expectEntry = (probe: Probe, key: string, entry: Entry, when: string) =>
  Effect.flatMap(probe.store.get(key), (found) =>
    expect(
      probe,
      Option.isSome(found) && found.value.version === entry.version && found.value.payload === entry.payload,
      `the entry ${when}`,
      show(found)
    ))

const expectNone = (probe: Probe, key: string, when: string) =>
  Effect.flatMap(probe.store.get(key), (found) => expect(probe, Option.isNone(found), `no entry ${when}`, show(found)))

/** Reads the remaining lifetime of an entry that was just written with the lifetime `set`. */
const expectTime = (probe: Probe, key: string, set: Duration.Duration) =>
  Effect.flatMap(probe.store.get(key), (found) => {
    // A server may be slow, but a wrong unit of time is far below
    const least = Duration.times(set, 0.5)
    return expect(
      probe,
      Option.exists(found, ({ timeToLive }) => Duration.between(timeToLive, { minimum: least, maximum: set })),
      `between ${Duration.format(least)} and ${Duration.format(set)} to remain`,
      show(found)
    )
  })

const expectAnswer = (
  probe: Probe,
  answer: boolean,
  call: Effect.Effect<boolean, TokenStoreError>,
  when: string
) =>
  Effect.flatMap(
    call,
    (actual) => expect(probe, actual === answer, `${answer} from ${when}`, `the answer was ${String(actual)}`)
  )

/** Writes to an empty key. */
const put = (probe: Probe, key: string, entry: Entry) =>
  expectAnswer(probe, true, probe.store.set(key, entry, Option.none()), "set on a key that holds nothing")

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
const longKey = `#hold:${"0".repeat(42)}`

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

const sources: ReadonlyArray<RowSource> = [
  {
    name: "get: a key that was never set holds nothing",
    claims: [],
    check: (probe) => expectNone(probe, probe.key, "under a key that was never set")
  },
  {
    name: "set: an entry is read back as it was written",
    claims: [],
    check: (probe) => roundTrip(probe, probe.key, "payload")
  },
  {
    name: "set: any text is read back as it was written",
    claims: [],
    check: (probe) => roundTrip(probe, probe.key, oddPayload)
  },
  {
    name: "set: 64 KiB are read back as they were written",
    claims: [],
    check: (probe) => roundTrip(probe, probe.key, largePayload)
  },
  {
    name: "set: replaces the version that the writer has seen",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const first = yield* makeEntry("first")
      const second = yield* makeEntry("second")
      yield* put(probe, key, first)
      const replace = store.set(key, second, Option.some(first.version))
      yield* expectAnswer(probe, true, replace, "set with the version that is there")
      yield* expectEntry(probe, key, second, "that was set last")
      yield* store.remove(key, second.version)
    })
  },
  {
    name: "set: writes where the entry that the writer has seen is gone",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const entry = yield* makeEntry("payload")
      yield* expectAnswer(probe, true, store.set(key, entry, Option.some("gone")), "set on a key that holds nothing")
      yield* expectEntry(probe, key, entry, "as it was set")
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "set: refuses a writer who has seen nothing where an entry is",
    claims: ["compareAndSet"],
    check: (probe) => refusal(probe, Option.none())
  },
  {
    name: "set: refuses a writer who has seen another version",
    claims: ["compareAndSet"],
    check: (probe) => refusal(probe, Option.some("another"))
  },
  {
    name: "set: of many writers at once one wins, on an empty key and over an entry",
    claims: ["compareAndSet"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key } = probe
      const winner = yield* race(probe, Option.none())
      const next = yield* race(probe, Option.some(winner.version))
      yield* probe.store.remove(key, next.version)
    })
  },
  {
    name: "get: tells the time that remains, never more than was set",
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
        probe,
        shrank,
        `at most ${Duration.format(most)} to remain after ${Duration.format(shortTime)}`,
        show(after)
      )
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "set: what replaces an entry has a time of its own",
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
    name: "get: an entry is gone when its time is over, and its key is free",
    claims: ["expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const entry = yield* makeEntry("payload", shortTime)
      yield* put(probe, key, entry)
      yield* advance(past(shortTime))
      yield* expectNone(probe, key, "after its time")
      yield* expectAnswer(probe, false, store.remove(key, entry.version), "remove of an entry after its time")
      const next = yield* makeEntry("next", shortTime)
      yield* put(probe, key, next)
      yield* advance(past(shortTime))
      const last = yield* makeEntry("last")
      const replace = store.set(key, last, Option.some(next.version))
      yield* expectAnswer(probe, true, replace, "set by a writer who has seen the entry whose time is over")
      yield* expectEntry(probe, key, last, "as it was set")
      yield* store.remove(key, last.version)
    })
  },
  {
    name: "get: an entry without an end stays, and has none",
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
        yield* expect(probe, endless, "an infinite time to remain", show(found))
      }).pipe(Effect.ensuring(Effect.ignore(store.remove(key, entry.version))))
    })
  },
  {
    name: "remove: takes away the version it names",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectAnswer(probe, true, store.remove(key, entry.version), "remove with the version that is there")
      yield* expectNone(probe, key, "after it was removed")
      const next = yield* makeEntry("next")
      yield* put(probe, key, next)
      yield* store.remove(key, next.version)
    })
  },
  {
    name: "remove: leaves another version alone",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectAnswer(probe, false, store.remove(key, "another"), "remove with another version")
      yield* expectEntry(probe, key, entry, "as it was set")
      yield* store.remove(key, entry.version)
    })
  },
  {
    name: "remove: answers false where nothing is",
    claims: [],
    check: (probe) =>
      expectAnswer(probe, false, probe.store.remove(probe.key, "any"), "remove on a key that holds nothing")
  },
  {
    name: "keys: each holds its own entry, whatever characters it has",
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
  },
  {
    name: "acquireLease: grants what nobody holds",
    claims: [],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* expectAnswer(probe, true, store.acquireLease(key, "a", longTime), "acquireLease of a free lease")
      yield* store.releaseLease(key, "a")
    })
  },
  {
    name: "acquireLease: refuses while another holds it, not its holder",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* store.acquireLease(key, "a", longTime)
      yield* expectAnswer(probe, false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* expectAnswer(probe, true, store.acquireLease(key, "a", longTime), "acquireLease by the holder")
      yield* expectAnswer(probe, false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* store.releaseLease(key, "a")
    })
  },
  {
    name: "acquireLease: refuses while another process holds it",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, other, store } = probe
      yield* store.acquireLease(key, "a", longTime)
      yield* expectAnswer(probe, false, other.acquireLease(key, "b", longTime), "acquireLease in another process")
      yield* other.releaseLease(key, "b")
      yield* expectAnswer(probe, true, store.extendLease(key, "a", longTime), "extendLease by the holder")
      yield* store.releaseLease(key, "a")
      yield* expectAnswer(probe, true, other.acquireLease(key, "b", longTime), "acquireLease after the release")
      yield* other.releaseLease(key, "b")
    })
  },
  {
    name: "acquireLease: of many at once one gets it",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const answers = yield* Effect.forEach(
        contenders,
        (owner) => store.acquireLease(key, owner, longTime),
        { concurrency: "unbounded" }
      )
      const granted = contenders.filter((_, index) => answers[index])
      yield* expect(probe, granted.length === 1, "one owner", `there were ${granted.length}`)
      yield* Effect.forEach(granted, (owner) => store.releaseLease(key, owner))
    })
  },
  {
    name: "acquireLease: a lease is free when its time is over",
    claims: ["leases", "expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      yield* store.acquireLease(key, "a", shortTime)
      yield* advance(past(shortTime))
      yield* expectAnswer(probe, false, store.extendLease(key, "a", longTime), "extendLease after its time")
      yield* expectAnswer(probe, true, store.acquireLease(key, "b", longTime), "acquireLease after its time")
      yield* store.releaseLease(key, "b")
    })
  },
  {
    name: "acquireLease: a lease of more than ten times the time that is asked for is nobody's",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const endless = `${key}-endless`
      const short = Duration.times(longTime, 0.2)
      yield* store.acquireLease(key, "a", longTime)
      const held = store.acquireLease(key, "b", short)
      yield* expectAnswer(probe, false, held, "acquireLease by another, for a fifth of the time")
      yield* store.releaseLease(key, "a")
      yield* store.acquireLease(endless, "a", Duration.times(longTime, 20))
      const free = store.acquireLease(endless, "b", short)
      yield* expectAnswer(probe, true, free, "acquireLease by another, for a hundredth of the time")
      yield* store.releaseLease(endless, "b")
    })
  },
  {
    name: "extendLease: is for the holder alone",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* expectAnswer(probe, false, store.extendLease(key, "a", longTime), "extendLease of a free lease")
      yield* store.acquireLease(key, "a", longTime)
      yield* expectAnswer(probe, false, store.extendLease(key, "b", longTime), "extendLease by another")
      yield* expectAnswer(probe, true, store.extendLease(key, "a", longTime), "extendLease by the holder")
      yield* store.releaseLease(key, "a")
    })
  },
  {
    name: "extendLease: counts from now on",
    claims: ["leases", "expiry"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { advance, key, shortTime, store } = probe
      const most = Duration.times(shortTime, 0.6)
      yield* store.acquireLease(key, "a", shortTime)
      yield* advance(most)
      yield* store.extendLease(key, "a", shortTime)
      yield* advance(most)
      yield* expectAnswer(probe, false, store.acquireLease(key, "b", longTime), "acquireLease of an extended lease")
      yield* advance(most)
      yield* expectAnswer(probe, true, store.acquireLease(key, "b", longTime), "acquireLease after its time")
      yield* store.releaseLease(key, "b")
    })
  },
  {
    name: "releaseLease: frees it for others, by its holder alone",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      yield* store.releaseLease(key, "a")
      yield* store.acquireLease(key, "a", longTime)
      yield* store.releaseLease(key, "b")
      yield* expectAnswer(probe, false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* store.releaseLease(key, "a")
      yield* expectAnswer(probe, true, store.acquireLease(key, "b", longTime), "acquireLease after the release")
      yield* store.releaseLease(key, "b")
    })
  },
  {
    name: "leases: have nothing to do with entries or other keys",
    claims: ["leases"],
    check: Effect.fnUntraced(function*(probe: Probe) {
      const { key, store } = probe
      const other = `${key}-other`
      yield* store.acquireLease(key, "a", longTime)
      yield* expectNone(probe, key, "under a key that was only leased")
      yield* expectAnswer(probe, true, store.acquireLease(other, "b", longTime), "acquireLease of another key")
      const entry = yield* makeEntry("payload")
      yield* put(probe, key, entry)
      yield* expectEntry(probe, key, entry, "as it was set by whoever")
      yield* store.remove(key, entry.version)
      yield* store.releaseLease(other, "b")
      yield* expectAnswer(probe, false, store.acquireLease(key, "b", longTime), "acquireLease by another")
      yield* store.releaseLease(key, "a")
    })
  },
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
      yield* expect(probe, Option.isNone(ended), "a stream that goes on", "it ended or failed")
    })
  },
  {
    name: "changes: tells of a write, in another process too",
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
    name: "changes: tells of a removal, in another process too",
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
    name: "changes: tells nothing of leases",
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
      yield* expect(probe, !told.includes(key), "no notice of a lease", "there was one")
      yield* store.remove(last, entry.version)
    })
  }
]

const contenders = ["a", "b", "c", "d", "e", "f", "g", "h"]

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
    return yield* probe.violation(`a notice of ${what}`, "there was none")
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

/** Slightly longer, as a timer may fire early. */
const past = (duration: Duration.Duration) => Duration.times(duration, 1.2)

const refusal = Effect.fnUntraced(function*(probe: Probe, seen: Option.Option<string>) {
  const { key, store } = probe
  const first = yield* makeEntry("first")
  const second = yield* makeEntry("second")
  yield* put(probe, key, first)
  yield* expectAnswer(probe, false, store.set(key, second, seen), "set by a writer who has not seen the entry")
  yield* expectEntry(probe, key, first, "that was there")
  yield* store.remove(key, first.version)
})

const race = Effect.fnUntraced(function*(probe: Probe, seen: Option.Option<string>) {
  const { key, store } = probe
  const entries = yield* Effect.forEach(contenders, (name) => makeEntry(name))
  const answers = yield* Effect.forEach(entries, (entry) => store.set(key, entry, seen), { concurrency: "unbounded" })
  const [winner, ...others] = entries.filter((_, index) => answers[index])
  if (winner === undefined) return yield* probe.violation("one winner", "there was none")
  yield* expect(probe, others.length === 0, "one winner", `there were ${others.length + 1}`)
  yield* expectEntry(probe, key, winner, "of the winner")
  return winner
})
