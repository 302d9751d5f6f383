import { TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Chunk, Duration, Effect, Exit, Fiber, Layer, Option, Redacted, Stream, TestClock } from "effect"

const run = <A, E>(
  body: (services: {
    readonly control: TestTokenStore.TestTokenStore["Type"]
    readonly store: TokenStore.TokenStore["Type"]
  }) => Effect.Effect<A, E>
) => Effect.flatMap(TestTokenStore.makeMemory, body)

const minute = Duration.minutes(1)

const entry: TokenStore.Entry = { version: "v1", payload: "payload", timeToLive: minute }

type Services = TestTokenStore.TestTokenStore | TokenStore.TokenStore

const services = Effect.all({ control: TestTokenStore.TestTokenStore, store: TokenStore.TokenStore })

describe("TestTokenStore", () => {
  it.effect("records every call with its arguments, also by method", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        const time = 1000
        yield* store.set("a", entry, Option.none())
        yield* store.get("a")
        yield* store.acquireLease("a", "me", minute)
        yield* store.extendLease("a", "me", minute)
        yield* store.releaseLease("a", "me")
        yield* store.remove("a", "v1")
        deepStrictEqual(yield* control.calls, [
          { time, method: "set", key: "a", entry, replaces: Option.none() },
          { time, method: "get", key: "a" },
          { time, method: "acquireLease", key: "a", owner: "me", duration: minute },
          { time, method: "extendLease", key: "a", owner: "me", duration: minute },
          { time, method: "releaseLease", key: "a", owner: "me" },
          { time, method: "remove", key: "a", version: "v1" }
        ])
        const [set] = yield* control.callsOf("set")
        assert.strictEqual(set.entry, entry)
        yield* control.resetRecords
        deepStrictEqual(yield* control.calls, [])
      })
    ))

  it.effect("over one store each shows the entries of keys that it wrote itself", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory()
      const [one, other] = [TestTokenStore.make(memory), TestTokenStore.make(memory)]
      yield* one.store.set("a", entry, Option.none())
      yield* other.store.set("a", { ...entry, version: "v2" }, Option.some("v1"))
      yield* other.store.set("b", entry, Option.none())
      deepStrictEqual(Array.from(yield* one.control.entries), [["a", { ...entry, version: "v2" }]])
      deepStrictEqual(Array.from((yield* other.control.entries).keys()), ["a", "b"])
    }))

  it.effect("shows its current entries, whoever wrote them", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* store.set("a", entry, Option.none())
        yield* control.backing.set("b", { ...entry, timeToLive: Duration.seconds(1) }, Option.none())
        deepStrictEqual(Array.from((yield* control.entries).keys()), ["a", "b"])
        yield* TestClock.adjust("1 second")
        deepStrictEqual(
          Array.from(yield* control.entries),
          [["a", { ...entry, timeToLive: Duration.seconds(59) }]]
        )
        deepStrictEqual((yield* control.calls).map(({ method }) => method), ["set"])
      })
    ))

  it.effect("fails all methods, or some, until it is reset", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* control.fail("connection refused")
        const error = yield* Effect.flip(store.get("a"))
        assert.strictEqual(error.message, "Token store, get: connection refused")
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(store.changes))).method, "changes")
        yield* control.fail(undefined)
        yield* control.fail("READONLY", "set", "remove")
        deepStrictEqual(yield* store.get("a"), Option.none())
        const { description, method, reason } = yield* Effect.flip(store.set("a", entry, Option.none()))
        deepStrictEqual({ description, method, reason }, {
          description: "READONLY",
          method: "set",
          reason: "Unavailable"
        })
        yield* control.fail(undefined, "set")
        assert.isTrue(yield* store.set("a", entry, Option.none()))
        assert.strictEqual((yield* Effect.flip(store.remove("a", "v1"))).method, "remove")
      })
    ))

  it.effect("is slow by Clock, and does nothing during the delay", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* control.setDelay("2 seconds", "set")
        const set = yield* Effect.fork(store.set("a", entry, Option.none()))
        yield* TestClock.adjust("1 second")
        deepStrictEqual(yield* store.get("a"), Option.none())
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* Fiber.join(set))
        yield* control.setDelay(0)
        assert.isTrue(yield* store.remove("a", "v1"))
        assert.isTrue(yield* store.set("a", entry, Option.none()))
      })
    ))

  it.effect("hangs until interrupted", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* control.hang(true)
        const get = yield* Effect.fork(store.get("a"))
        yield* TestClock.adjust("1 day")
        assert.isNull(get.unsafePoll())
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(get)))
        yield* control.hang(false, "get")
        deepStrictEqual(yield* store.get("a"), Option.none())
      })
    ))

  it.effect("corrupts an entry or adds an invalid one, with the remaining lifetime", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* store.set("a", entry, Option.none())
        yield* TestClock.adjust("20 seconds")
        yield* control.corrupt("a", "garbage")
        yield* control.corrupt("b", "garbage")
        deepStrictEqual(
          yield* store.get("a"),
          Option.some({ version: "corrupted-1", payload: "garbage", timeToLive: Duration.seconds(40) })
        )
        deepStrictEqual(
          yield* store.get("b"),
          Option.some({ version: "corrupted-2", payload: "garbage", timeToLive: Duration.hours(1) })
        )
        assert.isFalse(yield* store.set("a", entry, Option.some("v1")))
      })
    ))

  it.effect("afterGet lets another process write between a read and a write", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        yield* control.afterGet((key) =>
          Effect.orDie(control.backing.set(key, { ...entry, version: "theirs" }, Option.none()))
        )
        deepStrictEqual(yield* store.get("a"), Option.none())
        assert.isFalse(yield* store.set("a", entry, Option.none()))
        yield* control.afterGet(undefined)
        deepStrictEqual(
          Option.map(yield* store.get("a"), ({ version }) => version),
          Option.some("theirs")
        )
      })
    ))

  it.effect("reports writes of others", () =>
    run(({ control, store }) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(Stream.runCollect(Stream.take(store.changes, 2)))
        yield* TestClock.adjust(0)
        yield* control.backing.set("a", entry, Option.none())
        yield* store.remove("a", "v1")
        deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(fiber)), ["a", "a"])
      })
    ))

  it.effect("serves a provider", () =>
    Effect.gen(function*() {
      const provider = yield* TokenProvider.TokenProvider
      const control = yield* TestTokenStore.TestTokenStore
      yield* control.fail("down")
      assert.strictEqual(Redacted.value((yield* provider.get()).value), "token-1")
      assert.strictEqual((yield* control.entries).size, 0)
    }).pipe(Effect.provide(
      TokenProvider.layer().pipe(
        Layer.provide(TestTokenEndpoint.layer()),
        Layer.provideMerge(TestTokenStore.layerMemory())
      )
    )))

  it.effect("layers that fail, are slow or hang from the start do so for some or all methods until reset", () =>
    Effect.gen(function*() {
      const within = <A>(
        layer: ReturnType<typeof TestTokenStore.layerMemory>,
        effect: Effect.Effect<A, never, Services>
      ) => Effect.provide(effect, layer)
      const failures = Effect.gen(function*() {
        const { control, store } = yield* services
        const before = yield* Effect.exit(store.get("a"))
        const set = yield* Effect.exit(store.set("a", entry, Option.none()))
        yield* control.fail(undefined)
        const after = yield* Effect.exit(store.get("a"))
        return [Exit.isSuccess(before), Exit.isSuccess(set), Exit.isSuccess(after)]
      })
      deepStrictEqual(yield* within(TestTokenStore.layerFailing(), failures), [false, false, true])
      deepStrictEqual(yield* within(TestTokenStore.layerFailing("set"), failures), [true, false, true])
      const isDoneAfter = (delay: Duration.DurationInput) =>
        Effect.gen(function*() {
          const { store } = yield* services
          const fiber = yield* Effect.fork(store.get("a"))
          yield* TestClock.adjust(delay)
          return fiber.unsafePoll() !== null
        })
      assert.isFalse(yield* within(TestTokenStore.layerSlow("1 second"), isDoneAfter("999 millis")))
      assert.isTrue(yield* within(TestTokenStore.layerSlow("1 second"), isDoneAfter("1 second")))
      assert.isFalse(yield* within(TestTokenStore.layerHanging("get"), isDoneAfter("1 day")))
    }))
})
