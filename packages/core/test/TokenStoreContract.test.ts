import { OAuthError, TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Layer, Option, Stream, TestClock } from "effect"
import * as VirtualClock from "../../fleet/src/VirtualClock.js"
import { rowsEffect } from "./support/Rows.js"

type Store = TokenStore.TokenStore["Type"]

const advance = TestClock.adjust

const honours = (name: string, layer: Layer.Layer<TokenStore.TokenStore>, options: TokenStoreContract.Options) =>
  describe(name, () => {
    it.effect("keeps every promise of a store", () =>
      rowsEffect(TokenStoreContract.make(options), (row) => row.name, (row) => Effect.provide(row.effect, layer)))
  })

/** The rows that a store breaks, each run on a new one: all of them for dozens of stores, and so in virtual time. */
const violations = (layer: Layer.Layer<TokenStore.TokenStore>, options: Partial<TokenStoreContract.Options> = {}) =>
  Effect.forEach(
    TokenStoreContract.make({ advance: VirtualClock.pass, ...options }),
    (row) => Effect.either(Effect.provide(row.effect, layer))
  ).pipe(
    Effect.map((results) => results.flatMap((result) => result._tag === "Left" ? [result.left] : [])),
    (judged) => Effect.flatten(Effect.promise(() => VirtualClock.runPromise(judged)))
  )

const change = (broken: (memory: Store) => Partial<Store>) =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(TokenStore.makeMemory(), (memory) => TokenStore.TokenStore.of({ ...memory, ...broken(memory) }))
  )

const mapGet = (f: (entry: TokenStore.Entry) => TokenStore.Entry) =>
  change((memory) => ({ get: (key) => Effect.map(memory.get(key), Option.map(f)) }))

const endless = Duration.days(1000)

const rows = {
  absent: "get: a key that was never set has no entry",
  roundTrip: "set: an entry is read back unchanged",
  text: "set: any text is read back unchanged",
  large: "set: 64 KiB are read back unchanged",
  replace: "set: replaces the version that the writer has read",
  replaceGone: "set: writes if the entry that the writer has read is gone",
  refuseBlind: "set: refuses a writer that has read no entry if there is one",
  refuseStale: "set: refuses a writer that has read another version",
  race: "set: one of many simultaneous writers wins, on an empty key and over an entry",
  remaining: "get: returns the remaining lifetime, never more than was set",
  replaceTime: "set: a new entry has its own lifetime",
  expiry: "get: an expired entry is gone, and its key is free",
  endless: "get: an entry without expiry stays, and its lifetime is infinite",
  remove: "remove: removes the given version",
  removeOther: "remove: does not remove another version",
  removeNothing: "remove: returns false if there is no entry",
  keys: "keys: each has its own entry, whatever its characters",
  grant: "acquireLease: grants a lease that nobody holds",
  exclusive: "acquireLease: refuses others while it is held, but not the holder",
  leaseElsewhere: "acquireLease: refuses while another process holds the lease",
  leaseRace: "acquireLease: one of many simultaneous calls gets it",
  leaseExpiry: "acquireLease: an expired lease is free",
  leaseEndless: "acquireLease: a lease with more than ten times the requested duration counts as free",
  extend: "extendLease: works only for the holder",
  extendTime: "extendLease: the new duration starts now",
  release: "releaseLease: works only for the holder, and frees the lease",
  leasesApart: "leases: are independent of entries and of other keys",
  changes: "changes: stays open",
  noticeOfWrite: "changes: reports a write, to other processes too",
  noticeOfRemoval: "changes: reports a removal, to other processes too",
  noNoticeOfLease: "changes: does not report leases"
}

/** The rows that fail for a store that returns something else than was set. */
const readBack = [
  rows.roundTrip,
  rows.text,
  rows.large,
  rows.replace,
  rows.replaceGone,
  rows.refuseBlind,
  rows.refuseStale,
  rows.race,
  rows.replaceTime,
  rows.expiry,
  rows.endless,
  rows.removeOther,
  rows.keys,
  rows.leasesApart,
  rows.noticeOfWrite
]

const broken: Record<string, readonly [Layer.Layer<TokenStore.TokenStore>, ReadonlyArray<string>]> = {
  "returns entries that were never set": [
    change((memory) => ({
      get: (key) =>
        Effect.map(memory.get(key), Option.orElseSome(() => ({ version: "v", payload: "p", timeToLive: endless })))
    })),
    [rows.absent, rows.replaceTime, rows.expiry, rows.remove, rows.leasesApart]
  ],
  "changes payloads": [
    mapGet((entry) => ({ ...entry, payload: entry.payload.toUpperCase() })),
    readBack
  ],
  "loses versions": [
    mapGet((entry) => ({ ...entry, version: "" })),
    readBack
  ],
  "keeps ASCII only": [
    mapGet((entry) => ({ ...entry, payload: entry.payload.replace(/[^ -~]/g, "?") })),
    [rows.text, rows.keys]
  ],
  "normalizes text": [mapGet((entry) => ({ ...entry, payload: entry.payload.normalize() })), [rows.text]],
  "truncates": [mapGet((entry) => ({ ...entry, payload: entry.payload.slice(0, 65_535) })), [rows.large]],
  "never overwrites": [
    change((memory) => ({
      set: (key, entry, replaces) => Option.isSome(replaces) ? Effect.succeed(false) : memory.set(key, entry, replaces)
    })),
    [rows.replace, rows.replaceGone, rows.race, rows.replaceTime, rows.expiry]
  ],
  "only updates existing entries": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        Effect.flatMap(memory.get(key), (current) =>
          Option.isSome(replaces) && Option.isNone(current)
            ? Effect.succeed(false)
            : memory.set(key, entry, replaces))
    })),
    [rows.replaceGone, rows.expiry]
  ],
  "lets blind writers overwrite": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        Effect.flatMap(
          memory.get(key),
          (current) =>
            memory.set(key, entry, Option.orElse(replaces, () => Option.map(current, ({ version }) => version)))
        )
    })),
    [rows.refuseBlind, rows.race]
  ],
  "lets stale writers overwrite": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        Effect.flatMap(memory.get(key), (current) =>
          memory.set(
            key,
            entry,
            Option.flatMap(replaces, () => Option.map(current, ({ version }) => version))
          ))
    })),
    [rows.refuseStale, rows.race]
  ],
  "refuses but writes": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        Effect.flatMap(
          memory.set(key, entry, replaces),
          (written) =>
            written ?
              Effect.succeed(true) :
              Effect.flatMap(
                memory.get(key),
                (current) => Effect.as(memory.set(key, entry, Option.map(current, ({ version }) => version)), false)
              )
        )
    })),
    [rows.refuseBlind, rows.refuseStale, rows.race]
  ],
  "checks and writes in two steps": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        Effect.gen(function*() {
          const current = Option.map(yield* memory.get(key), ({ version }) => version)
          if (Option.isSome(current) && !Option.contains(replaces, current.value)) return false
          yield* Effect.yieldNow()
          const now = Option.map(yield* memory.get(key), ({ version }) => version)
          return yield* memory.set(key, entry, now)
        })
    })),
    [rows.race]
  ],
  "returns the lifetime instead of the remaining time": [
    change((memory) => {
      const lifetimes = new Map<string, Duration.Duration>()
      return {
        set: (key, entry, replaces) => {
          lifetimes.set(key, entry.timeToLive)
          return memory.set(key, entry, replaces)
        },
        get: (key) =>
          Effect.map(
            memory.get(key),
            Option.map((entry) => ({ ...entry, timeToLive: lifetimes.get(key) ?? entry.timeToLive }))
          )
      }
    }),
    [rows.remaining]
  ],
  "returns more than the remaining time": [
    mapGet((entry) => ({ ...entry, timeToLive: Duration.sum(entry.timeToLive, Duration.seconds(1)) })),
    [rows.remaining, rows.replaceTime]
  ],
  "returns seconds as milliseconds": [
    mapGet((entry) => ({
      ...entry,
      timeToLive: Duration.isFinite(entry.timeToLive)
        ? Duration.millis(Math.ceil(Duration.toSeconds(entry.timeToLive)))
        : entry.timeToLive
    })),
    [rows.remaining, rows.replaceTime]
  ],
  "keeps the expiry of the replaced entry": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        Effect.flatMap(memory.get(key), (current) =>
          memory.set(
            key,
            { ...entry, timeToLive: Option.getOrElse(current, () => entry).timeToLive },
            replaces
          ))
    })),
    [rows.replaceTime]
  ],
  "lets only blind writers replace an expired entry": [
    change((memory) => {
      const written = new Set<string>()
      return {
        set: (key, entry, replaces) =>
          Effect.flatMap(memory.get(key), (current) => {
            if (Option.isNone(current) && Option.isSome(replaces) && written.has(key)) return Effect.succeed(false)
            written.add(key)
            return memory.set(key, entry, replaces)
          })
      }
    }),
    [rows.expiry]
  ],
  "never expires": [
    change((memory) => ({
      set: (key, entry, replaces) => memory.set(key, { ...entry, timeToLive: Duration.infinity }, replaces)
    })),
    [rows.remaining, rows.replaceTime, rows.expiry]
  ],
  "expires entries that have no expiry": [
    change((memory) => ({
      set: (key, entry, replaces) =>
        memory.set(key, { ...entry, timeToLive: Duration.min(entry.timeToLive, endless) }, replaces)
    })),
    [rows.endless]
  ],
  "reports a removal, but removes nothing": [
    change(() => ({ remove: () => Effect.succeed(true) })),
    [
      rows.expiry,
      rows.remove,
      rows.removeOther,
      rows.removeNothing,
      rows.noticeOfWrite,
      rows.noticeOfRemoval,
      rows.noNoticeOfLease
    ]
  ],
  "removes whatever is there": [
    change((memory) => ({
      remove: (key) =>
        Effect.flatMap(
          memory.get(key),
          (current) => Option.isNone(current) ? Effect.succeed(false) : memory.remove(key, current.value.version)
        )
    })),
    [rows.removeOther]
  ],
  "reports the removal of a missing entry": [
    change((memory) => ({
      remove: (key, version) =>
        Effect.flatMap(
          memory.get(key),
          (current) => Option.isNone(current) ? Effect.succeed(true) : memory.remove(key, version)
        )
    })),
    [rows.expiry, rows.removeNothing]
  ],
  "ignores the case of keys": [
    change((memory) => ({
      get: (key) => memory.get(key.toLowerCase()),
      set: (key, entry, replaces) => memory.set(key.toLowerCase(), entry, replaces)
    })),
    [rows.keys]
  ],
  "truncates keys": [
    change((memory) => ({
      get: (key) => memory.get(key.slice(0, 64)),
      set: (key, entry, replaces) => memory.set(key.slice(0, 64), entry, replaces)
    })),
    [rows.keys]
  ],
  "grants no lease": [
    change(() => ({ acquireLease: () => Effect.succeed(false) })),
    [
      rows.grant,
      rows.exclusive,
      rows.leaseElsewhere,
      rows.leaseRace,
      rows.leaseExpiry,
      rows.leaseEndless,
      rows.extend,
      rows.extendTime,
      rows.release,
      rows.leasesApart
    ]
  ],
  "grants a lease that lasts for ever to nobody else": [
    change((memory) => {
      const held = new Set<string>()
      return {
        acquireLease: (key, owner, duration) =>
          held.has(key) ? Effect.succeed(false) : Effect.suspend(() => {
            if (Duration.greaterThan(duration, Duration.minutes(1))) held.add(key)
            return memory.acquireLease(key, owner, duration)
          })
      }
    }),
    [rows.leaseEndless]
  ],
  "grants every lease": [
    change(() => ({ acquireLease: () => Effect.succeed(true) })),
    [
      rows.exclusive,
      rows.leaseElsewhere,
      rows.leaseRace,
      rows.leaseEndless,
      rows.extend,
      rows.extendTime,
      rows.release,
      rows.leasesApart
    ]
  ],
  "refuses the holder": [
    change((memory) => ({
      acquireLease: (key, owner, duration) =>
        Effect.flatMap(
          memory.extendLease(key, owner, Duration.minutes(1)),
          (held) => held ? Effect.succeed(false) : memory.acquireLease(key, owner, duration)
        )
    })),
    [rows.exclusive]
  ],
  "checks and leases in two steps": [
    change((memory) => ({
      acquireLease: (key, owner, duration) =>
        Effect.gen(function*() {
          if (!(yield* memory.acquireLease(key, owner, duration))) return false
          yield* memory.releaseLease(key, owner)
          yield* Effect.yieldNow()
          yield* memory.acquireLease(key, owner, duration)
          return true
        })
    })),
    [rows.leaseRace]
  ],
  "keeps leases for ever": [
    change((memory) => ({ acquireLease: (key, owner) => memory.acquireLease(key, owner, endless) })),
    [rows.leaseExpiry, rows.leaseEndless]
  ],
  "extends leases for every owner": [
    change(() => ({ extendLease: () => Effect.succeed(true) })),
    [rows.leaseExpiry, rows.extend, rows.extendTime]
  ],
  "extends leases by too little": [
    change((memory) => ({ extendLease: (key, owner) => memory.extendLease(key, owner, Duration.millis(200)) })),
    [rows.extendTime]
  ],
  "extends leases for ever": [
    change((memory) => ({ extendLease: (key, owner) => memory.extendLease(key, owner, endless) })),
    [rows.extendTime]
  ],
  "does not release leases": [
    change(() => ({ releaseLease: () => Effect.void })),
    [rows.leaseElsewhere, rows.release]
  ],
  "releases leases for every owner": [
    change((memory) => ({
      releaseLease: (key) => Effect.forEach(["a", "b"], (owner) => memory.releaseLease(key, owner), { discard: true })
    })),
    [rows.leaseElsewhere, rows.release]
  ],
  "has one lease for all keys": [
    change((memory) => ({
      acquireLease: (_, owner, duration) => memory.acquireLease("all", owner, duration),
      extendLease: (_, owner, duration) => memory.extendLease("all", owner, duration),
      releaseLease: (_, owner) => memory.releaseLease("all", owner)
    })),
    [rows.leasesApart]
  ],
  "ends its notices": [
    change(() => ({ changes: Stream.empty })),
    [rows.changes, rows.noticeOfWrite, rows.noticeOfRemoval, rows.noNoticeOfLease]
  ],
  "has no notices": [
    change(() => ({ changes: Stream.never })),
    [rows.noticeOfWrite, rows.noticeOfRemoval, rows.noNoticeOfLease]
  ],
  "sends only one notice per key": [
    change((memory) => ({ changes: Stream.changes(memory.changes) })),
    [rows.noticeOfRemoval]
  ],
  "sends notices of leases": [
    change((memory) => ({
      acquireLease: (key, owner, duration) =>
        Effect.gen(function*() {
          yield* memory.set(key, { version: "lease", payload: owner, timeToLive: duration }, Option.none())
          yield* memory.remove(key, "lease")
          return yield* memory.acquireLease(key, owner, duration)
        })
    })),
    [rows.noNoticeOfLease]
  ]
}

describe("TokenStoreContract", () => {
  honours("TokenStore.makeMemory", TokenStore.layerMemory(), { advance })

  honours(
    "TokenStore.layerKeyValueStore",
    TokenStore.layerKeyValueStore().pipe(Layer.provide(KeyValueStore.layerMemory)),
    { advance, leases: false, notices: false }
  )

  honours(
    "TokenStore.make",
    Layer.sync(TokenStore.TokenStore, () => TokenStore.make(new Map<string, string>())),
    { advance, compareAndSet: false, leases: false, notices: false }
  )

  // Each has a clock of its own, and they wait together
  describe.concurrent("finds, by the rows about its fault, a store that", () => {
    for (const [name, [layer, expected]] of Object.entries(broken)) {
      it.effect(name, () =>
        Effect.map(
          violations(layer),
          (found) => assert.sameMembers(found.map(({ row }) => row), Array.from(expected))
        ))
    }
  })

  it("there is a broken store for every row", () => {
    const covered = new Set(Object.values(broken).flatMap(([, rows]) => rows))
    assert.sameMembers(Array.from(covered), TokenStoreContract.make({ advance }).map(({ name }) => name))
  })

  it("drops the rows about features that a store does not claim", () => {
    const names = TokenStoreContract.make({
      advance,
      compareAndSet: false,
      leases: false,
      expiry: false,
      notices: false
    })
      .map(({ name }) => name)
    assert.notIncludeMembers(names, [rows.refuseBlind])
    assert.notIncludeMembers(names, [rows.exclusive])
    assert.notIncludeMembers(names, [rows.expiry])
    assert.notIncludeMembers(names, [rows.noticeOfWrite])
    assert.includeMembers(names, [rows.roundTrip, rows.grant, rows.changes])
  })

  it.effect("finds features that do not reach another process", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory()
      const { acquireLease, extendLease, releaseLease } = yield* TokenStore.makeMemory()
      const found = (other: Partial<Store>) =>
        Effect.map(
          violations(Layer.succeed(TokenStore.TokenStore, memory), {
            other: Effect.succeed({ ...memory, ...other })
          }),
          (found) => found.map(({ row }) => row)
        )
      deepStrictEqual(yield* found({}), [])
      deepStrictEqual(yield* found({ acquireLease, extendLease, releaseLease }), [rows.leaseElsewhere])
      deepStrictEqual(yield* found({ get: () => Effect.succeedNone }), [rows.noticeOfWrite])
    }))

  it.effect("reports what it expected", () =>
    Effect.map(violations(broken["truncates"][0]), ([violation]) => {
      assert.strictEqual(violation._tag, "ContractViolation")
      assert.match(
        violation.message,
        /^set: 64 KiB are read back unchanged: expected the entry as it was set, but there was version \w+ with 65535 characters for 1m$/
      )
    }))

  it.effect("a store that fails or dies violates it too", () =>
    Effect.gen(function*() {
      const failing = yield* violations(change(() => ({
        get: () =>
          Effect.fail(
            new OAuthError.TokenStoreError({ reason: "Unavailable", method: "get", description: "connection refused" })
          )
      })))
      assert.strictEqual(
        failing[0].message,
        `${rows.absent}: expected no failure, but it failed with: Token store, get: connection refused`
      )
      const dying = yield* violations(change(() => ({ get: () => Effect.die(new Error("defect")) })))
      assert.strictEqual(dying[0].message, `${rows.absent}: expected no failure, but it failed with: defect`)
    }))

  it.effect("rows can run together and again on one store", () =>
    Effect.gen(function*() {
      const rows = TokenStoreContract.make({ advance: () => Effect.void, expiry: false })
      yield* Effect.forEach([...rows, ...rows], (row) => row.effect, { concurrency: "unbounded" })
    }).pipe(Effect.provide(TokenStore.layerMemory())))

  it.effect("leaves nothing behind", () => {
    const backend = new Map<string, string>()
    const store = TokenStore.make({
      get: (key) => backend.get(key),
      set: (key, value) => backend.set(key, value),
      remove: (key) => backend.delete(key)
    })
    return Effect.gen(function*() {
      for (const row of TokenStoreContract.make({ advance, compareAndSet: false, leases: false, notices: false })) {
        yield* Effect.provideService(row.effect, TokenStore.TokenStore, store)
      }
      deepStrictEqual(Array.from(backend.keys()), [])
    })
  })
})
