import { AccessToken, OAuthError, TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Clock, DateTime, Deferred, Duration, Effect, Fiber, Option, Redacted, TestClock } from "effect"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as StoredToken from "../../src/store/StoredToken.js"
import * as ProviderBench from "../support/ProviderBench.js"
import { rowsEffect } from "../support/Rows.js"

type Store = TokenStore.TokenStore["Type"]

const key = "key"
const owner = "owner"
const timeout = Duration.seconds(1)
const lease = Duration.seconds(3)

const entry: TokenStore.Entry = { version: "v", payload: "payload", timeToLive: Duration.hours(1) }

const fails = (
  method: OAuthError.TokenStoreError["method"],
  description = "refused"
) => Effect.fail(new OAuthError.TokenStoreError({ method, reason: "Unavailable", description }))

/** Over a memory store in which some methods are replaced. */
const make = Effect.fnUntraced(function*(broken: (memory: Store) => Partial<Store> = () => ({})) {
  const memory = yield* TokenStore.makeMemory()
  const logs: Array<ProviderBench.Log> = []
  const store = yield* BoundedStore.make({ ...memory, ...broken(memory) }, { timeout })
  return { memory, logs, store, logged: ProviderBench.collectLogs(logs) }
})

const shown = (logs: ReadonlyArray<ProviderBench.Log>) => logs.map(({ level, text }) => `${level} ${text}`)

/** Each call that gives an answer, by the name of its method. */
const calls = {
  get: (store: BoundedStore.BoundedStore) => store.get(key, ({ payload }) => payload),
  set: (store: BoundedStore.BoundedStore) => store.set(key, entry, Option.none()),
  remove: (store: BoundedStore.BoundedStore) => store.remove(key, entry.version),
  acquireLease: (store: BoundedStore.BoundedStore) => store.acquireLease(key, owner, lease),
  extendLease: (store: BoundedStore.BoundedStore) => store.extendLease(key, owner, lease)
}

type Method = keyof typeof calls

const methods = ["get", "set", "remove", "acquireLease"] as const

const call = (store: BoundedStore.BoundedStore, method: Method): Effect.Effect<Option.Option<unknown>> =>
  calls[method](store)

/**
 * The clock of a process that stands still for so many milliseconds in its
 * first wait. What waits then is heard before anybody else.
 */
const stoodStill = (lost: number) =>
  Effect.map(Deferred.make<void>(), (end) => {
    const slept: Array<number> = []
    let passed = 0
    const millis = () => passed
    const nanos = () => BigInt(passed) * 1_000_000n
    const clock: Clock.Clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: millis,
      unsafeCurrentTimeNanos: nanos,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.suspend(() => {
          const wait = Duration.toMillis(duration)
          if (slept.push(wait) > 1) return Effect.never
          passed += wait + lost
          return Effect.asVoid(Deferred.succeed(end, undefined))
        })
    }
    return { clock, slept, end: Deferred.await(end) }
  })

describe.concurrent("BoundedStore", () => {
  it.effect("rule 8: a response that arrived while the process stood still is in time", () =>
    Effect.gen(function*() {
      for (const lost of [0, 1, 600, 60_000]) {
        const { clock, end, slept } = yield* stoodStill(lost)
        const { logged, logs, store } = yield* make((memory) => ({
          get: (key) => Effect.zipRight(end, memory.get(key))
        }))
        deepStrictEqual(
          yield* logged(Effect.withClock(call(store, "get"), clock)),
          Option.some(Option.none()),
          `${lost} ms`
        )
        deepStrictEqual(logs, [])
        // The time that was lost is not that of the store
        deepStrictEqual(slept, [100, 100])
      }
    }))

  it.effect("passes on the responses of a store that works", () =>
    Effect.gen(function*() {
      const { logged, logs, memory, store } = yield* make()
      const length = ({ payload }: TokenStore.Entry) => payload.length
      yield* logged(Effect.gen(function*() {
        deepStrictEqual(yield* store.get(key, length), Option.some(Option.none()))
        deepStrictEqual(yield* store.set(key, entry, Option.none()), Option.some(true))
        deepStrictEqual(yield* store.get(key, length), Option.some(Option.some(7)))
        deepStrictEqual(yield* store.set(key, entry, Option.none()), Option.some(false))
        deepStrictEqual(yield* store.set(key, entry, Option.some("v")), Option.some(true))
        deepStrictEqual(yield* store.remove(key, "other"), Option.some(false))
        deepStrictEqual(yield* store.remove(key, "v"), Option.some(true))
        deepStrictEqual(yield* store.acquireLease(key, owner, lease), Option.some(true))
        deepStrictEqual(yield* store.acquireLease(key, "other", lease), Option.some(false))
        deepStrictEqual(yield* store.extendLease(key, "other", lease), Option.some(false))
        yield* TestClock.adjust("2 seconds")
        deepStrictEqual(yield* store.extendLease(key, owner, lease), Option.some(true))
        yield* TestClock.adjust("2 seconds")
        assert.isFalse(yield* memory.acquireLease(key, "other", lease))
        yield* store.releaseLease(key, "other")
        assert.isFalse(yield* memory.acquireLease(key, "other", lease))
        yield* store.releaseLease(key, owner)
        assert.isTrue(yield* memory.acquireLease(key, "other", lease))
      }))
      deepStrictEqual(logs, [])
    }))

  describe("rule 8: a failing store", () => {
    it.effect("is not called for 5 seconds, by any method", () =>
      Effect.gen(function*() {
        for (const failing of methods) {
          const asked: Array<string> = []
          const refuse = (method: Method) => () => Effect.zipRight(Effect.sync(() => asked.push(method)), fails(method))
          const { logged, store } = yield* make(() => ({
            get: refuse("get"),
            set: refuse("set"),
            remove: refuse("remove"),
            acquireLease: refuse("acquireLease"),
            extendLease: refuse("extendLease")
          }))
          yield* logged(call(store, failing))
          yield* TestClock.adjust("4999 millis")
          for (const method of methods) deepStrictEqual(yield* logged(call(store, method)), Option.none())
          deepStrictEqual(asked, [failing])
          yield* TestClock.adjust("1 millis")
          deepStrictEqual(yield* logged(call(store, "set")), Option.none())
          deepStrictEqual(asked, [failing, "set"])
          yield* TestClock.adjust("4999 millis")
          yield* logged(call(store, "get"))
          deepStrictEqual(asked, [failing, "set"])
        }
      }))

    it.effect("is called again if the clock was set back", () =>
      Effect.gen(function*() {
        let isAway = true
        const { logged, store } = yield* make(({ get }) => ({ get: (key) => isAway ? fails("get") : get(key) }))
        yield* TestClock.setTime(Duration.toMillis("1 hour"))
        yield* logged(call(store, "get"))
        isAway = false
        yield* TestClock.setTime(0)
        deepStrictEqual(yield* logged(call(store, "get")), Option.some(Option.none()))
      }))

    const broken: Record<
      string,
      readonly [answer: () => Effect.Effect<never, OAuthError.TokenStoreError>, says: string]
    > = {
      fails: [() => fails("get", "no route"), "no route"],
      dies: [() => Effect.die(new Error("no route")), "no route"],
      throws: [() => {
        throw new Error("no route")
      }, "no route"],
      "interrupts itself": [() => Effect.interrupt, "nterrupt"],
      "answers what is no effect": [() => undefined as never, ""]
    }
    it.effect("has no response, and is logged with the method", () =>
      rowsEffect(Object.entries(broken), ([name]) => name, ([, [answer, says]]) =>
        Effect.gen(function*() {
          for (const method of methods) {
            const { logged, logs, store } = yield* make(() => ({ [method]: answer }))
            deepStrictEqual(yield* logged(call(store, method)), Option.none())
            assert.lengthOf(logs, 1)
            assert.strictEqual(logs[0].level, "Warning")
            assert.include(logs[0].text, `Token store, ${method}: `)
            assert.include(logs[0].text, says)
          }
        })))

    it.effect("a response that is neither true nor false is logged with the method", () =>
      rowsEffect(["set", "remove", "acquireLease"] as const, (method) => method, (method) =>
        Effect.gen(function*() {
          const { logged, logs, store } = yield* make(() => ({ [method]: () => Effect.succeed("OK") }))
          deepStrictEqual(yield* logged(call(store, method)), Option.none())
          assert.lengthOf(logs, 1)
          assert.include(logs[0].text, `Token store, ${method}: it returned neither true nor false`)
        })))

    it.effect("an outage is logged as one warning with its cause, and once when it ends", () =>
      Effect.gen(function*() {
        let isDown = true
        const { logged, logs, store } = yield* make((memory) => ({
          get: (key) => isDown ? fails("get", "ECONNREFUSED 127.0.0.1:6379") : memory.get(key),
          set: (...args) => isDown ? fails("set", "other") : memory.set(...args)
        }))
        for (let i = 0; i < 5; i++) {
          yield* logged(call(store, "get"))
          yield* TestClock.adjust("5 seconds")
          yield* logged(call(store, "set"))
          yield* TestClock.adjust("5 seconds")
        }
        const warning =
          "Warning Token store, get: ECONNREFUSED 127.0.0.1:6379. Until the store is available again, tokens are cached in this process only"
        deepStrictEqual(shown(logs), [warning])
        isDown = false
        for (let i = 0; i < 3; i++) {
          yield* logged(call(store, "get"))
          yield* logged(call(store, "set"))
        }
        deepStrictEqual(shown(logs), [warning, "Info Token store is available again"])
        isDown = true
        yield* logged(call(store, "get"))
        deepStrictEqual(shown(logs), [warning, "Info Token store is available again", warning])
      }))

    it.effect("that can be read but not written is not available again with each read", () =>
      Effect.gen(function*() {
        let isReadOnly = true
        const { logged, logs, store } = yield* make((memory) => ({
          set: (...args) => isReadOnly ? fails("set", "READONLY") : memory.set(...args)
        }))
        for (let i = 0; i < 5; i++) {
          yield* logged(call(store, "get"))
          yield* logged(call(store, "acquireLease"))
          deepStrictEqual(yield* logged(call(store, "set")), Option.none())
          yield* TestClock.adjust("10 seconds")
        }
        assert.lengthOf(logs, 1)
        assert.include(logs[0].text, "READONLY")
        isReadOnly = false
        yield* logged(call(store, "get"))
        assert.lengthOf(logs, 1)
        yield* logged(call(store, "set"))
        deepStrictEqual(shown(logs).slice(1), ["Info Token store is available again"])
      }))

    it.effect("that does not extend a lease is called again, and nothing is logged", () =>
      Effect.gen(function*() {
        for (const [, [answer]] of Object.entries(broken)) {
          let asked = 0
          const { logged, logs, store } = yield* make(() => ({
            extendLease: () => {
              asked++
              return answer()
            }
          }))
          for (let i = 0; i < 3; i++) {
            deepStrictEqual(yield* logged(store.extendLease(key, owner, lease)), Option.none())
          }
          assert.strictEqual(asked, 3)
          deepStrictEqual(logs, [])
          deepStrictEqual(yield* logged(store.acquireLease(key, owner, lease)), Option.some(true))
        }
      }))

    it.effect("in a rare call is available again with the usual one of its kind: the next outage is logged too", () =>
      Effect.gen(function*() {
        for (const [seldom, usual] of [["remove", "set"]] as const) {
          let isDown = true
          const { logged, logs, store } = yield* make((memory) => ({
            [seldom]: () => fails(seldom),
            get: (key) => isDown ? fails("get") : memory.get(key)
          }))
          for (let n = 1; n <= 2; n++) {
            isDown = true
            yield* logged(call(store, seldom))
            yield* TestClock.adjust("5 seconds")
            yield* logged(call(store, "get"))
            assert.lengthOf(logs, 2 * n - 1)
            isDown = false
            yield* TestClock.adjust("5 seconds")
            yield* logged(call(store, "get"))
            assert.lengthOf(logs, 2 * n - 1)
            yield* logged(call(store, usual))
            assert.lengthOf(logs, 2 * n)
          }
        }
      }))

    it.effect("a call ends at its time limit, in uninterruptible regions too", () =>
      Effect.gen(function*() {
        const calls = yield* Effect.forEach(
          Arr.cartesian(
            methods,
            Arr.cartesian(
              [Effect.never, Effect.uninterruptible(Effect.never)],
              [Effect.interruptible, Effect.uninterruptible]
            )
          ),
          ([method, [answer, region]]) =>
            Effect.gen(function*() {
              const { logged, logs, store } = yield* make(() => ({ [method]: () => answer }))
              return { method, logs, fiber: yield* Effect.fork(region(logged(call(store, method)))) }
            })
        )
        yield* TestClock.adjust("999 millis")
        for (const { fiber, method } of calls) assert.isNull(fiber.unsafePoll(), method)
        yield* TestClock.adjust("1 millis")
        for (const { fiber, logs, method } of calls) {
          deepStrictEqual(yield* Fiber.join(fiber), Option.none())
          assert.lengthOf(logs, 1)
          assert.include(logs[0].text, `Token store, ${method}: no answer within 1s`)
        }
      }))

    it.effect("a response in the last moment counts", () =>
      Effect.gen(function*() {
        const { logs, store } = yield* make((memory) => ({ get: (key) => Effect.delay(memory.get(key), "999 millis") }))
        deepStrictEqual(yield* ProviderBench.during("1 second")(call(store, "get")), Option.some(Option.none()))
        deepStrictEqual(logs, [])
      }))

    it.effect("a call is interrupted if its caller is, or at its time limit", () =>
      Effect.gen(function*() {
        let interrupted = 0
        const { logged, store } = yield* make(() => ({
          get: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        }))
        const fiber = yield* Effect.fork(call(store, "get"))
        yield* ProviderBench.settle
        yield* Fiber.interrupt(fiber)
        yield* ProviderBench.settle
        assert.strictEqual(interrupted, 1)
        yield* ProviderBench.during("1 second")(logged(call(store, "get")))
        yield* ProviderBench.settle
        assert.strictEqual(interrupted, 2)
      }))

    it.effect("calls in progress at the failure log one warning", () =>
      Effect.gen(function*() {
        const { logged, logs, store } = yield* make(() => ({ get: () => Effect.never, set: () => Effect.never }))
        const both = Effect.all([call(store, "get"), call(store, "set")], { concurrency: "unbounded" })
        yield* ProviderBench.during("1 second")(logged(both))
        assert.lengthOf(logs, 1)
      }))
  })

  describe("rule 8: an entry that cannot be read", () => {
    it.effect("counts as absent, is logged once per key, and is not an outage", () =>
      Effect.gen(function*() {
        const { logged, logs, store } = yield* make(() => ({
          get: () =>
            Effect.fail(
              new OAuthError.TokenStoreError({ method: "get", reason: "InvalidEntry", description: "it is garbage" })
            )
        }))
        for (const key of ["a", "a", "b", "a"]) {
          deepStrictEqual(yield* logged(store.get(key, () => 1)), Option.some(Option.none()))
        }
        deepStrictEqual(shown(logs), [
          "Warning Token store entry a counts as absent: it is garbage",
          "Warning Token store entry b counts as absent: it is garbage"
        ])
        deepStrictEqual(yield* logged(call(store, "set")), Option.some(true))
        assert.lengthOf(logs, 2)
      }))

    it.effect("is logged once also if reported later", () =>
      Effect.gen(function*() {
        const { logged, logs, store } = yield* make()
        for (let i = 0; i < 3; i++) yield* logged(store.reportUnreadable(key, "it is garbage"))
        deepStrictEqual(shown(logs), ["Warning Token store entry key counts as absent: it is garbage"])
      }))

    it.effect("is remembered for 1,000 keys", () =>
      Effect.gen(function*() {
        const { logged, logs, store } = yield* make()
        const report = (n: number) => logged(store.reportUnreadable(`${n}`, "it is garbage"))
        for (let n = 0; n < 1000; n++) yield* report(n)
        yield* report(0)
        assert.lengthOf(logs, 1000)
        yield* report(1000)
        yield* report(0)
        assert.lengthOf(logs, 1002)
      }))

    it.effect("whose decoding throws is a failure of the store", () =>
      Effect.gen(function*() {
        const { logged, logs, memory, store } = yield* make()
        yield* memory.set(key, entry, Option.none())
        const decode = () => {
          throw new Error("no entry at all")
        }
        deepStrictEqual(yield* logged(store.get(key, decode)), Option.none())
        assert.include(logs[0].text, "Token store, get: no entry at all")
      }))
  })

  describe("fleet rule 3: a lease is released", () => {
    it.effect("also during an outage, and nothing is logged", () =>
      Effect.gen(function*() {
        const { logged, logs, memory, store } = yield* make(() => ({ get: () => fails("get") }))
        yield* memory.acquireLease(key, owner, lease)
        yield* logged(call(store, "get"))
        assert.lengthOf(logs, 1)
        yield* logged(store.releaseLease(key, owner))
        assert.isTrue(yield* memory.acquireLease(key, "other", lease))
        assert.lengthOf(logs, 1)
      }))

    for (
      const [name, release] of Object.entries({
        fails: () => fails("releaseLease"),
        dies: () => Effect.die("broken"),
        throws: () => {
          throw new Error("broken")
        },
        "interrupts itself": () => Effect.interrupt
      })
    ) {
      it.effect(`a store that ${name} then costs nothing: the lease ends by itself`, () =>
        Effect.gen(function*() {
          const { logged, logs, store } = yield* make(() => ({ releaseLease: release }))
          yield* logged(store.releaseLease(key, owner))
          deepStrictEqual(yield* logged(call(store, "get")), Option.some(Option.none()))
          deepStrictEqual(logs, [])
        }))
    }

    it.effect("within the time limit, in uninterruptible regions too", () =>
      Effect.gen(function*() {
        const { logged, logs, store } = yield* make(() => ({
          releaseLease: () => Effect.uninterruptible(Effect.never)
        }))
        const fiber = yield* Effect.fork(Effect.uninterruptible(logged(store.releaseLease(key, owner))))
        yield* TestClock.adjust("999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(fiber)
        deepStrictEqual(logs, [])
      }))
  })

  describe("rule 9: a secret", () => {
    const tokenOf = (value: string) =>
      AccessToken.make({ value: Redacted.make(value), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1 hour" })

    const says = (secret: string, text: string) =>
      Effect.forEach(
        [
          Effect.fail(
            new OAuthError.TokenStoreError({
              method: "set",
              reason: "Unavailable",
              description: OAuthError.oneLine(text)
            })
          ),
          Effect.die(new Error(text)),
          Effect.die(text)
        ],
        (fail) =>
          Effect.gen(function*() {
            const { logged, logs, store } = yield* make(() => ({ set: () => fail }))
            yield* logged(store.set(key, entry, Option.none(), { secrets: [Redacted.make(secret)] }))
            // On no level: Effect itself would log a fiber that fails
            assert.lengthOf(logs, 1)
            return logs[0].text
          })
      )

    const long = Array.from({ length: 200 }, (_, i) => `${i}:`).join("")

    it.effect("is not logged, whole or in part, whatever the store's error contains", () =>
      Effect.gen(function*() {
        for (const secret of ["short:token", long]) {
          const payload = StoredToken.encode(tokenOf(secret))
          for (
            const text of [`${secret} and ${secret}`, payload, `${"x".repeat(250)} ${secret}`, "x".repeat(298) + secret]
          ) {
            for (const said of yield* says(secret, text)) {
              assert.notInclude(said, secret.slice(0, 2))
              assert.include(said, "<redacted>")
            }
          }
        }
      }))

    it.effect("is not logged as escaped in the payload", () =>
      Effect.gen(function*() {
        for (const secret of ["qz\"cd\\ef", `qz"${long}`, "\\\"\\\"qz"]) {
          const payload = StoredToken.encode(tokenOf(secret))
          for (const pad of [0, 200, 270, 280, 285]) {
            for (const said of yield* says(secret, "x".repeat(pad) + payload)) {
              assert.notInclude(said, "qz")
              assert.notInclude(said, "cd")
              assert.notInclude(said, "7:")
            }
          }
        }
      }))

    it.effect("does not hide the rest of the error", () =>
      Effect.gen(function*() {
        for (const text of ["refused", `${"x".repeat(298)}…`, "s…"]) {
          for (const said of yield* says("another secret", text)) assert.include(said, `Token store, set: ${text}. `)
        }
      }))
  })
})
