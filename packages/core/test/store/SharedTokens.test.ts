import { AccessToken, OAuthError, TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Option, Redacted, TestClock } from "effect"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as SharedTokens from "../../src/store/SharedTokens.js"
import * as ProviderBench from "../support/ProviderBench.js"

type Store = TokenStore.TokenStore["Type"]

const key = "key"
const timeout = Duration.seconds(1)

const unavailable = (method: OAuthError.TokenStoreError["method"], description = "refused") =>
  Effect.fail(new OAuthError.TokenStoreError({ method, reason: "Unavailable", description }))

/** Over a memory store in which some methods are replaced. */
const make = Effect.fnUntraced(function*(broken: (memory: Store) => Partial<Store> = () => ({})) {
  const memory = yield* TokenStore.makeMemory()
  const logs: Array<ProviderBench.Log> = []
  const store = yield* BoundedStore.make({ ...memory, ...broken(memory) }, { timeout })
  const shared = SharedTokens.make(store, { defaultLifetime: Duration.hours(1) })
  const logged = ProviderBench.collectLogs(logs)
  return {
    memory,
    logs,
    read: (from = key) => logged(shared.read(from)),
    write: (token: AccessToken.AccessToken, replaces = Option.none<string>(), to = key) =>
      logged(shared.write(to, token, replaces))
  }
})

const token = (value: string, expiresIn?: Duration.DurationInput) =>
  Effect.map(DateTime.now, (obtainedAt) => AccessToken.make({ value: Redacted.make(value), obtainedAt, expiresIn }))

const shown = (logs: ReadonlyArray<ProviderBench.Log>) => logs.map(({ level, text }) => `${level} ${text}`)

describe("SharedTokens", () => {
  it.effect("a token is read as it was written, with the version that a write must replace", () =>
    Effect.gen(function*() {
      const { memory, read, write } = yield* make()
      deepStrictEqual(yield* read(), Option.some({ token: Option.none(), version: Option.none() }))
      assert.isTrue(yield* write(yield* token("a", "10 minutes")))
      yield* TestClock.adjust("1 minute")
      const found = Option.getOrThrow(yield* read())
      const read1 = Option.getOrThrow(found.token)
      assert.strictEqual(Redacted.value(read1.value), "a")
      deepStrictEqual(Option.map(read1.expiresAt, DateTime.toEpochMillis), Option.some(600_000))
      const entry = Option.getOrThrow(yield* memory.get(key))
      deepStrictEqual(found.version, Option.some(entry.version))
    }))

  it.effect("a token that is not a Bearer token stays in the process", () =>
    Effect.gen(function*() {
      const { memory, write } = yield* make()
      assert.isTrue(yield* write(new AccessToken.AccessToken({ ...(yield* token("a")), tokenType: "Other" })))
      deepStrictEqual(yield* memory.get(key), Option.none())
    }))

  it.effect("a token that cannot be encoded stays in the process", () =>
    Effect.gen(function*() {
      const { logs, memory, write } = yield* make()
      assert.isTrue(yield* write(yield* token("two\nlines")))
      deepStrictEqual(yield* memory.get(key), Option.none())
      deepStrictEqual(shown(logs), [])
    }))

  it.effect("fleet rule 1: every write has a new version, which does not depend on the token", () =>
    Effect.gen(function*() {
      const { memory, read, write } = yield* make()
      const versions = new Set<string>()
      for (let i = 0; i < 50; i++) {
        assert.isTrue(yield* write(yield* token("same", "10 minutes"), Option.getOrThrow(yield* read()).version))
        versions.add(Option.getOrThrow(yield* memory.get(key)).version)
      }
      assert.strictEqual(versions.size, 50)
    }))

  it.effect("fleet rule 1: a writer that read another version is refused", () =>
    Effect.gen(function*() {
      const { read, write } = yield* make()
      assert.isTrue(yield* write(yield* token("a", "10 minutes")))
      assert.isFalse(yield* write(yield* token("b", "10 minutes")))
      assert.isFalse(yield* write(yield* token("b", "10 minutes"), Option.some("other")))
      const found = Option.getOrThrow(yield* read())
      assert.strictEqual(Redacted.value(Option.getOrThrow(found.token).value), "a")
      assert.isTrue(yield* write(yield* token("b", "10 minutes"), found.version))
    }))

  it.effect("an expired token is not written", () =>
    Effect.gen(function*() {
      let writes = 0
      const { write } = yield* make((memory) => ({
        set: (...args) => {
          writes++
          return memory.set(...args)
        }
      }))
      const old = yield* token("a", "1 second")
      yield* TestClock.adjust("999 millis")
      assert.isTrue(yield* write(old))
      assert.strictEqual(writes, 1)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(yield* write(old))
      assert.strictEqual(writes, 1)
    }))

  it.effect("an entry lives as long as its token", () =>
    Effect.gen(function*() {
      const { memory, write } = yield* make()
      const aToken = yield* token("a", "10 seconds")
      yield* TestClock.adjust("3 seconds")
      yield* write(aToken)
      deepStrictEqual(Option.getOrThrow(yield* memory.get(key)).timeToLive, Duration.seconds(7))
      yield* write(yield* token("b"), Option.none(), "unknown")
      deepStrictEqual(Option.getOrThrow(yield* memory.get("unknown")).timeToLive, Duration.hours(1))
    }))

  it.effect("rule 8: if the store fails, a read has no result and a write counts as done", () =>
    Effect.gen(function*() {
      const { logs, read, write } = yield* make(() => ({
        get: () => unavailable("get"),
        set: () => unavailable("set")
      }))
      assert.isTrue(yield* write(yield* token("a", "1 hour")))
      yield* TestClock.adjust("5 seconds")
      deepStrictEqual(yield* read(), Option.none())
      assert.lengthOf(logs, 1)
    }))

  it.effect("rule 8: an unreadable entry is logged once per key, and is not an outage", () =>
    Effect.gen(function*() {
      const { logs, memory, read, write } = yield* make()
      const entry = (version: string): TokenStore.Entry => ({
        version,
        payload: "garbage",
        timeToLive: Duration.hours(1)
      })
      yield* memory.set("a", entry("1"), Option.none())
      yield* memory.set("b", entry("2"), Option.none())
      for (const from of ["a", "a", "b", "a"]) {
        const found = Option.getOrThrow(yield* read(from))
        deepStrictEqual(found.token, Option.none())
        deepStrictEqual(found.version, Option.some(from === "a" ? "1" : "2"))
      }
      deepStrictEqual(shown(logs), [
        "Warning Token store entry a counts as absent: it holds no token that this version can read",
        "Warning Token store entry b counts as absent: it holds no token that this version can read"
      ])
      assert.isTrue(yield* write(yield* token("new", "1 hour"), Option.some("1"), "a"))
      assert.isTrue(Option.isSome(Option.getOrThrow(yield* read("a")).token))
    }))

  it.effect("rule 9: a store error that repeats the entry does not put the token into the log", () =>
    Effect.gen(function*() {
      const { logs, write } = yield* make(() => ({ set: (_, { payload }) => unavailable("set", payload) }))
      yield* write(yield* token("secret", "1 hour"))
      assert.lengthOf(logs, 1)
      assert.include(logs[0].text, "<redacted>")
      assert.notInclude(logs[0].text, "secret")
    }))

  it.effect("rule 9: a store error does not put the other fields of the token into the log either, in any encoding", () =>
    Effect.gen(function*() {
      const fields = {
        id_token: Redacted.make("an.id.token"),
        list: Redacted.make([{ text: "a \"quoted\" one" }]),
        nothing: Redacted.make("")
      }
      const repeated = (payload: string) => [payload, JSON.stringify(["SET", key, JSON.stringify({ payload })])]
      for (const index of [0, 1]) {
        const { logs, write } = yield* make(() => ({
          set: (_, { payload }) => unavailable("set", `refused: ${repeated(payload)[index]}`)
        }))
        yield* write(new AccessToken.AccessToken({ ...(yield* token("secret", "1 hour")), fields }))
        assert.lengthOf(logs, 1)
        for (const text of ["secret", "an.id", "quoted"]) assert.notInclude(logs[0].text, text)
      }
    }))
})
