import type { AccessToken, OAuthError } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Either, Exit, Option, Redacted } from "effect"
import { Dice } from "../src/Dice.js"
import * as Machine from "../src/Machine.js"
import * as ModelApi from "../src/ModelApi.js"
import * as ModelEndpoint from "../src/ModelEndpoint.js"
import * as VirtualClock from "../src/VirtualClock.js"

const make = (options?: Partial<ModelEndpoint.Options>) => {
  const time = new VirtualClock.VirtualClock()
  const endpoint = ModelEndpoint.make(time, new Dice(1), { ...ModelEndpoint.defaultOptions, ...options })
  const api = ModelApi.make(time, new Dice(2), endpoint)
  const machine = (id: number, skew = 0) => Machine.make({ id, time, skew, dice: new Dice(id) })
  const ask = (machine: Machine.Machine, scope?: string) => {
    const handle = endpoint.connect(machine)
    return handle.attempt(handle.resolve(scope === undefined ? undefined : { scope }))
  }
  /** Sends a token to an API, and returns the API's verdict. */
  const show = (machine: Machine.Machine, token: AccessToken.AccessToken, scope = "read") =>
    Effect.suspend(() => {
      const before = new Map(api.counts)
      return Effect.map(
        api.send(machine, { origin: "https://api.test", scope }, Redacted.value(token.value)),
        () => Array.from(api.counts.keys()).find((verdict) => api.counts.get(verdict) !== before.get(verdict))
      )
    })
  const run = <A, E>(effect: Effect.Effect<A, E>): A =>
    Either.getOrThrowWith(VirtualClock.run(effect, time), () => new Error("deadlock")).pipe(
      Exit.getOrElse((cause) => assert.fail(String(cause)))
    )
  return { time, endpoint, api, machine, ask, show, run }
}

const value = ({ value }: AccessToken.AccessToken) => Redacted.value(value)

const reason = <A>(effect: Effect.Effect<A, OAuthError.TokenRequestError>) =>
  Effect.map(Effect.flip(effect), (error) => error.error ?? error.status ?? error.reason)

describe("ModelEndpoint", () => {
  it("issues tokens that expire by the true time, and reports the expiry by the requester's clock", () => {
    const { ask, machine, run, show, time } = make({ lifetime: 20_000 })
    const late = machine(1, 30_000)
    const token = run(ask(late))
    const told = Option.getOrThrow(token.expiresAt).epochMillis - late.clock.unsafeCurrentTimeMillis()
    assert.isAtMost(told, 20_000 - time.elapsed())
    assert.isAtLeast(told, 19_000 - time.elapsed())
    assert.strictEqual(run(show(late, token)), "accepted")
    run(Effect.sleep("20 seconds"))
    assert.strictEqual(run(show(late, token)), "expired")
  })

  it("has one key for a scope on all machines, and another for another scope", () => {
    const { endpoint, machine } = make()
    const key = (id: number, scope?: string) => Redacted.value(endpoint.connect(machine(id)).resolve({ scope }).key)
    assert.strictEqual(key(1, "write"), key(2, "write"))
    assert.notStrictEqual(key(1, "write"), key(1, "read"))
    assert.strictEqual(key(1), key(1, ModelEndpoint.defaultScope))
  })

  it("detects a token of another scope, and one that it never issued", () => {
    const { api, ask, machine, run, show } = make()
    const token = run(ask(machine(1), "write"))
    assert.strictEqual(run(show(machine(1), token)), "mixed")
    assert.strictEqual(run(api.send(machine(1), { origin: "https://api.test", scope: "read" }, "forged")), 401)
    assert.strictEqual(api.counts.get("unknown"), 1)
  })

  it("revokes all issued tokens, and none that are issued later", () => {
    const { ask, endpoint, machine, run, show } = make()
    const old = run(ask(machine(1)))
    endpoint.revokeAll()
    const next = run(ask(machine(1)))
    assert.strictEqual(run(show(machine(1), old)), "revoked")
    assert.strictEqual(run(show(machine(1), next)), "accepted")
  })

  it("returns the same token until little of it remains", () => {
    const { ask, machine, run } = make({ issue: "same", lifetime: 20_000, renewsWithin: 5_000 })
    const first = run(ask(machine(1)))
    run(Effect.sleep("10 seconds"))
    assert.strictEqual(value(run(ask(machine(2)))), value(first))
    run(Effect.sleep("6 seconds"))
    assert.notStrictEqual(value(run(ask(machine(2)))), value(first))
  })

  it("keeps one token active for each client", () => {
    const { ask, machine, run, show } = make({ issue: "single" })
    const first = run(ask(machine(1)))
    const second = run(ask(machine(2), "write"))
    assert.strictEqual(run(show(machine(1), first)), "revoked")
    assert.strictEqual(run(show(machine(2), second, "write")), "accepted")
  })

  it("binds tokens to the machine that asked", () => {
    const { ask, machine, run, show } = make({ issue: "bound" })
    const owner = machine(1)
    const token = run(ask(owner))
    assert.strictEqual(run(show(owner, token)), "accepted")
    assert.strictEqual(run(show(machine(2), token)), "bound")
  })

  it("answers 503, denies the client, or hangs until the attempt times out", () => {
    const { ask, endpoint, machine, run, time } = make({ timeout: 5_000 })
    const answer = (condition: ModelEndpoint.Condition) => {
      endpoint.setCondition(condition)
      return run(reason(ask(machine(1))))
    }
    deepStrictEqual([answer("refuses"), answer("denies")], [503, "invalid_client"])
    const before = time.elapsed()
    assert.strictEqual(answer("hangs"), "Timeout")
    assert.strictEqual(time.elapsed() - before, 5_000)
    assert.strictEqual(endpoint.arrivals.length, 3)
  })

  it("counts the request of a machine that is killed before the response", () => {
    const { ask, endpoint, machine, run } = make()
    const victim = machine(1)
    run(Effect.gen(function*() {
      yield* Effect.forkDaemon(ask(victim))
      yield* Effect.yieldNow()
      deepStrictEqual(Array.from(endpoint.asking), [victim])
      victim.kill()
      yield* Effect.sleep("1 second")
    }))
    assert.strictEqual(endpoint.issued.length, 1)
  })
})

describe("ModelApi", () => {
  it("has origins that reject every token, and others", () => {
    const { api, ask, machine, run } = make()
    const token = value(run(ask(machine(1))))
    const status = (origin: string) => run(api.send(machine(1), { origin, scope: "read" }, token))
    api.setRefusing("https://bad.test", true)
    deepStrictEqual([status("https://bad.test"), status("https://good.test")], [401, 200])
    api.setRefusing("https://bad.test", false)
    assert.strictEqual(status("https://bad.test"), 200)
  })

  it("reports which valid tokens the machines use", () => {
    const { api, ask, endpoint, machine, run, show } = make()
    const machines = [machine(1), machine(2), machine(3)]
    const shared = run(ask(machines[0]))
    for (const machine of machines.slice(0, 2)) run(show(machine, shared))
    deepStrictEqual(api.inUse("read", machines), new Set([value(shared)]))
    const other = run(ask(machines[2]))
    run(show(machines[2], other))
    deepStrictEqual(api.inUse("read", machines), new Set([value(shared), value(other)]))
    endpoint.revokeAll()
    deepStrictEqual(api.inUse("read", machines), new Set())
  })
})
