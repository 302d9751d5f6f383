import type { AccessToken, OAuthError } from "@effect-alf/core"
import { RetryPolicy } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import type { Scope } from "effect"
import { Cause, Clock, Duration, Effect, Either, Exit, FastCheck as fc, Fiber, Option, Redacted } from "effect"
import * as VirtualClock from "../../fleet/src/VirtualClock.js"
import * as AuthenticatedPost from "../src/endpoint/AuthenticatedPost.js"
import * as ProviderBench from "./support/ProviderBench.js"
import { value } from "./support/ProviderBench.js"
import { storeKey } from "./support/StoreKey.js"

const origins = ["https://a.test", "https://b.test"]
const scopes = ["", "read"]
const maxWait = 5_000
const requestTimeout = 8_000

const origin = fc.constantFrom(...origins)
// Mostly one key, so that it has many events
const scope = fc.oneof({ weight: 4, arbitrary: fc.constant("") }, { weight: 1, arbitrary: fc.constantFrom(...scopes) })

/** Plays a history without real time: each has hundreds of wake-ups. */
const play = <E>(history: Effect.Effect<void, E, Scope.Scope>): void =>
  Exit.getOrElse(Either.getOrThrow(VirtualClock.run(Effect.scoped(history))), (cause) => {
    throw Cause.squash(cause)
  })

/** The events of a history. */
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("get" as const), origin, scope }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("renew" as const),
      origin,
      scope,
      // A 401 may concern a token that was replaced long ago
      age: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
      outcome: fc.constantFrom("accepted" as const, "rejected" as const, undefined)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("interrupt" as const), caller: fc.nat(20) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      millis: fc.constantFrom(1, 250, 500, 999, 1_000, 1_500, 3_000, 3_400, 8_200, 20_000)
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("endpoint" as const),
      outcome: fc.constantFrom("works", "unavailable", "invalid_client", "hangs", "keeps its token", "dies")
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("delay" as const), millis: fc.constantFrom(0, 50, 1_500, 4_000) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("lifetime" as const),
      seconds: fc.constantFrom(5, 10, 100, "none" as const)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("store" as const),
      state: fc.constantFrom("works", "hangs", "fails", "slow")
    })
  }
)

/** A world that checks every promise of the provider. */
const makeWorld = Effect.gen(function*() {
  let outcome = "works"
  let delay = 0
  let keyFor = (scope: string) => scope
  const keyOf = new Map<string, string>()
  const arrivedAt = new Map<string, number>()
  const endOf = new Map<string, number>()
  const underWay = new Map<string, number>()
  const failedAt = new Map<string, number>()
  const rejected = new Set<string>()
  const violations: Array<string> = []

  const bench = yield* ProviderBench.make({
    storeTimeout: undefined,
    maxWait,
    expiryLeeway: "1 second",
    endpoint: {
      lifetime: "10 seconds",
      retry: RetryPolicy.exponential({ base: "500 millis", jitter: false, times: 2 })
    },
    wrapEndpoint: (endpoint) => {
      keyFor = (scope) => storeKey(endpoint.resolve({ scope }))
      const watch = (
        request: Parameters<typeof endpoint.attempt>[0],
        attempt: number | undefined,
        ask: Effect.Effect<AccessToken.AccessToken, OAuthError.TokenRequestError>
      ) =>
        Effect.gen(function*() {
          const key = storeKey(request)
          const { attributes } = yield* Effect.orDie(Effect.currentSpan)
          const isBackground = attributes.get("oauth.renewal.reason") === "background"
          const startedAt = yield* Clock.currentTimeMillis
          if ((underWay.get(key) ?? 0) > 0) violations.push(`two requests at once at ${startedAt}`)
          const pause = startedAt - (failedAt.get(key) ?? Number.NEGATIVE_INFINITY)
          if (pause < (attempt === 1 ? 1_000 : 500)) {
            violations.push(`asked again ${pause} ms after a failure, at ${startedAt}`)
          }
          underWay.set(key, 1)
          const answer = outcome === "dies"
            ? Effect.die(new Error("broken"))
            : Effect.timeoutFail(ask, { duration: requestTimeout, onTimeout: () => TestTokenEndpoint.unavailable })
          return yield* answer.pipe(
            Effect.tap((token) => Effect.map(Clock.currentTimeMillis, (now) => arrivedAt.set(value(token), now))),
            Effect.tap((token) => {
              keyOf.set(value(token), key)
              endOf.set(value(token), token.expiresAt._tag === "Some" ? token.expiresAt.value.epochMillis : Infinity)
            }),
            Effect.tapError(() =>
              Effect.map(Clock.currentTimeMillis, (now) => isBackground ? undefined : failedAt.set(key, now))
            ),
            Effect.ensuring(Effect.sync(() => underWay.set(key, 0)))
          )
        })
      const unwatched = (ask: ReturnType<typeof endpoint.attempt>) =>
        Effect.suspend(() =>
          outcome === "unavailable"
            ? Effect.delay(Effect.fail(TestTokenEndpoint.unavailable), delay)
            : outcome === "invalid_client"
            ? Effect.delay(Effect.fail(TestTokenEndpoint.invalidClient), delay)
            : ask
        )
      return {
        ...endpoint,
        attempt: (request, attempt) => watch(request, attempt, unwatched(endpoint.attempt(request, attempt)))
      }
    }
  })

  /** Makes one call and checks its result. */
  const follow = <E>(
    name: string,
    scope: string,
    call: Effect.Effect<AccessToken.AccessToken, E>,
    check: (token: AccessToken.AccessToken) => string | undefined = () => undefined
  ) =>
    Effect.gen(function*() {
      const startedAt = yield* Clock.currentTimeMillis
      const exit = yield* Effect.exit(call)
      const now = yield* Clock.currentTimeMillis
      if (now - startedAt > maxWait) violations.push(`${name} took ${now - startedAt} ms, at ${startedAt}`)
      if (Exit.isFailure(exit)) return undefined
      const token = exit.value
      const of = keyOf.get(value(token))
      if (of !== keyFor(scope)) violations.push(`${name} gave a token of another key, at ${now}`)
      const problem = check(token)
      if (problem !== undefined) violations.push(`${name} gave ${problem}, at ${now}`)
      return token
    })

  return {
    bench,
    violations,
    rejected,
    follow,
    /** A token that arrives expired goes to waiting callers only. */
    isDead: (token: AccessToken.AccessToken, now: number) =>
      now >= (endOf.get(value(token)) ?? 0) && now !== arrivedAt.get(value(token)),
    setOutcome: (next: string) => {
      outcome = next
    },
    setDelay: (next: number) => {
      delay = next
      return bench.tokens.setDelay(next)
    }
  }
})

describe("TokenProvider, any history", () => {
  it.prop(
    "rules 1 to 8: one request per key; no expired or rejected token, none of another scope; no endless wait",
    [fc.array(action, { minLength: 10, maxLength: 60, size: "max" })],
    ([actions]) =>
      play(Effect.gen(function*() {
        const world = yield* makeWorld
        const { provider, store, tokens } = world.bench
        const given = new Map<string, Array<AccessToken.AccessToken>>()
        const give = (origin: string, scope: string, token: AccessToken.AccessToken) => {
          const place = `${origin} ${scope}`
          given.set(place, [token, ...(given.get(place) ?? []).filter((other) => value(other) !== value(token))])
        }
        const callers: Array<Fiber.Fiber<unknown>> = []
        const mark = (token: AccessToken.AccessToken, origin: string) => `${origin} ${value(token)}`

        for (const step of actions) {
          switch (step.do) {
            case "get": {
              const { origin, scope } = step
              callers.push(
                yield* Effect.fork(
                  Effect.gen(function*() {
                    const token = yield* world.follow("get", scope, provider.get({ scope }, origin))
                    if (token === undefined) return
                    const now = yield* Clock.currentTimeMillis
                    if (world.isDead(token, now)) world.violations.push(`get gave a dead token, at ${now}`)
                    give(origin, scope, token)
                  })
                )
              )
              break
            }
            case "renew": {
              const { origin, outcome, scope } = step
              const rejected = given.get(`${origin} ${scope}`)?.[step.age]
              if (rejected === undefined) break
              callers.push(
                yield* Effect.fork(
                  Effect.gen(function*() {
                    const token = yield* world.follow(
                      "renew",
                      scope,
                      Effect.suspend(() => {
                        world.rejected.add(mark(rejected, origin))
                        return provider.renew(rejected, { scope }, origin)
                      }),
                      (token) =>
                        value(token) !== value(rejected) && world.rejected.has(mark(token, origin))
                          ? "a token that this origin had rejected"
                          : undefined
                    )
                    if (token === undefined || value(token) === value(rejected)) return
                    const now = yield* Clock.currentTimeMillis
                    if (world.isDead(token, now)) world.violations.push(`renew gave a dead token, at ${now}`)
                    give(origin, scope, token)
                    if (outcome === undefined) return
                    if (outcome === "accepted") world.rejected.delete(mark(token, origin))
                    else world.rejected.add(mark(token, origin))
                    yield* provider.report(token, outcome, { scope }, origin)
                  })
                )
              )
              break
            }
            case "interrupt": {
              const caller = callers[step.caller]
              if (caller !== undefined) yield* Fiber.interruptFork(caller)
              break
            }
            case "wait":
              yield* VirtualClock.pass(step.millis)
              break
            case "endpoint":
              world.setOutcome(step.outcome)
              yield* tokens.hang(step.outcome === "hangs")
              yield* tokens.returnSameToken(step.outcome === "keeps its token")
              break
            case "delay":
              yield* world.setDelay(step.millis)
              break
            case "lifetime":
              yield* tokens.setLifetime(step.seconds === "none" ? "none" : Duration.seconds(step.seconds))
              break
            case "store":
              yield* store.hang(step.state === "hangs")
              yield* store.fail(step.state === "fails" ? "refused" : undefined)
              // Only reads: an entry that is written late outlives its token by as much
              yield* store.setDelay(step.state === "slow" ? "300 millis" : 0, "get")
              break
          }
        }

        yield* VirtualClock.pass(maxWait)
        for (const caller of callers) {
          if ((yield* Fiber.poll(caller))._tag === "None") world.violations.push("a caller waits beyond maxWait")
        }
        deepStrictEqual(world.violations, [])

        // No key is stuck: once everything works, so does each key, within the longest cool-down
        world.setOutcome("works")
        yield* tokens.hang(false)
        yield* world.setDelay(0)
        yield* store.hang(false)
        yield* store.fail(undefined)
        yield* VirtualClock.pass(requestTimeout)
        yield* VirtualClock.pass("60 seconds")
        for (const scope of scopes) {
          const token = yield* Effect.fork(provider.get({ scope }, "https://new.test"))
          yield* VirtualClock.pass("1 second")
          assert.isTrue(Redacted.isRedacted((yield* Fiber.join(token)).value))
        }
        yield* VirtualClock.pass("1 second")
      })),
    // The same histories every time; RUNS and SEED explore others
    { fastCheck: { numRuns: Number(process.env.RUNS ?? 12), seed: Number(process.env.SEED ?? 6749) } }
  )
})

describe("TokenProvider, with traffic", () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })

  it.prop(
    "rule 3: nobody waits after the first token if the endpoint answers within a tenth of the lifetime",
    [
      fc.record({
        // From 2 seconds to a day, as many short ones as long
        lifetime: fc.double({ min: Math.log(2_000), max: Math.log(86_400_000), noNaN: true }).map(Math.exp).map(
          Math.ceil
        ),
        jitter: share,
        refreshAhead: fc.oneof(fc.constant(undefined), fc.nat(30_000), fc.nat(86_400_000)),
        expiryLeeway: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.nat(60_000)),
        requests: fc.array(share, { minLength: 6, maxLength: 6 })
      })
    ],
    ([{ expiryLeeway, jitter, lifetime, refreshAhead, requests }]) =>
      play(Effect.gen(function*() {
        const { provider, tokens } = yield* ProviderBench.make({
          refreshAhead,
          expiryLeeway,
          jitter,
          endpoint: { lifetime: Duration.millis(lifetime) }
        })
        // No attempt takes longer than the timeout of the endpoint
        const slowest = Math.min(lifetime / 10, Duration.toMillis(AuthenticatedPost.defaultTimeout))
        const leeway = Math.min(expiryLeeway ?? 10_000, lifetime / 10)
        yield* tokens.setDelay(Math.floor(slowest * requests[0]))
        let { expiresAt } = yield* provider.get()
        for (const [index, request] of requests.slice(1).entries()) {
          yield* tokens.setDelay(Math.floor(slowest * request))
          const freshUntil = Option.getOrThrow(expiresAt).epochMillis - leeway
          while ((yield* tokens.issued).length === index + 1) {
            const uses: Array<string> = []
            const caller = yield* Effect.fork(provider.get(undefined, undefined, (use) => uses.push(use)))
            yield* Effect.yieldNow()
            assert.isNotNull(caller.unsafePoll(), "waits")
            assert.notInclude(uses, "awaited")
            // The nearer the leeway, the more calls there are
            const now = yield* Clock.currentTimeMillis
            yield* VirtualClock.pass(Math.max(1, Math.floor(Math.max(freshUntil - now, leeway) / 4)))
          }
          expiresAt = (yield* tokens.issued)[index + 1].expiresAt
        }
      })),
    { fastCheck: { numRuns: Number(process.env.RUNS ?? 20), seed: Number(process.env.SEED ?? 6749) } }
  )
})
