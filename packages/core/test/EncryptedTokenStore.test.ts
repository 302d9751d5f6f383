import type { AccessToken } from "@effect-alf/core"
import { EncryptedTokenStore, OAuthError, TokenStore } from "@effect-alf/core"
import { TestTokenStore, TokenStoreContract } from "@effect-alf/core/testing"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Chunk,
  Duration,
  Effect,
  Encoding,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Scope,
  Stream,
  TestClock
} from "effect"
import * as ProviderBench from "./support/ProviderBench.js"
import { settle, value, warnings } from "./support/ProviderBench.js"
import { rowsEffect } from "./support/Rows.js"
import * as Secrets from "./support/Secrets.js"

type Store = TokenStore.TokenStore["Type"]

const material = (fill: number) => Encoding.encodeBase64(Uint8Array.from({ length: 32 }, (_, index) => fill + index))

const key = (id: string, fill = 1): EncryptedTokenStore.EncryptionKey => ({ id, key: Redacted.make(material(fill)) })

const entry = (version: string, timeToLive = Duration.minutes(1)): TokenStore.Entry => ({
  version,
  payload: `payload of ${version}`,
  timeToLive
})

const makeMemory = TokenStore.makeMemory({ sharing: TokenStore.byTurns })

const encrypt = (store: Store, ...keys: ReadonlyArray<EncryptedTokenStore.EncryptionKey>) =>
  EncryptedTokenStore.make(store, { keys: keys.length === 0 ? [key("a")] : keys })

const failsToRead = (store: Store, description: RegExp) =>
  Effect.map(Effect.flip(store.get("key")), (error) => {
    assert.strictEqual(error.reason, "InvalidEntry")
    assert.strictEqual(error.method, "get")
    assert.match(error.description, description)
  })

describe("EncryptedTokenStore", () => {
  const honours = (name: string, layer: Layer.Layer<TokenStore.TokenStore>, claims = {}) =>
    describe(`over ${name}`, () => {
      const encrypted = layer.pipe(EncryptedTokenStore.layer({ keys: [key("a"), key("b", 2)] }), Layer.orDie)
      it.effect("keeps every promise of a store", () =>
        rowsEffect(
          TokenStoreContract.make({ advance: TestClock.adjust, ...claims }),
          (row) => row.name,
          (row) => Effect.provide(row.effect, encrypted)
        ))
    })

  honours("memory", TokenStore.layerMemory())
  honours(
    "KeyValueStore",
    TokenStore.layerKeyValueStore().pipe(Layer.provide(KeyValueStore.layerMemory)),
    { leases: false, notices: false }
  )
  honours(
    "TokenStore.make",
    Layer.sync(TokenStore.TokenStore, () => TokenStore.make(new Map<string, string>())),
    { compareAndSet: false, leases: false, notices: false }
  )

  it.effect("takes the layer first or last", () =>
    Effect.gen(function*() {
      const memory = yield* makeMemory
      const layer = Layer.succeed(TokenStore.TokenStore, memory)
      const options = { keys: [key("a")] }
      yield* Effect.flatMap(TokenStore.TokenStore, (store) => store.set("key", entry("1"), Option.none())).pipe(
        Effect.provide(EncryptedTokenStore.layer(layer, options))
      )
      const found = yield* Effect.flatMap(TokenStore.TokenStore, (store) => store.get("key")).pipe(
        Effect.provide(layer.pipe(EncryptedTokenStore.layer(options)))
      )
      deepStrictEqual(found, Option.some(entry("1")))
    }))

  it.effect("rule 9: the store gets version and lifetime, but neither the payload nor a key", () =>
    Effect.gen(function*() {
      const backend = new Map<string, string>()
      const store = yield* encrypt(TokenStore.make(backend))
      yield* store.set("key", entry("1"), Option.none())
      const text = backend.get("key")!
      deepStrictEqual(Secrets.reaches(backend, ["payload of 1", material(1)]), [])
      const stored = JSON.parse(text)
      assert.strictEqual(stored.version, "1")
      assert.strictEqual(stored.expiresAt, 60_000)
      assert.notInclude(text, "payload of")
    }))

  it.effect("the same payload looks different with every write", () =>
    Effect.gen(function*() {
      const memory = yield* makeMemory
      const store = yield* encrypt(memory)
      yield* store.set("one", entry("1"), Option.none())
      yield* store.set("two", entry("1"), Option.none())
      const [one, two] = yield* Effect.forEach(["one", "two"], (key) => Effect.flatten(memory.get(key)))
      assert.notStrictEqual(one.payload, two.payload)
    }))

  it.effect("leases, removal and notices are those of the store, also of a class instance", () =>
    Effect.gen(function*() {
      const memory = yield* makeMemory
      class Own {
        readonly sharing = TokenStore.byTurns
        readonly changes = Stream.make("changed")
        readonly calls: Array<ReadonlyArray<unknown>> = []
        get(key: string) {
          return memory.get(key)
        }
        set(...args: Parameters<Store["set"]>) {
          return memory.set(...args)
        }
        remove(...args: Parameters<Store["remove"]>) {
          return this.record("remove", ...args)
        }
        acquireLease(...args: Parameters<Store["acquireLease"]>) {
          return this.record("acquireLease", ...args)
        }
        extendLease(...args: Parameters<Store["extendLease"]>) {
          return this.record("extendLease", ...args)
        }
        releaseLease(...args: Parameters<Store["releaseLease"]>) {
          return this.record("releaseLease", ...args)
        }
        record(...call: ReadonlyArray<unknown>) {
          return Effect.sync(() => this.calls.push(call) % 2 === 0)
        }
      }
      const own = new Own()
      const store = yield* encrypt(own)
      assert.isTrue(store.sharing.isShared)
      deepStrictEqual(yield* Stream.runCollect(store.changes), Chunk.of("changed"))
      const minute = Duration.minutes(1)
      deepStrictEqual(
        [
          yield* store.acquireLease("key", "owner", minute),
          yield* store.extendLease("key", "owner", minute),
          yield* store.remove("key", "1")
        ],
        [false, true, false]
      )
      yield* store.releaseLease("key", "owner")
      deepStrictEqual(own.calls, [
        ["acquireLease", "key", "owner", minute],
        ["extendLease", "key", "owner", minute],
        ["remove", "key", "1"],
        ["releaseLease", "key", "owner"]
      ])
      assert.isTrue(yield* store.set("key", entry("1"), Option.none()))
      deepStrictEqual(yield* store.get("key"), Option.some(entry("1")))
    }))

  it.effect("rule 8: an error of the store stays as it is", () =>
    Effect.gen(function*() {
      const { control, store } = yield* TestTokenStore.makeMemory
      const encrypted = yield* encrypt(store)
      yield* control.fail("refused")
      assert.strictEqual((yield* Effect.flip(encrypted.get("key"))).message, "Token store, get: refused")
      const set = yield* Effect.flip(encrypted.set("key", entry("1"), Option.none()))
      assert.strictEqual(set.message, "Token store, set: refused")
      assert.strictEqual(set.reason, "Unavailable")
    }))

  it.effect("a wrong key is found when the layer is built, and the error names the option", () =>
    Effect.gen(function*() {
      const secret = Buffer.from("a key that is too short").toString("base64")
      const layer = EncryptedTokenStore.layer(TokenStore.layerMemory(), {
        keys: [{ id: "a", key: Redacted.make(secret) }]
      })
      const exit = yield* Effect.scoped(Effect.exit(Layer.build(layer)))
      deepStrictEqual(
        exit,
        Exit.fail(
          new OAuthError.InvalidOptions({
            problems: [{ option: "EncryptedTokenStore.keys[0].key", description: "is not 32 bytes of base64" }]
          })
        )
      )
      deepStrictEqual(Secrets.leaks(exit, [secret, "a key that is too short"]), [])
    }))

  it.effect("rule 9: neither the store nor its errors show key or payload", () =>
    Effect.gen(function*() {
      const memory = yield* makeMemory
      const store = yield* encrypt(memory)
      yield* store.set("key", entry("1"), Option.none())
      const other = yield* encrypt(memory, key("a", 2))
      const error = yield* Effect.flip(other.get("key"))
      const secrets = [material(1), material(2), "payload of 1"]
      for (const looked of [store, other, error, Exit.fail(error)]) deepStrictEqual(Secrets.leaks(looked, secrets), [])
    }))
})

// -----------------------------------------------------------------------------
// entries that do not decrypt
// -----------------------------------------------------------------------------

/** Each leaves something under "key" that a store with the key "a" cannot read. */
const unreadable: Record<string, readonly [leave: (memory: Store) => Effect.Effect<unknown, unknown>, says: RegExp]> = {
  "was written before encryption": [
    (memory) => memory.set("key", entry("theirs"), Option.none()),
    /not encrypted/
  ],
  "is of a key that is not there any more": [
    (memory) => Effect.flatMap(encrypt(memory, key("old", 2)), (old) => old.set("key", entry("theirs"), Option.none())),
    /encrypted with the key old, which is not one of the configured keys/
  ],
  "is of another key with the same id": [
    (memory) => Effect.flatMap(encrypt(memory, key("a", 2)), (old) => old.set("key", entry("theirs"), Option.none())),
    /another key named a/
  ],
  "was moved here from another key": [
    (memory) =>
      Effect.gen(function*() {
        const store = yield* encrypt(memory)
        yield* store.set("other", entry("theirs"), Option.none())
        yield* memory.set("key", yield* Effect.flatten(memory.get("other")), Option.none())
      }),
    /moved here/
  ],
  "was tampered with": [
    (memory) =>
      Effect.gen(function*() {
        const store = yield* encrypt(memory)
        yield* store.set("key", entry("before"), Option.none())
        const { payload, ...rest } = yield* Effect.flatten(memory.get("key"))
        const envelope = JSON.parse(payload)
        const text = Buffer.from(envelope.text, "base64url")
        text[0] ^= 1
        const tampered = JSON.stringify({ ...envelope, text: text.toString("base64url") })
        yield* memory.set("key", { ...rest, version: "theirs", payload: tampered }, Option.some("before"))
      }),
    /tampered with/
  ]
}

describe("EncryptedTokenStore, an entry that does not decrypt", () => {
  it.effect("counts as absent, and may be overwritten whatever the writer read", () =>
    rowsEffect(
      Object.entries(unreadable).flatMap(([name, [leave, says]]) => [
        { name, leave, says, seen: "nothing", replaces: Option.none() },
        { name, leave, says, seen: "another entry", replaces: Option.some("mine") }
      ]),
      ({ name, seen }) => `${name}: counts as absent, and whoever has seen ${seen} may overwrite it`,
      ({ leave, replaces, says }) =>
        Effect.gen(function*() {
          const memory = yield* makeMemory
          const store = yield* encrypt(memory)
          yield* leave(memory)
          yield* failsToRead(store, says)
          assert.isTrue(yield* store.set("key", entry("new"), replaces))
          deepStrictEqual(yield* store.get("key"), Option.some(entry("new")))
        })
    ))

  it.effect("of many writers that overwrite it at once one wins", () =>
    rowsEffect(
      Object.entries(unreadable),
      ([name]) => `${name}: of many writers that overwrite it at once one wins`,
      ([, [leave]]) =>
        Effect.gen(function*() {
          const memory = yield* makeMemory
          const stores = yield* Effect.all(Array.from({ length: 10 }, () => encrypt(memory)))
          yield* leave(memory)
          const answers = yield* Effect.forEach(
            stores,
            (store, index) => store.set("key", entry(`${index}`), Option.none()),
            { concurrency: "unbounded" }
          )
          assert.lengthOf(answers.filter(Boolean), 1)
          deepStrictEqual(yield* stores[0].get("key"), Option.some(entry(String(answers.indexOf(true)))))
        })
    ))

  it.effect("is replaced if it was removed meanwhile", () =>
    Effect.gen(function*() {
      const { control, store } = yield* TestTokenStore.makeMemory
      const encrypted = yield* encrypt({
        ...store,
        get: (key) => Effect.zipRight(Effect.ignore(control.backing.remove(key, "1")), store.get(key))
      })
      yield* encrypted.set("key", entry("1"), Option.none())
      assert.isTrue(yield* encrypted.set("key", entry("2"), Option.none()))
      deepStrictEqual(yield* encrypted.get("key"), Option.some(entry("2")))
    }))

  it.effect("is not overwritten if another writer has done so", () =>
    Effect.gen(function*() {
      const { control, store } = yield* TestTokenStore.makeMemory
      const mine = yield* encrypt(store)
      const other = yield* encrypt(control.backing)
      yield* control.corrupt("key", "garbage")
      const { version } = yield* Effect.flatten(control.backing.get("key"))
      yield* control.afterGet((key) => Effect.ignore(other.set(key, entry("other"), Option.some(version))))
      assert.isFalse(yield* mine.set("key", entry("mine"), Option.none()))
      deepStrictEqual(yield* other.get("key"), Option.some(entry("other")))
    }))

  it.effect("a decryptable entry is never overwritten unread, whatever it contains", () =>
    Effect.gen(function*() {
      const store = yield* encrypt(yield* makeMemory)
      yield* store.set("key", { ...entry("1"), payload: "no token" }, Option.none())
      assert.isFalse(yield* store.set("key", entry("2"), Option.none()))
      assert.isFalse(yield* store.set("key", entry("2"), Option.some("another")))
      assert.isTrue(yield* store.set("key", entry("2"), Option.some("1")))
    }))
})

// -----------------------------------------------------------------------------
// rotation and the provider
// -----------------------------------------------------------------------------

describe("EncryptedTokenStore, rotation", () => {
  it.effect("processes that are a step apart read each other's entries, at every step", () =>
    Effect.gen(function*() {
      const memory = yield* makeMemory
      const old = key("old", 1)
      const next = key("next", 2)
      const steps = yield* Effect.forEach([[old], [old, next], [next, old], [next]], (keys) => encrypt(memory, ...keys))
      let seen = Option.none<string>()
      let count = 0
      for (const [one, two] of [[steps[0], steps[1]], [steps[1], steps[2]]]) {
        for (const [writer, reader] of [[one, two], [two, one]]) {
          const written = entry(String(count++))
          assert.isTrue(yield* writer.set("key", written, seen))
          deepStrictEqual(yield* reader.get("key"), Option.some(written))
          seen = Option.some(written.version)
        }
      }
      // The last step waits until nothing of the old key is left
      const renewed = entry("renewed")
      assert.isTrue(yield* steps[2].set("key", renewed, seen))
      deepStrictEqual(yield* steps[3].get("key"), Option.some(renewed))
    }))
})

describe("EncryptedTokenStore, under a provider", () => {
  /** Runs it to its end: the token is written in the background, and the end of the scope waits for that. */
  const bench = <A, E>(options: ProviderBench.Options, use: (bench: ProviderBench.Bench) => Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const made = yield* Scope.extend(ProviderBench.make(options), scope)
      const result = yield* use(made)
      yield* Scope.close(scope, Exit.void)
      return [result, made] as const
    })

  const get = ({ provider }: ProviderBench.Bench): Effect.Effect<AccessToken.AccessToken, OAuthError.OAuthError> =>
    provider.get()

  const onlyKey = (memory: Store) =>
    Effect.map(Effect.fork(Stream.runHead(memory.changes)), (fiber) => Effect.map(Fiber.join(fiber), Option.getOrThrow))

  it.effect("rule 4: two processes share a token, and the store never sees it", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory()
      const changed = yield* onlyKey(memory)
      yield* settle
      const [first] = yield* bench({ sharedStore: yield* encrypt(memory) }, get)
      const [second, two] = yield* bench({ sharedStore: yield* encrypt(memory) }, get)
      assert.strictEqual(value(first), "token-1")
      assert.strictEqual(value(second), "token-1")
      deepStrictEqual(yield* two.tokens.requests, [])
      deepStrictEqual(two.logs, [])
      const { payload } = yield* Effect.flatten(memory.get(yield* changed))
      deepStrictEqual(Secrets.reaches({ payload }, ["token-1"]), [])
    }))

  it.effect("rule 8: an entry that cannot be decrypted is logged once, and replaced", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory()
      yield* bench({ sharedStore: yield* encrypt(memory, key("old", 2)) }, get)
      const sharedStore = yield* encrypt(memory, key("new"))
      const [renewed, two] = yield* bench(
        { sharedStore, endpoint: { tokenPrefix: "two-" } },
        (two) => Effect.flatMap(get(two), (token) => two.provider.renew(token))
      )
      assert.strictEqual(value(renewed), "two-2")
      assert.lengthOf(warnings(two), 1)
      assert.match(
        warnings(two)[0],
        /^Token store entry \S+ counts as absent: it is encrypted with the key old, which is not one of the configured keys$/
      )
      const [third] = yield* bench({ sharedStore }, get)
      assert.strictEqual(value(third), "two-2")
    }))
})
