import type { OAuthError } from "@effect-alf/core"
import { TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Chunk, Duration, Effect, Exit, Fiber, Layer, Option, Stream, TestClock } from "effect"
import { settle } from "./support/ProviderBench.js"
import { rowsEffect } from "./support/Rows.js"

type Store = TokenStore.TokenStore["Type"]

const minute = Duration.minutes(1)

const entry = (version: string, timeToLive: Duration.Duration = minute): TokenStore.Entry => ({
  version,
  payload: `payload of ${version}`,
  timeToLive
})

const honours = <E>(
  layer: Layer.Layer<TokenStore.TokenStore, E>,
  claims?: Omit<TokenStoreContract.Options, "advance">
) => {
  it.effect("keeps every promise of a store", () =>
    rowsEffect(
      TokenStoreContract.make({ advance: TestClock.adjust, ...claims }),
      (row) => row.name,
      (row) => Effect.provide(row.effect, layer)
    ))
}

const versionOf = (store: Store, key = "key") => Effect.map(store.get(key), Option.map(({ version }) => version))

const unavailable = (method: string, description: string) => (error: OAuthError.TokenStoreError) => {
  assert.strictEqual(error._tag, "TokenStoreError")
  assert.strictEqual(error.reason, "Unavailable")
  assert.strictEqual(error.method, method)
  assert.include(error.description, description)
}

describe("TokenStore.make, of a Map", () => {
  honours(
    Layer.sync(TokenStore.TokenStore, () => TokenStore.make(new Map<string, string>())),
    { compareAndSet: false, leases: false, notices: false }
  )
})

describe("TokenStore.make", () => {
  /** The same backend, in every way that a method may answer. */
  const backends = (map = new Map<string, string>()): Record<string, TokenStore.GetSet> => ({
    "values": {
      get: (key) => map.get(key),
      set: (key, value) => {
        map.set(key, value)
      },
      remove: (key) => map.delete(key)
    },
    "null for nothing": {
      get: (key) => map.get(key) ?? null,
      set: (key, value) => map.set(key, value)
    },
    "promises": {
      get: async (key) => map.get(key),
      set: async (key, value) => {
        map.set(key, value)
      },
      remove: async (key) => map.delete(key)
    },
    "promises of Option": {
      get: async (key) => Option.fromNullable(map.get(key)),
      set: async (key, value) => map.set(key, value)
    },
    "effects": {
      get: (key) => Effect.sync(() => map.get(key)),
      set: (key, value) => Effect.sync(() => map.set(key, value)),
      remove: (key) => Effect.delay(Effect.sync(() => map.delete(key)), 0)
    },
    "effects of Option": {
      get: (key) => Effect.sync(() => Option.fromNullable(map.get(key))),
      set: (key, value) => Effect.sync(() => map.set(key, value))
    },
    "Option": {
      get: (key) => Option.fromNullable(map.get(key)),
      set: (key, value) => Option.some(map.set(key, value))
    }
  })

  it.effect("accepts a backend of any kind", () =>
    rowsEffect(Object.entries(backends()), ([name]) => `takes ${name}`, ([name, backend]) =>
      Effect.gen(function*() {
        const store = TokenStore.make(backend)
        const key = `key of ${name}`
        deepStrictEqual(yield* store.get(key), Option.none())
        assert.isTrue(yield* store.set(key, entry("1"), Option.none()))
        deepStrictEqual(yield* store.get(key), Option.some(entry("1")))
        assert.isTrue(yield* store.set(key, entry("2"), Option.some("1")))
        assert.isFalse(yield* store.remove(key, "1"))
        assert.isTrue(yield* store.remove(key, "2"))
        deepStrictEqual(yield* store.get(key), Option.none())
      })))

  it.effect("calls a backend's methods on the backend, again at each run", () =>
    Effect.gen(function*() {
      class Backend {
        calls = 0
        values = new Map<string, string>()
        get(key: string) {
          this.calls++
          return this.values.get(key)
        }
        set(key: string, value: string) {
          this.calls++
          this.values.set(key, value)
        }
      }
      const backend = new Backend()
      const store = TokenStore.make(backend)
      const get = store.get("key")
      assert.strictEqual(backend.calls, 0)
      yield* get
      yield* get
      yield* store.set("key", entry("1"), Option.none())
      assert.strictEqual(backend.calls, 3)
    }))

  it.effect("the last write wins, whatever the writer read", () =>
    Effect.gen(function*() {
      const store = TokenStore.make(new Map())
      assert.isTrue(yield* store.set("key", entry("1"), Option.none()))
      assert.isTrue(yield* store.set("key", entry("2"), Option.none()))
      assert.isTrue(yield* store.set("key", entry("3"), Option.some("another")))
      deepStrictEqual(yield* versionOf(store), Option.some("3"))
    }))

  it.effect("passes the lifetime to the backend, and keeps the time itself if the backend does not", () =>
    Effect.gen(function*() {
      const calls: Array<ReadonlyArray<unknown>> = []
      const map = new Map<string, string>()
      const recording = {
        get: (key: string) => map.get(key),
        set: (...args: [key: string, value: string, ...timeToLive: Array<number>]) => {
          calls.push(args.slice(2))
          map.set(args[0], args[1])
        }
      }
      const setFor: TokenStore.SetFor = (key, value, timeToLive) => {
        calls.push([timeToLive])
        map.set(key, value)
      }
      const short = entry("1", Duration.millis(0.5))
      const told = (store: Store) =>
        Effect.gen(function*() {
          yield* store.set("short", short, Option.none())
          yield* store.set("key", entry("1"), Option.none())
          yield* store.set("endless", entry("1", Duration.infinity), Option.none())
          return calls.splice(0)
        })
      const milliseconds = TokenStore.make(recording, { timeToLive: "milliseconds" })
      deepStrictEqual(yield* told(milliseconds), [[1], [60_000], []])
      const seconds = TokenStore.make(recording, { timeToLive: "seconds" })
      deepStrictEqual(yield* told(seconds), [[1], [60], []])
      const custom = TokenStore.make(recording, { timeToLive: setFor })
      deepStrictEqual(yield* told(custom), [[Duration.millis(0.5)], [minute], []])
      const store = TokenStore.make(recording)
      deepStrictEqual(yield* told(store), [[], [], []])
      yield* TestClock.adjust("59999 millis")
      deepStrictEqual(
        Option.map(yield* store.get("key"), (found) => found.timeToLive),
        Option.some(Duration.millis(1))
      )
      yield* TestClock.adjust("1 millis")
      deepStrictEqual(yield* store.get("key"), Option.none())
      deepStrictEqual(yield* store.get("endless"), Option.some(entry("1", Duration.infinity)))
    }))

  it.effect("accepts text in every form that clients return", () =>
    Effect.gen(function*() {
      const written = yield* Effect.gen(function*() {
        const map = new Map<string, string>()
        yield* TokenStore.make(map).set("key", entry("1"), Option.none())
        return map.get("key")!
      })
      const bytes = new TextEncoder().encode(written)
      const forms: ReadonlyArray<readonly [what: string, value: TokenStore.Value]> = [
        ["bytes", bytes],
        ["a Buffer", Buffer.from(written)],
        ["an item", { value: written }],
        ["an item with bytes", { value: bytes }],
        ["an Option of an item", Option.some({ value: written }) as never],
        ["JSON that was parsed", JSON.parse(written)],
        ["an item with JSON that was parsed", { value: JSON.parse(written) }]
      ]
      yield* rowsEffect(forms, ([what]) => what, ([, value]) =>
        Effect.gen(function*() {
          const store = TokenStore.make({ get: () => value, set: () => {} })
          deepStrictEqual(yield* store.get("key"), Option.some(entry("1")))
        }))
      const nothing = [undefined, null, "", new Uint8Array(), { value: undefined }, { value: null }, { value: "" }]
      yield* rowsEffect(nothing, (value) => `nothing: ${JSON.stringify(value)}`, (value) =>
        Effect.gen(function*() {
          const store = TokenStore.make({ get: () => value, set: () => {} })
          deepStrictEqual(yield* store.get("key"), Option.none())
        }))
    }))

  it.effect("removes by remove, delete or del of the backend", () =>
    rowsEffect(["remove", "delete", "del"] as const, (name) => name, (name) =>
      Effect.gen(function*() {
        const map = new Map<string, string>()
        const store = TokenStore.make({
          get: (key) => map.get(key),
          set: (key, value) => void map.set(key, value),
          [name]: (key: string) => void map.delete(key)
        })
        yield* store.set("key", entry("1"), Option.none())
        assert.isTrue(yield* store.remove("key", "1"))
        deepStrictEqual(map.size, 0)
      })))

  it.effect("a backend that answers false has not written", () =>
    Effect.gen(function*() {
      const store = TokenStore.make({ get: () => undefined, set: () => Promise.resolve(false) })
      unavailable("set", "returned false")(yield* Effect.flip(store.set("key", entry("1"), Option.none())))
    }))

  it.effect("calls a backend with keys that every backend accepts, and keeps those of a provider", () =>
    Effect.gen(function*() {
      const map = new Map<string, string>()
      const store = TokenStore.make(map)
      for (const key of ["3q2-7w_A#pause:0", "a b", "a/b", "a:b", "%2F", "🔑"]) {
        yield* store.set(key, entry("1"), Option.none())
      }
      deepStrictEqual([...map.keys()], ["3q2-7w_A#pause:0", "a%20b", "a%2Fb", "a:b", "%252F", "%F0%9F%94%91"])
    }))

  it.effect("removes through a backend without remove, with a lifetime that every backend accepts", () =>
    Effect.gen(function*() {
      const map = new Map<string, string>()
      const store = TokenStore.make({
        get: (key) => map.get(key),
        // As Redis does: ERR invalid expire time
        set: (key: string, value: string, timeToLive?: number) =>
          timeToLive !== 0 ? void map.set(key, value) : Promise.reject(new Error("ERR"))
      }, { timeToLive: "milliseconds" })
      yield* store.set("key", entry("1"), Option.none())
      assert.isTrue(yield* store.remove("key", "1"))
      deepStrictEqual(yield* store.get("key"), Option.none())
      assert.isFalse(yield* store.remove("key", "1"))
    }))

  const failing: Record<string, () => any> = {
    "throws": () => {
      throw new Error("broken")
    },
    "throws what is no error": () => {
      throw "broken"
    },
    "rejects": () => Promise.reject(new Error("broken")),
    "rejects with nothing but a code": () => Promise.reject(Object.assign(new Error(), { code: "broken" })),
    "fails": () => Effect.fail(new Error("broken")),
    "fails with a tagged error": () => Effect.fail({ _tag: "broken" }),
    "dies": () => Effect.die(new Error("broken")),
    "throws in a thenable": () => ({
      then() {
        throw new Error("broken")
      }
    })
  }
  it.effect("rule 8: a backend that fails in any way is a typed failure with its cause", () =>
    rowsEffect(
      Object.entries(failing),
      ([name]) => `rule 8: a backend that ${name} is a typed failure with its cause`,
      ([, fail]) =>
        Effect.gen(function*() {
          const store = TokenStore.make({ get: fail, set: fail, remove: fail })
          unavailable("get", "broken")(yield* Effect.flip(store.get("key")))
          unavailable("set", "broken")(yield* Effect.flip(store.set("key", entry("1"), Option.none())))
          unavailable("get", "broken")(yield* Effect.flip(store.remove("key", "1")))
          const map = new Map<string, string>()
          const unremovable = TokenStore.make({
            get: (key) => map.get(key),
            set: (k, v) => map.set(k, v),
            remove: fail
          })
          yield* unremovable.set("key", entry("1"), Option.none())
          unavailable("remove", "broken")(yield* Effect.flip(unremovable.remove("key", "1")))
        })
    ))

  it.effect("rule 8: the error contains the reason of a rejected promise", () =>
    Effect.gen(function*() {
      const store = TokenStore.make({ get: () => Promise.reject(new Error("READONLY")), set: () => undefined })
      assert.strictEqual((yield* Effect.flip(store.get("key"))).message, "Token store, get: READONLY")
    }))

  it.effect("invalid input counts as an invalid entry, and is overwritten", () =>
    rowsEffect([
      "garbage",
      "{",
      "{}",
      "null",
      "[]",
      "\"text\"",
      "12",
      JSON.stringify({ version: "1", payload: 1, expiresAt: null }),
      JSON.stringify({ version: "", payload: "p", expiresAt: null }),
      JSON.stringify({ version: "1", payload: "p" }),
      JSON.stringify({ version: "1", payload: "p", expiresAt: "soon" }),
      42 as never,
      {} as never,
      false as never
    ], (garbage) =>
      `bad input: ${JSON.stringify(garbage)} is an invalid entry, and is overwritten`, (garbage) =>
      Effect.gen(function*() {
        const map = new Map<string, string>([["key", garbage]])
        const store = TokenStore.make(map)
        const error = yield* Effect.flip(store.get("key"))
        deepStrictEqual([error.reason, error.method], ["InvalidEntry", "get"])
        assert.isTrue(yield* store.set("key", entry("1"), Option.none()))
        deepStrictEqual(yield* versionOf(store), Option.some("1"))
      })))

  it.effect("an empty text is not an entry", () =>
    Effect.gen(function*() {
      const store = TokenStore.make(new Map([["key", ""]]))
      deepStrictEqual(yield* store.get("key"), Option.none())
      assert.isFalse(yield* store.remove("key", "1"))
    }))

  it.effect("every lease is granted and there are no notices", () =>
    Effect.gen(function*() {
      const store = TokenStore.make(new Map())
      assert.isTrue(yield* store.acquireLease("key", "a", minute))
      assert.isTrue(yield* store.acquireLease("key", "b", minute))
      assert.isTrue(yield* store.extendLease("key", "c", minute))
      yield* store.releaseLease("key", "a")
      const changes = yield* Effect.fork(Stream.runCollect(store.changes))
      yield* store.set("key", entry("1"), Option.none())
      yield* TestClock.adjust("1 day")
      assert.isNull(changes.unsafePoll())
      yield* Fiber.interrupt(changes)
    }))

  it.effect("rule 9: the version is not part of the payload", () =>
    Effect.gen(function*() {
      const map = new Map<string, string>()
      yield* TokenStore.make(map).set("key", entry("1"), Option.none())
      deepStrictEqual(JSON.parse(map.get("key")!), {
        version: "1",
        payload: "payload of 1",
        expiresAt: 60_000
      })
    }))
})

describe("TokenStore.layer", () => {
  honours(TokenStore.layer(new Map<string, string>()), { compareAndSet: false, leases: false, notices: false })

  const refused: ReadonlyArray<readonly [backend: unknown, options: unknown, message: string]> = [
    [undefined, {}, "TokenStore.backend has no get and no set: wrap the client as "],
    [{ getItem: () => null, setItem: () => {} }, {}, "TokenStore.backend has no get and no set: wrap the client as "],
    [{ get: () => undefined, put: () => {} }, {}, "TokenStore.backend has no set: wrap the client as "],
    [new Map(), { timeToLive: "minutes" }, "TokenStore.timeToLive must be \"milliseconds\", \"seconds\" or a function"]
  ]
  it.effect("a lifetime may be in milliseconds, in seconds, or set by a function", () =>
    Effect.forEach(
      ["milliseconds", "seconds", () => undefined] as const,
      (timeToLive) =>
        Effect.scoped(Layer.build(TokenStore.layer({ get: () => undefined, set: () => undefined }, { timeToLive })))
    ))

  it.effect("an object without get or set is refused when the layer is built", () =>
    rowsEffect(refused, ([, , message]) => message, ([backend, options, message]) =>
      Effect.gen(function*() {
        const build = Layer.build(TokenStore.layer(
          backend as TokenStore.GetSet,
          options as TokenStore.GetSetOptions & {
            readonly timeToLive?: TokenStore.SetFor
          }
        ))
        const error = yield* Effect.flip(Effect.scoped(build))
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.isTrue(error.message.startsWith(message), error.message)
      })))
})

// -----------------------------------------------------------------------------
// Effect's KeyValueStore
// -----------------------------------------------------------------------------

const overMemory = TokenStore.layerKeyValueStore().pipe(Layer.provide(KeyValueStore.layerMemory))

describe("TokenStore.layerKeyValueStore", () => {
  honours(overMemory, { leases: false, notices: false })

  it.effect("keys are prefixed, so that a store can be shared with the app", () =>
    Effect.gen(function*() {
      const backend = yield* KeyValueStore.KeyValueStore
      const plain = yield* TokenStore.makeKeyValueStore(backend)
      const prefixed = yield* TokenStore.makeKeyValueStore(backend, { prefix: "mine/" })
      yield* plain.set("key", entry("1"), Option.none())
      yield* prefixed.set("key", entry("2"), Option.none())
      assert.isTrue(Option.isSome(yield* backend.get("effect-alf:key")))
      assert.isTrue(Option.isSome(yield* backend.get("mine/key")))
      deepStrictEqual(yield* versionOf(plain), Option.some("1"))
      assert.isTrue(yield* plain.remove("key", "1"))
      assert.isFalse(yield* backend.has("effect-alf:key"))
      deepStrictEqual(yield* versionOf(prefixed), Option.some("2"))
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))

  it.effect("fleet rule 1: of 20 writers of one process that read the same version one wins, however slow the store is", () =>
    Effect.gen(function*() {
      const backend = yield* KeyValueStore.KeyValueStore
      const slow = KeyValueStore.make({
        ...backend,
        get: (key: string) => Effect.delay(backend.get(key), "10 millis"),
        set: (key, value) => Effect.delay(backend.set(key, value), "10 millis"),
        remove: (key) => Effect.delay(backend.remove(key), "10 millis")
      })
      const store = yield* TokenStore.makeKeyValueStore(slow)
      for (const [round, replaces] of [["a", Option.none()], ["b", Option.some("a0")]] as const) {
        const writes = yield* Effect.fork(Effect.forEach(
          Array.from({ length: 20 }),
          (_, index) => store.set("key", entry(`${round}${index}`), replaces),
          { concurrency: "unbounded" }
        ))
        yield* TestClock.adjust("1 second")
        const won = yield* Fiber.join(writes)
        assert.lengthOf(won.filter(Boolean), 1)
        const found = yield* Effect.fork(versionOf(store))
        yield* TestClock.adjust("10 millis")
        deepStrictEqual(yield* Fiber.join(found), Option.some(`${round}${won.indexOf(true)}`))
      }
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))

  it.effect("fleet rule 1: a remove that a write has overtaken removes nothing", () =>
    Effect.gen(function*() {
      const backend = yield* KeyValueStore.KeyValueStore
      const slow = KeyValueStore.make({
        ...backend,
        get: (key: string) => Effect.delay(backend.get(key), "10 millis"),
        set: (key, value) => Effect.delay(backend.set(key, value), "10 millis")
      })
      const store = yield* TokenStore.makeKeyValueStore(slow)
      yield* Effect.fork(store.set("key", entry("1"), Option.none()))
      yield* TestClock.adjust("20 millis")
      const write = yield* Effect.fork(store.set("key", entry("2"), Option.some("1")))
      yield* settle
      const remove = yield* Effect.fork(store.remove("key", "1"))
      yield* TestClock.adjust("1 second")
      deepStrictEqual([yield* Fiber.join(write), yield* Fiber.join(remove)], [true, false])
      const found = yield* Effect.fork(versionOf(store))
      yield* TestClock.adjust("10 millis")
      deepStrictEqual(yield* Fiber.join(found), Option.some("2"))
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))

  it.effect("a write that hangs and times out does not stop the next one", () =>
    Effect.gen(function*() {
      const backend = yield* KeyValueStore.KeyValueStore
      let hangs = true
      const store = yield* TokenStore.makeKeyValueStore(KeyValueStore.make({
        ...backend,
        set: (key, value) => hangs ? Effect.never : backend.set(key, value)
      }))
      const hanging = yield* Effect.fork(store.set("key", entry("1"), Option.none()))
      yield* settle
      const next = yield* Effect.fork(store.set("key", entry("2"), Option.none()))
      yield* settle
      assert.isNull(next.unsafePoll())
      hangs = false
      yield* Fiber.interrupt(hanging)
      assert.isTrue(yield* Fiber.join(next))
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))

  it.effect("an unreadable entry may always be overwritten", () =>
    Effect.gen(function*() {
      const backend = yield* KeyValueStore.KeyValueStore
      const store = yield* TokenStore.makeKeyValueStore(backend)
      yield* backend.set("effect-alf:key", "garbage")
      assert.strictEqual((yield* Effect.flip(store.get("key"))).reason, "InvalidEntry")
      assert.isTrue(yield* store.set("key", entry("1"), Option.none()))
      deepStrictEqual(yield* versionOf(store), Option.some("1"))
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))

  it.effect("rule 8: a failure of the backend is a typed error, of reads and of writes", () =>
    Effect.gen(function*() {
      const backend = yield* KeyValueStore.KeyValueStore
      const store = yield* TokenStore.makeKeyValueStore(KeyValueStore.make({
        ...backend,
        get: () => Effect.die(new Error("disk full")),
        set: () => Effect.die(new Error("disk full"))
      }))
      unavailable("get", "disk full")(yield* Effect.flip(store.get("key")))
      unavailable("get", "disk full")(yield* Effect.flip(store.set("key", entry("1"), Option.none())))
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))
})

// -----------------------------------------------------------------------------
// memory
// -----------------------------------------------------------------------------

describe("TokenStore.layerMemory", () => {
  honours(TokenStore.layerMemory())

  const withStore = <A, E>(
    f: (store: Store) => Effect.Effect<A, E>,
    options?: Parameters<typeof TokenStore.layerMemory>[0]
  ) => Effect.provide(Effect.flatMap(TokenStore.TokenStore, f), TokenStore.layerMemory(options ?? {}))

  it.effect("two layers are two memories", () =>
    Effect.gen(function*() {
      yield* withStore((store) => store.set("key", entry("1"), Option.none()))
      deepStrictEqual(yield* withStore((store) => store.get("key")), Option.none())
    }))

  it.effect("an error names an invalid capacity", () =>
    Effect.gen(function*() {
      for (const capacity of [0, -1, 1.5, Number.NaN]) {
        const error = yield* Effect.flip(TokenStore.makeMemory({ capacity }))
        assert.strictEqual(error.message, "TokenStore.capacity must be a whole number above zero")
      }
    }))

  it.effect("beyond the capacity the key written first is dropped", () =>
    withStore((store) =>
      Effect.gen(function*() {
        for (const key of ["a", "b", "c"]) yield* store.set(key, entry(key), Option.none())
        yield* store.set("a", entry("a2"), Option.some("a"))
        // A read does not count
        yield* store.get("b")
        yield* store.set("d", entry("d"), Option.none())
        const found = yield* Effect.forEach(["a", "b", "c", "d"], (key) => versionOf(store, key))
        deepStrictEqual(found, [Option.some("a2"), Option.none(), Option.some("c"), Option.some("d")])
      }), { capacity: 3 }))

  it.effect("a refused write drops nothing", () =>
    withStore((store) =>
      Effect.gen(function*() {
        for (const key of ["a", "b"]) yield* store.set(key, entry(key), Option.none())
        assert.isFalse(yield* store.set("b", entry("other"), Option.none()))
        deepStrictEqual(yield* versionOf(store, "a"), Option.some("a"))
      }), { capacity: 2 }))

  it.scoped("changes emits each key that was written or removed, to every listener", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.makeMemory()
      const listen = Effect.fork(Stream.runCollect(Stream.take(store.changes, 3)))
      const listeners = [yield* listen, yield* listen]
      yield* settle
      yield* store.set("a", entry("1"), Option.none())
      // These change nothing
      yield* store.set("a", entry("2"), Option.none())
      yield* store.remove("a", "2")
      yield* store.get("a")
      yield* store.acquireLease("z", "me", minute)
      yield* store.set("b", entry("1"), Option.none())
      yield* store.remove("a", "1")
      for (const listener of listeners) {
        deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(listener)), ["a", "b", "a"])
      }
    }))

  it.scoped("unread changes delay no writer", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.makeMemory()
      const stuck = yield* Effect.fork(Stream.runForEach(store.changes, () => Effect.never))
      yield* settle
      for (let i = 0; i < 1000; i++) yield* store.set(`${i}`, entry("1"), Option.none())
      yield* Fiber.interrupt(stuck)
    }))

  it.effect("writes of many fibers at once: one wins for each version", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.makeMemory()
      let seen = Option.none<string>()
      for (let round = 0; round < 5; round++) {
        const won = yield* Effect.forEach(
          Array.from({ length: 50 }),
          (_, index) => Effect.zipRight(Effect.yieldNow(), store.set("key", entry(`${round}/${index}`), seen)),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(won.filter(Boolean), 1)
        seen = yield* versionOf(store)
      }
    }))

  it.effect("a lease has one holder, for its duration from the last extension", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.makeMemory()
      const seconds = Duration.seconds
      assert.isFalse(yield* store.extendLease("key", "a", seconds(3)))
      assert.isTrue(yield* store.acquireLease("key", "a", seconds(3)))
      assert.isFalse(yield* store.acquireLease("key", "b", seconds(3)))
      assert.isTrue(yield* store.acquireLease("other", "b", seconds(3)))
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* store.extendLease("key", "a", seconds(3)))
      assert.isFalse(yield* store.extendLease("key", "b", seconds(3)))
      yield* TestClock.adjust("2999 millis")
      assert.isFalse(yield* store.acquireLease("key", "b", seconds(3)))
      yield* TestClock.adjust("1 millis")
      assert.isFalse(yield* store.extendLease("key", "a", seconds(3)))
      assert.isTrue(yield* store.acquireLease("key", "b", seconds(3)))
      yield* store.releaseLease("key", "a")
      assert.isFalse(yield* store.acquireLease("key", "a", seconds(3)))
      yield* store.releaseLease("key", "b")
      assert.isTrue(yield* store.acquireLease("key", "a", seconds(3)))
    }))

  it.effect("a lease and an entry under one key are independent", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.makeMemory()
      yield* store.acquireLease("key", "a", minute)
      assert.isTrue(yield* store.set("key", entry("1"), Option.none()))
      yield* store.releaseLease("key", "a")
      deepStrictEqual(yield* versionOf(store), Option.some("1"))
    }))

  it.effect("it never fails and never needs a scope", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(withStore((store) => store.remove("key", "1")))
      deepStrictEqual(exit, Exit.succeed(false))
    }))
})
