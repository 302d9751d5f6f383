import { TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Duration, Effect, Exit, FastCheck as fc, Fiber, Number as Num, Option, TestClock } from "effect"
import * as VirtualClock from "../../fleet/src/VirtualClock.js"
import { during, value } from "./support/ProviderBench.js"
import * as RefreshBench from "./support/RefreshBench.js"
import { isThorough } from "./support/Runs.js"

const all = <A, E>(
  processes: ReadonlyArray<RefreshBench.Process>,
  f: (process: RefreshBench.Process, index: number) => Effect.Effect<A, E>
) => during("3 seconds")(Effect.forEach(processes, f, { concurrency: "unbounded" }))

const once = (uses: ReadonlyArray<number>) => uses.filter((times) => times > 1)

describe.concurrent("RefreshTokenGrant, in a fleet (fleet rule 13)", () => {
  it.scoped("simultaneous renewals use one refresh token, once", () =>
    Effect.gen(function*() {
      const { processes, uses } = yield* RefreshBench.make({ size: 8 })
      const tokens = yield* all(processes, ({ provider }) => provider.get())
      deepStrictEqual(new Set(tokens.map(value)), new Set(["token-1"]))
      deepStrictEqual(yield* uses, [1, 0])
    }))

  it.scoped("simultaneous renewals for many scopes use no token twice, and all succeed", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes, uses } = yield* RefreshBench.make({ size: 4 })
      yield* all(processes, ({ provider }, index) => provider.get({ scope: `s${index}` }))
      deepStrictEqual(yield* uses, [1, 1, 1, 1, 0])
      assert.isFalse(yield* isLockedOut)
    }))

  it.scoped("the refresh token passes from process to process", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes, uses } = yield* RefreshBench.make({ size: 4 })
      for (let i = 0; i < 12; i++) {
        yield* during("1 second")(processes[i % 4].provider.get())
        yield* TestClock.adjust("1 hour")
      }
      deepStrictEqual(yield* uses, [...Arr.replicate(1, 12), 0])
      assert.isFalse(yield* isLockedOut)
    }))

  it.scoped("simultaneous 401s use one refresh token", () =>
    Effect.gen(function*() {
      const bench = yield* RefreshBench.make({ size: 8 })
      yield* all(bench.processes, ({ provider }) => provider.get())
      yield* bench.server.revoke()
      const statuses = yield* all(bench.processes, (process) => RefreshBench.call(bench, process))
      deepStrictEqual(new Set(statuses), new Set([200]))
      deepStrictEqual(yield* bench.uses, [1, 1, 0])
    }))

  it.scoped("a background renewal uses one refresh token too", () =>
    Effect.gen(function*() {
      const { processes, uses } = yield* RefreshBench.make({ size: 8 })
      yield* all(processes, ({ provider }) => provider.get())
      yield* TestClock.adjust("58 minutes")
      yield* all(processes, ({ provider }) => provider.get())
      yield* TestClock.adjust("10 seconds")
      deepStrictEqual(yield* uses, [1, 1, 0])
    }))

  it.scoped("a process killed during its request delays the others until its lease ends", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes: [one, ...others], server, uses } = yield* RefreshBench.make({ size: 3 })
      // It does not reach the server
      yield* server.failNext(1, "hang")
      yield* Effect.fork(Effect.exit(one.provider.get()))
      yield* TestClock.adjust("50 millis")
      yield* one.kill
      yield* TestClock.adjust("17 seconds")
      const tokens = yield* during("10 seconds")(
        Effect.forEach(others, ({ provider }) => provider.get(), { concurrency: "unbounded" })
      )
      deepStrictEqual(new Set(tokens.map(value)), new Set(["token-1"]))
      deepStrictEqual(yield* uses, [1, 0])
      assert.isFalse(yield* isLockedOut)
    }))

  it.scoped("a token that another process stores does not end a refresh in progress: its refresh token is kept", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes: [one, two], sharedStore, stored, uses } = yield* RefreshBench.make({
        size: 2,
        server: { tokenDelay: "1 second" }
      })
      const asking = yield* Effect.fork(one.provider.get())
      yield* TestClock.adjust("500 millis")
      const [{ key }] = yield* one.store.callsOf("acquireLease")
      const payload = JSON.stringify({ v: 1, token: "another", type: "Bearer", scope: null, lifetime: 3_600_000 })
      yield* sharedStore.set(key, { version: "another", payload, timeToLive: Duration.hours(1) }, Option.none())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* Fiber.join(asking)), "another")
      assert.strictEqual(Option.getOrUndefined(yield* stored)?.generation, 1)
      yield* TestClock.adjust("2 hours")
      yield* during("3 seconds")(two.provider.get())
      deepStrictEqual(yield* uses, [1, 1, 0])
      assert.isFalse(yield* isLockedOut)
    }))

  /** Killed between the answer and the write. */
  const killedHalfway = Effect.fnUntraced(function*(refreshGracePeriod: "0 seconds" | "30 seconds") {
    const bench = yield* RefreshBench.make({ size: 2, server: { refreshGracePeriod } })
    const { processes: [one, two] } = bench
    yield* one.store.hang(true, "set")
    yield* Effect.fork(Effect.exit(one.provider.get()))
    yield* TestClock.adjust("300 millis")
    yield* one.kill
    yield* TestClock.adjust("20 seconds")
    return { ...bench, exit: yield* during("8 seconds")(Effect.exit(two.provider.get())) }
  })

  it.scoped("a process killed between response and write: a server with a grace period issues the token again", () =>
    Effect.gen(function*() {
      const { exit, isLockedOut, uses } = yield* killedHalfway("30 seconds")
      assert.isTrue(Exit.isSuccess(exit))
      deepStrictEqual(yield* uses, [2, 0, 0])
      assert.isFalse(yield* isLockedOut)
    }))

  it.scoped("after such a kill a server without a grace period locks the client out, and the error says so", () =>
    Effect.gen(function*() {
      const { exit, isLockedOut } = yield* killedHalfway("0 seconds")
      const error = yield* Effect.flip(exit)
      assert.include(error.message, "invalid_grant")
      assert.include(error.message, "obtain a new one")
      assert.isTrue(yield* isLockedOut)
    }))

  it.scoped("a process that cannot store a new refresh token prevents the others from using the previous one", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes, uses } = yield* RefreshBench.make({ size: 2 })
      const [one, ...others] = processes
      yield* Effect.fork(Effect.exit(one.provider.get()))
      yield* TestClock.adjust("50 millis")
      yield* one.store.fail("connection refused")
      for (let second = 0; second < 20; second++) {
        for (const { provider } of others) yield* Effect.fork(Effect.exit(provider.get()))
        yield* TestClock.adjust("1 second")
      }
      yield* one.store.fail(undefined)
      yield* TestClock.adjust("2 seconds")
      const tokens = yield* all(processes, ({ provider }) => provider.get())
      assert.strictEqual(new Set(tokens.map(value)).size, 1)
      deepStrictEqual(once(yield* uses), [])
      assert.isFalse(yield* isLockedOut)
    }))

  it.scoped("a store that is down for all when the response arrives gets the token first", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes, uses } = yield* RefreshBench.make({ size: 3 })
      yield* Effect.forEach(processes, ({ provider }) => Effect.fork(Effect.exit(provider.get())))
      yield* TestClock.adjust("50 millis")
      yield* Effect.forEach(processes, ({ store }) => store.fail("connection refused"))
      yield* TestClock.adjust("20 seconds")
      yield* Effect.forEach(processes, ({ store }) => store.fail(undefined))
      const tokens = yield* all(Arr.reverse(processes), ({ provider }) => provider.get())
      assert.strictEqual(new Set(tokens.map(value)).size, 1)
      deepStrictEqual(once(yield* uses), [])
      assert.isFalse(yield* isLockedOut)
    }))

  it.scoped("a store that is down for all stops all refreshes until it is back", () =>
    Effect.gen(function*() {
      const { isLockedOut, processes, uses } = yield* RefreshBench.make({ size: 4 })
      yield* all(processes, ({ provider }) => provider.get())
      yield* Effect.forEach(processes, ({ store }) => store.fail("connection refused"))
      yield* TestClock.adjust("1 hour")
      const exits = yield* all(processes, ({ provider }) => Effect.exit(provider.get()))
      assert.isTrue(exits.every(Exit.isFailure))
      deepStrictEqual(yield* uses, [1, 0])
      yield* Effect.forEach(processes, ({ store }) => store.fail(undefined))
      yield* TestClock.adjust("6 seconds")
      const tokens = yield* all(processes, ({ provider }) => provider.get())
      deepStrictEqual(new Set(tokens.map(value)), new Set(["token-2"]))
      deepStrictEqual(yield* uses, [1, 1, 0])
      assert.isFalse(yield* isLockedOut)
    }))
})

// What can happen to a fleet of three processes
const fault = fc.record({
  who: fc.nat(2),
  after: fc.integer({ min: 0, max: 20_000 }),
  lasts: fc.integer({ min: 100, max: 30_000 }),
  kind: fc.constantFrom("set", "get", "lease", "everything", "hang", "revoke", "slow", "unavailable", "close")
})

type Fault = typeof fault extends fc.Arbitrary<infer A> ? A : never

const ofTheStore: ReadonlyArray<Fault["kind"]> = ["set", "get", "lease", "everything", "hang"]

/** No process is cut off from the store for longer than a lease bears, or ends while it is. */
const isBearable = (faults: ReadonlyArray<Fault>) =>
  faults.every(({ kind, who }) => {
    const away = faults.filter((fault) => fault.who === who && ofTheStore.includes(fault.kind))
    return kind !== "unavailable" && (kind === "close" ? away.length === 0 : total(away) <= 20_000)
  })

const total = (faults: ReadonlyArray<Fault>) => Num.sumAll(faults.map(({ lasts }) => lasts))

/** Plays a history of two minutes with tokens of 20 seconds, and tells what came of the refresh tokens. */
const play = Effect.fnUntraced(
  function*(
    faults: ReadonlyArray<Fault>,
    options: { readonly grace: "0 seconds" | "2 minutes"; readonly answersAreLost: boolean; readonly kills: boolean }
  ) {
    const bench = yield* RefreshBench.make({
      size: 3,
      server: { lifetime: "20 seconds", refreshGracePeriod: options.grace },
      provider: { storeTimeout: undefined },
      sharedStore: yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
    })
    const { server } = bench
    const processes = [...bench.processes]
    const begin = Effect.fnUntraced(function*({ kind, lasts, who }: Fault) {
      const { store } = processes[who]
      const methods = kind === "set" || kind === "get"
        ? [kind] as const
        : kind === "lease"
        ? ["acquireLease", "extendLease", "releaseLease"] as const
        : []
      switch (kind) {
        case "revoke":
          return yield* server.revoke()
        case "slow":
          yield* server.setTokenDelay("4 seconds")
          return yield* Effect.delay(server.setTokenDelay("100 millis"), lasts)
        case "unavailable":
          return options.answersAreLost ? yield* server.failNext(1, "reset") : undefined
        case "close": {
          const next = yield* bench.launch
          const [old] = processes.splice(who, 1, next)
          return yield* options.kills ? old.kill : old.close
        }
        case "hang":
          yield* store.hang(true)
          return yield* Effect.delay(store.hang(false), lasts)
        default:
          yield* store.fail("away", ...methods)
          return yield* Effect.delay(store.fail(undefined, ...methods), lasts)
      }
    })
    yield* Effect.fork(Effect.forEach(faults, (fault) => Effect.delay(begin(fault), fault.after), {
      concurrency: "unbounded"
    }))
    for (let second = 0; second < 60; second++) {
      for (const process of processes) yield* Effect.fork(Effect.exit(RefreshBench.call(bench, process)))
      yield* VirtualClock.pass("1 second")
    }
    // All is calm again
    yield* VirtualClock.pass("1 minute")
    const last = yield* Effect.forEach(processes, ({ provider }) => provider.get(), { concurrency: "unbounded" }).pipe(
      Effect.timeout("30 seconds"),
      Effect.exit
    )
    return { uses: yield* bench.uses, isLockedOut: yield* bench.isLockedOut, isServed: Exit.isSuccess(last) }
  },
  Effect.scoped,
  (history) => Effect.flatten(Effect.promise(() => VirtualClock.runPromise(history)))
)

// More of them in CI
const numRuns = isThorough ? 10 : 1

describe.concurrent("RefreshTokenGrant, any history", () => {
  it.effect.prop(
    "if no process is killed, no refresh token is used twice, and in the end every process gets a token",
    [fc.array(fault, { maxLength: 6 }).filter(isBearable)],
    ([faults]) =>
      Effect.gen(function*() {
        const { isLockedOut, isServed, uses } = yield* play(faults, {
          grace: "0 seconds",
          answersAreLost: false,
          kills: false
        })
        deepStrictEqual(once(uses), [])
        assert.isFalse(isLockedOut)
        assert.isTrue(isServed)
      }),
    { fastCheck: { numRuns, seed: 13 } }
  )

  it.effect.prop(
    "with a grace period of the server, neither kills nor lost answers lock the client out",
    [fc.array(fault, { maxLength: 6 })],
    ([faults]) =>
      Effect.gen(function*() {
        const { isLockedOut, isServed } = yield* play(faults, {
          grace: "2 minutes",
          answersAreLost: true,
          kills: true
        })
        assert.isFalse(isLockedOut)
        assert.isTrue(isServed)
      }),
    { fastCheck: { numRuns, seed: 13 } }
  )
})
