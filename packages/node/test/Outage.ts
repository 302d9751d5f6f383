/** Outages of a store, played against an app. Limits of the store and of a request pass by the test's clock alone. */
import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Random, type Scope, TestClock } from "effect"
import { setTimeout } from "node:timers/promises"
import * as OAuthServer from "./OAuthServer.js"
import * as Process from "./Process.js"

/** The store of an app, and what the test knows of it. */
export interface Stage {
  readonly tokenStore: Layer.Layer<TokenStore.TokenStore>
  /** All that it keeps. */
  readonly stored: Effect.Effect<string, unknown>
  /** What was asked of it has been answered. */
  readonly answered: Effect.Effect<unknown>
}

export interface Outage<S extends Stage> {
  readonly begin: (stage: S) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly end: (stage: S) => Effect.Effect<unknown, unknown>
  /** What the warning says. */
  readonly cause: RegExp
  /** What goes on while a request waits, where calls are not answered: they end by their time limit alone. */
  readonly meanwhile?: Effect.Effect<never>
}

// Ends a call that was lost with its connection: so much slower than on the wall that a slow machine's calls do not end
const timePassesSlowly = Effect.forever(
  Effect.zipRight(Effect.promise(() => setTimeout(100)), TestClock.adjust("2 millis"))
)

/** The same store, and the end of all calls that are under way: until then, time must not pass. */
const observe = (tokenStore: Layer.Layer<TokenStore.TokenStore>) => {
  let calls = 0
  const counted =
    <Args extends ReadonlyArray<unknown>, A, E>(method: (...args: Args) => Effect.Effect<A, E>) => (...args: Args) =>
      Effect.acquireUseRelease(Effect.sync(() => calls++), () => method(...args), () => Effect.sync(() => calls--))
  return {
    tokenStore: Layer.map(tokenStore, (context) => {
      const store = Context.get(context, TokenStore.TokenStore)
      return Context.make(TokenStore.TokenStore, {
        ...store,
        get: counted(store.get),
        set: counted(store.set),
        remove: counted(store.remove),
        acquireLease: counted(store.acquireLease),
        extendLease: counted(store.extendLease),
        releaseLease: counted(store.releaseLease)
      })
    }),
    isQuiet: Effect.repeat(Effect.promise(() => setTimeout(1)), { until: () => calls === 0 })
  }
}

const isBack = "Token store is available again"

/** While the store fails, requests are answered, and one warning says why; afterwards tokens are stored again. */
export const play = <S extends Stage>(
  stage: S,
  { begin, cause, end, meanwhile = timePassesSlowly }: Outage<S>
): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const oauth = yield* OAuthServer.make()
    const { log, messages } = Process.listen()
    const { isQuiet, tokenStore } = observe(stage.tokenStore)
    const client = yield* log(Process.make(oauth, { tokenStore }))
    let scopes = 0
    /** Needs a token that no process has yet. */
    const request = log(Effect.gen(function*() {
      const response = yield* client.get("/resource").pipe(AuthedHttpClient.withTokenScope(`scope-${scopes++}`))
      assert.strictEqual(response.status, 200)
      return oauth.tokenRequests.length
    }))
    const requestInTime = Effect.raceFirst(request, timePassesSlowly)
    /** Until its token is in the store, with time for leases and pauses to end. */
    const requestAndStore = Effect.gen(function*() {
      const number = yield* requestInTime
      yield* Effect.raceFirst(isQuiet, timePassesSlowly)
      yield* TestClock.adjust("1 second")
      return [...(yield* stage.stored).matchAll(/token-(\d+)-/g)].some(([_, stored]) => Number(stored) >= number)
    }).pipe(Effect.repeat({ until: (isStored) => isStored }))

    yield* requestAndStore
    deepStrictEqual(messages, [])

    yield* Effect.acquireUseRelease(
      begin(stage),
      () => Effect.raceFirst(Effect.repeatN(request, 4), meanwhile),
      () => Effect.orDie(end(stage))
    )
    assert.lengthOf(messages, 1)
    assert.match(messages[0], cause)
    assert.notMatch(messages[0], /horse|token-\d/)

    // The time passes for which a store that failed is left alone
    const leaveAlone = Effect.zipRight(stage.answered, TestClock.adjust("5 seconds"))
    yield* Effect.repeat(Effect.zipRight(leaveAlone, requestInTime), { until: () => messages.at(-1) === isBack })
    yield* requestAndStore
    // A connection that is found lost later is logged, as is the return of the store
    for (const [n, message] of messages.entries()) assert.strictEqual(message === isBack, n % 2 === 1, message)
  }).pipe(
    // A jitter of zero: TestClock fails at a fraction of a millisecond
    Effect.withRandom(Random.fixed([0.5]))
  )
