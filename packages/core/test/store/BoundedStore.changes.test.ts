import { OAuthError, TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Chunk, Clock, Duration, Effect, Exit, Fiber, Option, Queue, Stream, TestClock } from "effect"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as ProviderBench from "../support/ProviderBench.js"

type Store = TokenStore.TokenStore["Type"]

/** Over a memory store in which some methods are replaced. */
const make = Effect.fnUntraced(function*(broken: Partial<Store>) {
  const memory = yield* TokenStore.makeMemory()
  const logs: Array<ProviderBench.Log> = []
  const store = yield* BoundedStore.make({ ...memory, ...broken }, { timeout: Duration.seconds(1) })
  return { logs, store, logged: ProviderBench.collectLogs(logs) }
})

const failure = (method: OAuthError.TokenStoreError["method"]) =>
  Effect.fail(new OAuthError.TokenStoreError({ method, reason: "Unavailable", description: "lost" }))

const read = (store: BoundedStore.BoundedStore) => store.get("key", () => 1)

const shown = (logs: ReadonlyArray<ProviderBench.Log>) => logs.map(({ level, text }) => `${level} ${text}`)

describe.concurrent("BoundedStore, changes", () => {
  /** Follows the changes of a store whose `changes` are these, one after the other; the last one again and again. */
  const follow = Effect.fnUntraced(function*(...streams: ReadonlyArray<() => Store["changes"]>) {
    const startedAt: Array<number> = []
    const seen: Array<string> = []
    const { logged, logs, store } = yield* make({
      changes: Stream.unwrap(Effect.map(Clock.currentTimeMillis, (now) => {
        startedAt.push(now)
        return (streams[startedAt.length - 1] ?? streams[streams.length - 1])()
      }))
    })
    const run = Stream.runForEach(store.changes, (key) => Effect.sync(() => seen.push(key)))
    const fiber = yield* Effect.fork(logged(run))
    yield* ProviderBench.settle
    return {
      fiber,
      logs,
      seen,
      startedAt,
      pauses: () => startedAt.slice(1).map((time, i) => time - startedAt[i])
    }
  })

  const lost = Stream.fromEffect(failure("changes"))
  const warning =
    "Warning Token store, changes: lost. Tokens of other processes are read from the store when they are needed"

  it.effect("fleet rule 10: changes are those of the store, in their order", () =>
    Effect.gen(function*() {
      const { fiber, logs, seen, startedAt } = yield* follow(() =>
        Stream.concat(Stream.make("a", "b", "a"), Stream.never)
      )
      yield* TestClock.adjust("1 hour")
      deepStrictEqual(seen, ["a", "b", "a"])
      deepStrictEqual(startedAt, [0])
      deepStrictEqual(logs, [])
      assert.isNull(fiber.unsafePoll())
    }))

  it.effect("fleet rule 10: failed changes are restarted after 200 ms, doubling to 5 s, each a fifth more or less", () =>
    Effect.gen(function*() {
      const { fiber, pauses } = yield* follow(() => lost)
      yield* TestClock.adjust("2 minutes")
      for (const [n, pause] of pauses().entries()) {
        const base = 200 * 2 ** n
        assert.isAtMost(Math.floor(pause), Math.min(5000, base * 1.2), `pause ${n}`)
        assert.isAtLeast(Math.ceil(pause), Math.min(5000, base * 0.8), `pause ${n}`)
      }
      assert.isAbove(pauses().length, 20)
      assert.strictEqual(new Set(pauses().slice(0, 4).map((pause, n) => pause / 2 ** n)).size, 4)
      assert.isNull(fiber.unsafePoll())
    }))

  const times = (n: number, stream: () => Store["changes"]) => Array.from({ length: n }, () => stream)

  it.effect("fleet rule 10: a loss of less than 5 seconds is not logged", () =>
    Effect.gen(function*() {
      const { logs, seen } = yield* follow(
        ...times(4, () => lost),
        () => Stream.concat(Stream.make("a"), lost),
        ...times(4, () => lost),
        () => Stream.concat(Stream.make("b"), Stream.never)
      )
      yield* TestClock.adjust("1 minute")
      deepStrictEqual(seen, ["a", "b"])
      deepStrictEqual(logs, [])
    }))

  it.effect("fleet rule 10: a loss of 5 seconds is logged once, until a notice arrives again", () =>
    Effect.gen(function*() {
      const { logs, seen, startedAt } = yield* follow(
        ...times(10, () => lost),
        () => Stream.concat(Stream.make("a"), lost),
        ...times(10, () => lost),
        () => Stream.concat(Stream.make("b"), Stream.never)
      )
      yield* TestClock.adjust("4999 millis")
      deepStrictEqual(logs, [])
      yield* TestClock.adjust("7 seconds")
      deepStrictEqual(seen, [])
      deepStrictEqual(shown(logs), [warning])
      yield* TestClock.adjust("10 minutes")
      deepStrictEqual(seen, ["a", "b"])
      assert.lengthOf(startedAt, 22)
      const again = "Info Token store reports changes again"
      deepStrictEqual(shown(logs), [warning, again, warning, again])
    }))

  it.effect("rule 8: during an outage of the store its changes log nothing more", () =>
    Effect.gen(function*() {
      let isDown = true
      const { logged, logs, store } = yield* make({
        get: () => isDown ? failure("get") : Effect.succeedNone,
        changes: lost
      })
      yield* logged(read(store))
      assert.lengthOf(logs, 1)
      const fiber = yield* Effect.fork(logged(Stream.runDrain(store.changes)))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(logs, 1)
      isDown = false
      yield* logged(read(store))
      yield* TestClock.adjust("10 seconds")
      deepStrictEqual(shown(logs).slice(1), ["Info Token store is available again", warning])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("fleet rule 10: after a notice the next loss counts as the first: changes restart soon", () =>
    Effect.gen(function*() {
      const { pauses } = yield* follow(
        ...Array.from({ length: 8 }, () => () => lost),
        () => Stream.concat(Stream.make("a"), lost),
        () => Stream.never
      )
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(pauses(), 9)
      assert.strictEqual(Math.round(pauses()[7]), 5000)
      assert.isAtMost(pauses()[8], 241)
    }))

  it.effect("fleet rule 10: changes that end are restarted, without a log", () =>
    Effect.gen(function*() {
      const { logs, pauses, seen } = yield* follow(() => Stream.empty)
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(pauses().length, 5)
      assert.isAtMost(pauses().length, 8)
      assert.isAtLeast(pauses()[4], 200 * 16 * 0.8 - 1)
      deepStrictEqual(seen, [])
      deepStrictEqual(logs, [])
    }))

  const brokenStreams: Record<string, () => Store["changes"]> = {
    fail: () => lost,
    die: () => Stream.die(new Error("broken")),
    "interrupt themselves": () => Stream.fromEffect(Effect.interrupt)
  }
  for (const [name, stream] of Object.entries(brokenStreams)) {
    it.effect(`fleet rule 10: changes that ${name} are logged with the cause, and restarted`, () =>
      Effect.gen(function*() {
        const good = Stream.concat(Stream.make("a"), Stream.never)
        const { fiber, logs, seen } = yield* follow(...times(8, stream), () => good)
        yield* TestClock.adjust("1 minute")
        deepStrictEqual(seen, ["a"])
        assert.isNull(fiber.unsafePoll())
        assert.lengthOf(logs, 2)
        assert.include(logs[0].text, "Token store, changes: ")
        deepStrictEqual(logs[1], { level: "Info", text: "Token store reports changes again" })
      }))
  }

  it.effect("fleet rule 10: changes of a store that throws at the call, or has none, are logged and restarted too", () =>
    Effect.gen(function*() {
      const getters = [() => {
        throw new Error("broken")
      }, () => undefined]
      for (const get of getters) {
        let asked = 0
        const broken = Object.defineProperty({ ...(yield* TokenStore.makeMemory()) }, "changes", {
          get: () => {
            asked++
            return get()
          }
        })
        const logs: Array<ProviderBench.Log> = []
        const store = yield* BoundedStore.make(broken, { timeout: Duration.seconds(1) })
        const logged = ProviderBench.collectLogs(logs)
        const fiber = yield* Effect.fork(logged(Stream.runDrain(store.changes)))
        yield* TestClock.adjust("20 seconds")
        assert.isAtLeast(asked, 3)
        assert.isNull(fiber.unsafePoll())
        assert.lengthOf(logs, 1)
      }
    }))

  it.effect("fleet rule 10: changes end with their reader, also during a pause", () =>
    Effect.gen(function*() {
      for (const stream of [Stream.never, lost]) {
        const { fiber, startedAt } = yield* follow(() => stream)
        const exit = yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isInterrupted(exit))
        yield* TestClock.adjust("1 minute")
        assert.lengthOf(startedAt, 1)
      }
    }))

  it.effect("fleet rule 10: lost changes are not an outage: the store is still called", () =>
    Effect.gen(function*() {
      const { logged, logs, store } = yield* make({ changes: lost })
      const fiber = yield* Effect.fork(logged(Stream.runDrain(store.changes)))
      yield* TestClock.adjust("20 seconds")
      deepStrictEqual(yield* logged(read(store)), Option.some(Option.none()))
      deepStrictEqual(shown(logs), [warning])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("fleet rule 10: changes arrive during an outage", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.unbounded<string>()
      const { logged, store } = yield* make({ get: () => failure("get"), changes: Stream.fromQueue(queue) })
      const fiber = yield* Effect.fork(Stream.runCollect(Stream.take(store.changes, 1)))
      yield* logged(read(store))
      yield* queue.offer("a")
      deepStrictEqual(yield* Fiber.join(fiber), Chunk.of("a"))
    }))
})
