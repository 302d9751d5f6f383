/** One process of the fleet: a provider of its own on a machine of its own, and the calls of its app. */
import { TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import type { Scope } from "effect"
import { Context, Effect, Layer, Redacted } from "effect"
import * as Caller from "./Caller.js"
import type { Dice } from "./Dice.js"
import type { Machine } from "./Machine.js"
import type { ModelApi, Target } from "./ModelApi.js"
import type { ModelEndpoint } from "./ModelEndpoint.js"
import type { ModelStore } from "./ModelStore.js"
import type { VirtualClock } from "./VirtualClock.js"

/** What all processes have in common. */
export interface World {
  readonly time: VirtualClock
  readonly store: ModelStore
  readonly endpoint: ModelEndpoint
  readonly api: ModelApi
}

export interface Options {
  readonly provider: TokenProvider.Options
  /** From one call to the next, on average. */
  readonly interval: number
  readonly targets: ReadonlyArray<Target>
  /** Until when its app makes calls. */
  readonly until: number
}

export interface Call {
  readonly machine: Machine
  readonly target: Target
  readonly startedAt: number
  endedAt: number | undefined
  outcome: Caller.Outcome | undefined
}

/** The measurements of the processes. */
export interface Records {
  readonly calls: Array<Call>
  /** The longest time that a caller waited for the provider. */
  longestWait: number
  /** The longest time after its expiry that a token was returned which had not been revoked. */
  latestHandout: number
}

type Provider = TokenProvider.TokenProvider["Type"]

/** The provider, with an eye on what it hands out and how long that takes. */
const watch = (provider: Provider, machine: Machine, { endpoint, time }: World, records: Records): Provider => {
  const handedOut = (value: string) => {
    const token = endpoint.find(value)
    if (token !== undefined && token.revokedAt === undefined) {
      records.latestHandout = Math.max(records.latestHandout, time.elapsed() - token.endsAt)
    }
  }
  const timed = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      const start = time.elapsed() - machine.stalled()
      return Effect.onExit(effect, () =>
        Effect.sync(() => {
          records.longestWait = Math.max(records.longestWait, time.elapsed() - machine.stalled() - start)
        }))
    })
  return {
    ...provider,
    peek: (request, origin) => {
      const token = provider.peek(request, origin)
      if (token !== undefined) handedOut(Redacted.value(token.value))
      return token
    },
    get: (request, origin) =>
      Effect.tap(timed(provider.get(request, origin)), (token) => handedOut(Redacted.value(token.value))),
    renew: (rejected, request, origin) =>
      Effect.tap(
        timed(provider.renew(rejected, request, origin)),
        (token) => token === rejected ? undefined : handedOut(Redacted.value(token.value))
      )
  }
}

/** Builds the process in the scope and starts its traffic. */
export const start = (
  machine: Machine,
  world: World,
  dice: Dice,
  records: Records,
  options: Options
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* TokenProvider.layer(options.provider).pipe(
      Layer.provide(Layer.succeed(TokenEndpoint.TokenEndpoint, world.endpoint.connect(machine))),
      Layer.provide(Layer.succeed(TokenStore.TokenStore, world.store.connect(machine))),
      Layer.build,
      Effect.orDie
    )
    const provider = watch(Context.get(context, TokenProvider.TokenProvider), machine, world, records)
    const caller = yield* Caller.make(provider, (target, token) => world.api.send(machine, target, token))

    const makeCall = Effect.suspend(() => {
      const call: Call = {
        machine,
        target: dice.pick(options.targets),
        startedAt: world.time.elapsed(),
        endedAt: undefined,
        outcome: undefined
      }
      records.calls.push(call)
      return Effect.map(caller(call.target), (outcome) => {
        call.outcome = outcome
        call.endedAt = world.time.elapsed()
      })
    })
    const traffic = Effect.suspend(() => Effect.sleep(options.interval * (0.5 + dice.number()))).pipe(
      Effect.zipRight(Effect.forkDaemon(makeCall)),
      Effect.repeat({ while: () => world.time.elapsed() < options.until })
    )
    yield* Effect.forkScoped(traffic)
  }).pipe(Effect.withClock(machine.clock), Effect.withRandom(machine.random))
