import { TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Either, Exit, Fiber, Option, Stream } from "effect"
import { Dice } from "../src/Dice.js"
import * as Machine from "../src/Machine.js"
import * as ModelStore from "../src/ModelStore.js"
import * as VirtualClock from "../src/VirtualClock.js"

const make = (options?: Partial<ModelStore.Options>) => {
  const time = new VirtualClock.VirtualClock()
  const model = ModelStore.make(time, new Dice(1), { ...ModelStore.defaultOptions, ...options })
  const machine = (id: number) => Machine.make({ id, time, skew: 0, dice: new Dice(id) })
  const run = <A, E>(effect: Effect.Effect<A, E>) =>
    Either.getOrThrowWith(VirtualClock.run(effect, time), () => new Error("deadlock"))
  return { time, model, machine, run }
}

const entry = (version: string): TokenStore.Entry => ({ version, payload: "payload", timeToLive: Duration.minutes(1) })

const set = (store: TokenStore.TokenStore["Type"], version: string, replaces = Option.none<string>()) =>
  store.set("key", entry(version), replaces)

const version = (store: TokenStore.TokenStore["Type"]) =>
  Effect.map(store.get("key"), Option.match({ onNone: () => undefined, onSome: ({ version }) => version }))

describe("ModelStore", () => {
  describe("keeps the contract of a store", () => {
    for (const row of TokenStoreContract.make({ advance: Effect.sleep })) {
      it(row.name, () => {
        const { machine, model, run } = make()
        deepStrictEqual(
          run(Effect.provideService(row.effect, TokenStore.TokenStore, model.connect(machine(1)))),
          Exit.void
        )
      })
    }
  })

  it("executes a call that arrives late, though its caller has given up", () => {
    const { machine, model, run, time } = make({ lateness: [2_000, 2_000] })
    model.setLateRate(1)
    const store = model.connect(machine(1))
    const written = Effect.timeoutOption(set(store, "late"), "500 millis")
    const read = Effect.timeout(version(store), "3 seconds")
    deepStrictEqual(
      run(Effect.zip(written, read)),
      Exit.succeed<[Option.Option<boolean>, string]>([Option.none(), "late"])
    )
    assert.isAbove(time.elapsed(), 2_000)
    assert.strictEqual(model.disturbances(), 2)
  })

  it("executes commands that a process sent before it was killed, and none after", () => {
    const { machine, model, run } = make()
    const victim = machine(1)
    const witness = model.connect(machine(2))
    const program = Effect.gen(function*() {
      yield* Effect.fork(set(model.connect(victim), "last words"))
      yield* Effect.yieldNow()
      victim.kill()
      yield* Effect.fork(set(model.connect(victim), "from the grave", Option.some("last words")))
      yield* Effect.sleep("1 second")
      return yield* version(witness)
    })
    deepStrictEqual(run(program), Exit.succeed("last words"))
  })

  it("fails or hangs for one process or for all, and works again", () => {
    const { machine, model, run } = make()
    const [one, other] = [machine(1), machine(2)]
    const ask = (machine: Machine.Machine) =>
      Effect.match(Effect.timeoutOption(model.connect(machine).get("key"), "1 second"), {
        onFailure: ({ reason }) => reason,
        onSuccess: (answer) => Option.isNone(answer) ? "silence" : "answer"
      })
    const both = () => run(Effect.zip(ask(one), ask(other)))
    model.setCondition("fails", one)
    deepStrictEqual(both(), Exit.succeed(["Unavailable", "answer"] as const))
    model.setCondition("hangs")
    deepStrictEqual(both(), Exit.succeed(["silence", "silence"] as const))
    model.setCondition("works")
    model.setCondition("works", one)
    deepStrictEqual(both(), Exit.succeed(["answer", "answer"] as const))
  })

  it("loses the last writes and leases in a failover", () => {
    const { machine, model, run } = make()
    const store = model.connect(machine(1))
    const program = Effect.gen(function*() {
      yield* set(store, "kept")
      yield* Effect.sleep("2 seconds")
      yield* set(store, "lost", Option.some("kept"))
      yield* store.acquireLease("key", "a", Duration.minutes(1))
      model.failOver(1_000)
      return [yield* version(store), yield* store.acquireLease("key", "b", Duration.minutes(1))] as const
    })
    deepStrictEqual(run(program), Exit.succeed(["kept", true] as const))
  })

  it("notifies every process of a write, unless the notice is lost, and ends the stream with the connection", () => {
    const { machine, model, run } = make()
    const store = model.connect(machine(1))
    const program = Effect.gen(function*() {
      const heard: Array<string> = []
      const listener = yield* Effect.fork(
        Effect.flip(Stream.runForEach(model.connect(machine(2)).changes, (key) => Effect.sync(() => heard.push(key))))
      )
      yield* Effect.sleep("1 second")
      yield* set(store, "told")
      yield* Effect.sleep("1 second")
      model.setNoticeLoss(1)
      yield* set(store, "not told", Option.some("told"))
      yield* Effect.sleep("1 second")
      model.failOver(0)
      yield* Fiber.join(listener)
      return heard
    })
    deepStrictEqual(run(program), Exit.succeed(["key"]))
  })

  it("counts the calls", () => {
    const { machine, model, run } = make()
    run(Effect.zipRight(set(model.connect(machine(1)), "a"), version(model.connect(machine(2)))))
    assert.strictEqual(model.commands(), 2)
  })
})
