/**
 * A `TokenProvider` on the bench, for its tests: over a scripted endpoint and an
 * inspectable store, with all that it logs.
 */
import type { AccessToken, OAuthError } from "@effect-alf/core"
import { TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
import type { Scope } from "effect"
import {
  Cause,
  Context,
  Effect,
  Fiber,
  FiberRef,
  HashSet,
  Layer,
  Logger,
  LogLevel,
  Random,
  Redacted,
  TestClock
} from "effect"

/** What was logged, as one text: the message, and the cause if there is one. */
export interface Log {
  readonly level: string
  readonly text: string
}

export interface Bench {
  readonly provider: TokenProvider.TokenProvider["Type"]
  readonly tokens: TestTokenEndpoint.TestTokenEndpoint["Type"]
  readonly store: TestTokenStore.TestTokenStore["Type"]
  readonly logs: ReadonlyArray<Log>
  /** The times of the token requests so far, in seconds. */
  readonly requestTimes: Effect.Effect<ReadonlyArray<number>>
}

export interface Options extends TokenProvider.Options {
  readonly endpoint?: TestTokenEndpoint.Options | undefined
  /** From 0, the default, to 1: how much later than the window's start this process renews. */
  readonly jitter?: number | undefined
  readonly wrapEndpoint?:
    | ((endpoint: TokenEndpoint.TokenEndpoint["Type"]) => TokenEndpoint.TokenEndpoint["Type"])
    | undefined
  readonly wrapStore?: ((store: TokenStore.TokenStore["Type"]) => TokenStore.TokenStore["Type"]) | undefined
  /** The store that another provider uses too. */
  readonly sharedStore?: TokenStore.TokenStore["Type"] | undefined
}

/** Collects what an effect logs, on every level, without printing it. */
export const collectLogs = (logs: Array<Log>) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const logger = Logger.make(({ cause, logLevel, message }) => {
    const parts = [...(Array.isArray(message) ? message : [message]).map(String)]
    if (!Cause.isEmpty(cause)) parts.push(Cause.pretty(cause))
    logs.push({ level: logLevel._tag, text: parts.join(" ") })
  })
  return effect.pipe(
    Effect.locally(FiberRef.currentLoggers, HashSet.make(logger)),
    Logger.withMinimumLogLevel(LogLevel.All)
  )
}

const withJitter = (jitter: number): Random.Random =>
  Object.create(Random.make(Math.random()), { next: { value: Effect.succeed(jitter) } })

const wrap = <I, S>(tag: Context.Tag<I, S>, f: (service: S) => S): Layer.Layer<I, never, I> =>
  Layer.effect(tag, Effect.map(tag, f))

/**
 * Each call of the store leaves a timer on the clock, and for each that is due the clock waits for all fibers. So a
 * test that is not about a store that hangs has timers that are never due; `storeTimeout: undefined` is the default.
 */
export const patient = { storeTimeout: "100000 days" } as const

/** Builds the provider in the scope, as an app's layers would. */
export const make = (options: Options = {}): Effect.Effect<Bench, OAuthError.InvalidOptions, Scope.Scope> => {
  const { endpoint, jitter = 0, sharedStore, wrapEndpoint = (it) => it, wrapStore = (it) => it, ...rest } = options
  const logs: Array<Log> = []
  return TokenProvider.layer({ ...patient, ...rest }).pipe(
    Layer.provide(wrap(TokenEndpoint.TokenEndpoint, wrapEndpoint)),
    Layer.provide(wrap(TokenStore.TokenStore, wrapStore)),
    Layer.provideMerge(TestTokenEndpoint.layer(endpoint)),
    Layer.provideMerge(sharedStore === undefined ? TestTokenStore.layerMemory() : TestTokenStore.layer(sharedStore)),
    Layer.build,
    Effect.withRandom(withJitter(jitter)),
    collectLogs(logs),
    Effect.map((context) => {
      const tokens = Context.get(context, TestTokenEndpoint.TestTokenEndpoint)
      return {
        provider: Context.get(context, TokenProvider.TokenProvider),
        tokens,
        store: Context.get(context, TestTokenStore.TestTokenStore),
        logs,
        requestTimes: Effect.map(tokens.requests, (requests) => requests.map(({ time }) => time / 1000))
      }
    })
  )
}

/** The secret itself, to compare it. */
export const value = (token: AccessToken.AccessToken): string => Redacted.value(token.value)

/** Lets every fiber continue that can, without letting time pass. */
export const settle: Effect.Effect<void> = TestClock.adjust(0)

/** Runs an effect while the clock is moved. */
export const during =
  (duration: Parameters<typeof TestClock.adjust>[0]) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(effect)
      yield* TestClock.adjust(duration)
      return yield* Fiber.join(fiber)
    })

/** Those of the level WARN and above. */
export const warnings = (bench: Bench): ReadonlyArray<string> =>
  bench.logs.filter(({ level }) => level === "Warning" || level === "Error" || level === "Fatal").map(({ text }) =>
    text
  )
