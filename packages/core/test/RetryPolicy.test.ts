import { OAuthError, RetryPolicy, TokenEndpoint } from "@effect-alf/core"
import { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Clock, Duration, Effect, Either, Fiber, Redacted, Schedule, TestClock } from "effect"
import { rowsEffect } from "./support/Rows.js"

type Fields = Partial<ConstructorParameters<typeof OAuthError.TokenEndpointError>[0]>

const failure = (fields?: Fields) =>
  new OAuthError.TokenEndpointError({
    reason: "Status",
    endpoint: "https://auth.example.com/token",
    description: "it broke",
    status: 503,
    ...fields
  })

const gaps = (times: ReadonlyArray<number>) => times.slice(1).map((time, index) => time - (times[index] ?? NaN))

/** The waits between the attempts of something that always fails. */
const waits = (
  policy: RetryPolicy.RetryPolicy,
  error: (attempt: number) => OAuthError.TokenEndpointError = () => failure()
) =>
  Effect.gen(function*() {
    const times: Array<number> = []
    const attempt = Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(error(times.push(now))))
    const fiber = yield* Effect.fork(Effect.either(Effect.retry(attempt, policy)))
    yield* TestClock.adjust("1 hour")
    assert.isTrue(Either.isLeft(yield* Fiber.join(fiber)))
    return gaps(times)
  })

/** The waits between the requests of a `TokenEndpoint` that was asked for one token. */
const requests = (
  answer: (attempt: number) => Response | "reset" | "hang",
  options?: Omit<Partial<TokenEndpoint.Options>, "clientSecret" | "clientAuth">
) =>
  Effect.gen(function*() {
    const times: Array<number> = []
    const methods = new Set<string>()
    const http = HttpClient.make((request) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        methods.add(request.method)
        const response = answer(times.push(now))
        return response === "hang"
          ? Effect.never
          : response === "reset"
          ? Effect.fail(
            new HttpClientError.RequestError({ request, reason: "Transport", cause: new Error("ECONNRESET") })
          )
          : Effect.succeed(HttpClientResponse.fromWeb(request, response))
      })
    )
    const endpoint = yield* Effect.provideService(
      TokenEndpoint.make({
        tokenEndpoint: "https://auth.example.com/token",
        clientId: "app",
        clientSecret: Redacted.make("s3cr3t"),
        ...options
      }),
      HttpClient.HttpClient,
      http
    )
    const fiber = yield* Effect.fork(Effect.either(endpoint.request(endpoint.resolve())))
    yield* TestClock.adjust("1 hour")
    const result = yield* Fiber.join(fiber)
    deepStrictEqual([...methods], ["POST"])
    return { result, attempts: times.length, waits: gaps(times) }
  })

const token = () => Response.json({ access_token: "abc", token_type: "Bearer", expires_in: 3600 })
const status = (status: number, headers?: Record<string, string>) =>
  new Response("", { status, headers: headers ?? {} })
const oauth = (status: number, error: string) => Response.json({ error }, { status })

/** Fails until the last of them. */
const failing = (times: number, response: () => Response | "reset" | "hang") => (attempt: number) =>
  attempt <= times ? response() : token()

const assertBetween = (waits: ReadonlyArray<number>, bounds: ReadonlyArray<readonly [min: number, max: number]>) => {
  assert.strictEqual(waits.length, bounds.length)
  for (const [index, [min, max]] of bounds.entries()) {
    // The clock counts in doubles
    assert.isAtLeast(waits[index] ?? NaN, min - 0.001)
    assert.isAtMost(waits[index] ?? NaN, max + 0.001)
  }
}

/** 200 ms, doubled five times, each a fifth shorter or longer. */
const standardBounds: ReadonlyArray<readonly [number, number]> = [
  [160, 240],
  [320, 480],
  [640, 960],
  [1280, 1920],
  [2560, 3840]
]

describe("RetryPolicy", () => {
  describe("exponential", () => {
    it.effect("by default waits 200 ms, doubled each time, for 5 retries", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* waits(RetryPolicy.exponential({ jitter: false })), [200, 400, 800, 1600, 3200])
      }))

    it.effect("base, factor, max and times", () =>
      Effect.gen(function*() {
        const policy = RetryPolicy.exponential({
          base: "100 millis",
          factor: 3,
          max: "1 second",
          times: 4,
          jitter: false
        })
        deepStrictEqual(yield* waits(policy), [100, 300, 900, 1000])
      }))

    it.effect("never waits longer than max, jitter included", () =>
      Effect.gen(function*() {
        const measured = yield* waits(RetryPolicy.exponential({ base: "10 seconds", times: 20 }))
        assertBetween(measured, Array.from({ length: 20 }, () => [5000, 5000] as const))
      }))

    it.effect("each wait is spread by up to a fifth", () =>
      Effect.gen(function*() {
        const policy = RetryPolicy.exponential({ base: "1 second", factor: 1, times: 30 })
        const measured = yield* waits(policy)
        assertBetween(measured, Array.from({ length: 30 }, () => [800, 1200] as const))
        assert.isAbove(new Set(measured).size, 10)
      }))

    it.effect("no retry at all with times: 0", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* waits(RetryPolicy.exponential({ times: 0 })), [])
      }))
  })

  describe("standard", () => {
    it.effect("rule 7: 5 retries, exponential from 200 ms, jittered", () =>
      Effect.gen(function*() {
        assertBetween(yield* waits(RetryPolicy.standard), standardBounds)
      }))

    it.effect("rule 7: waits for Retry-After where it is longer, for at most 10 s", () =>
      Effect.gen(function*() {
        const asked = [Duration.zero, Duration.seconds(2), Duration.millis(1), Duration.minutes(10), Duration.infinity]
        assertBetween(
          yield* waits(RetryPolicy.standard, (attempt) => failure({ retryAfter: asked[attempt - 1] })),
          [[160, 240], [2000, 2000], [640, 960], [10_000, 10_000], [10_000, 10_000]]
        )
      }))
  })

  describe("retryAfter", () => {
    it.effect("waits as long as Retry-After says, and not at all without it", () =>
      Effect.gen(function*() {
        const asked = [Duration.seconds(3), undefined, Duration.seconds(1)]
        const policy = Schedule.intersect(RetryPolicy.retryAfter(), Schedule.recurs(3))
        deepStrictEqual(
          yield* waits(policy, (attempt) => failure({ retryAfter: asked[attempt - 1] })),
          [3000, 0, 1000]
        )
      }))

    it.effect("never waits longer than its cap", () =>
      Effect.gen(function*() {
        const policy = Schedule.intersect(RetryPolicy.retryAfter("1 minute"), Schedule.recurs(2))
        deepStrictEqual(
          yield* waits(policy, () => failure({ retryAfter: Duration.hours(1) })),
          [60_000, 60_000]
        )
      }))

    it.effect("does not end by itself", () =>
      Effect.gen(function*() {
        const policy = Schedule.intersect(RetryPolicy.retryAfter(), Schedule.recurs(20))
        assert.strictEqual((yield* waits(policy)).length, 20)
      }))
  })

  it.effect("none: one attempt", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* waits(RetryPolicy.none), [])
    }))

  describe("composes with Effect's own Schedules", () => {
    const exact = RetryPolicy.exponential({ base: "1 second", max: "1 hour", times: 10, jitter: false })
    const table: ReadonlyArray<readonly [what: string, policy: RetryPolicy.RetryPolicy, waits: ReadonlyArray<number>]> =
      [
        ["Schedule.intersect with recurs ends with the shorter", Schedule.intersect(exact, Schedule.recurs(2)), [
          1000,
          2000
        ]],
        [
          "Schedule.intersect with spaced waits for the longer",
          exact.pipe(Schedule.intersect(Schedule.spaced("3 seconds")), Schedule.intersect(Schedule.recurs(4))),
          [3000, 3000, 4000, 8000]
        ],
        ["Schedule.upTo ends by time", Schedule.upTo(exact, "5 seconds"), [1000, 2000, 4000]],
        [
          "Schedule.andThen goes on when the first has ended",
          Schedule.andThen(
            Schedule.intersect(exact, Schedule.recurs(1)),
            Schedule.intersect(Schedule.spaced("7 seconds"), Schedule.recurs(2))
          ),
          [1000, 7000, 7000]
        ],
        [
          "Schedule.whileInput sees the typed error",
          Schedule.whileInput(exact, (error: OAuthError.TokenRequestError) => error.status === 500),
          []
        ],
        ["a Schedule that knows nothing of us", Schedule.intersect(Schedule.fixed("1 second"), Schedule.recurs(2)), [
          1000,
          1000
        ]]
      ]
    it.effect("waits as long as the longest policy says", () =>
      rowsEffect(table, ([what]) => what, ([, policy, expected]) =>
        Effect.gen(function*() {
          deepStrictEqual(yield* waits(policy), expected)
        })))
  })

  it("statuses: retries these statuses and no others, for any reason", () => {
    const retryWhile = RetryPolicy.statuses([500, 401])
    assert.isTrue(retryWhile(failure({ status: 500 })))
    assert.isTrue(retryWhile(failure({ reason: "OAuth", status: 401, error: "invalid_client" })))
    assert.isFalse(retryWhile(failure({ status: 503 })))
    assert.isFalse(retryWhile(failure({ reason: "Timeout", status: undefined })))
    assert.isFalse(RetryPolicy.statuses([])(failure({ status: 500 })))
  })

  describe("rule 7: a TokenEndpoint's request", () => {
    const passing: ReadonlyArray<readonly [what: string, () => Response | "reset"]> = [
      ["503", () => status(503)],
      ["429", () => status(429)],
      ["408", () => status(408)],
      ["500 with an OAuth error", () => oauth(500, "server_error")],
      ["temporarily_unavailable", () => oauth(400, "temporarily_unavailable")],
      ["a connection reset", () => "reset"]
    ]
    it.effect("is attempted 6 times, and fails with the last error", () =>
      rowsEffect(
        passing,
        ([what]) => `is tried 6 times after ${what}, and then fails with the last error`,
        ([, answer]) =>
          Effect.gen(function*() {
            const { result, waits } = yield* requests(failing(Infinity, answer))
            assertBetween(waits, standardBounds)
            assert.isTrue(Either.isLeft(result))
          })
      ))

    it.effect("succeeds once the endpoint works again", () =>
      rowsEffect(passing, ([what]) => `succeeds when ${what} has passed`, ([, answer]) =>
        Effect.gen(function*() {
          const { attempts, result } = yield* requests(failing(2, answer))
          assert.strictEqual(attempts, 3)
          assert.isTrue(Either.isRight(result))
        })))

    it.effect("is retried after a timeout; each attempt has the full time limit", () =>
      Effect.gen(function*() {
        const { result, waits } = yield* requests(failing(1, () => "hang"), { timeout: "3 seconds" })
        assertBetween(waits, [[3160, 3240]])
        assert.isTrue(Either.isRight(result))
      }))

    const final: ReadonlyArray<readonly [what: string, () => Response]> = [
      ["invalid_client", () => oauth(401, "invalid_client")],
      ["invalid_scope", () => oauth(400, "invalid_scope")],
      ["200 with an error", () => oauth(200, "unauthorized_client")],
      ["404", () => status(404)],
      ["a redirect", () => status(302, { location: "https://evil.com" })],
      ["HTML", () => new Response("<html></html>", { headers: { "content-type": "text/html" } })],
      ["a bad token", () => Response.json({ access_token: 1 })]
    ]
    it.effect("is made once if the error is permanent", () =>
      rowsEffect(final, ([what]) => `is made once when the answer is ${what}`, ([, answer]) =>
        Effect.gen(function*() {
          const { attempts, result } = yield* requests(failing(Infinity, answer))
          assert.strictEqual(attempts, 1)
          assert.isTrue(Either.isLeft(result))
        })))

    it.effect("waits for Retry-After in seconds", () =>
      Effect.gen(function*() {
        const { waits } = yield* requests(failing(1, () => status(503, { "retry-after": "7" })))
        deepStrictEqual(waits, [7000])
      }))

    it.effect("waits for Retry-After as a date", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2030, 0, 1, 12, 0, 0))
        const date = new Date(Date.UTC(2030, 0, 1, 12, 0, 9)).toUTCString()
        const { waits } = yield* requests(failing(1, () => status(429, { "retry-after": date })))
        deepStrictEqual(waits, [9000])
      }))

    it.effect("for a date in the past, waits for the backoff only", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2030, 0, 1, 12, 0, 0))
        const date = new Date(Date.UTC(2029, 0, 1)).toUTCString()
        const { waits } = yield* requests(failing(1, () => status(429, { "retry-after": date })))
        assertBetween(waits, [[160, 240]])
      }))

    it.effect("waits at most 10 s for Retry-After", () =>
      Effect.gen(function*() {
        const { waits } = yield* requests(failing(2, () => status(503, { "retry-after": "86400" })))
        deepStrictEqual(waits, [10_000, 10_000])
      }))

    it.effect("a Schedule of the app may ignore Retry-After", () =>
      Effect.gen(function*() {
        const { waits } = yield* requests(failing(2, () => status(503, { "retry-after": "7" })), {
          retry: RetryPolicy.exponential({ jitter: false })
        })
        deepStrictEqual(waits, [200, 400])
      }))

    it.effect("alf's Retry(total=5, status_forcelist=[500], backoff_factor=0.3) in one line; it retries the POST", () =>
      Effect.gen(function*() {
        const { result, waits } = yield* requests(failing(5, () => status(500)), {
          retry: RetryPolicy.exponential({ base: "300 millis", times: 5, jitter: false }),
          retryWhile: RetryPolicy.statuses([500])
        })
        deepStrictEqual(waits, [300, 600, 1200, 2400, 4800])
        assert.isTrue(Either.isRight(result))
      }))

    it.effect("alf's status_forcelist: no other status is retried", () =>
      Effect.gen(function*() {
        for (const answer of [() => status(503), () => "reset" as const]) {
          const { attempts } = yield* requests(failing(Infinity, answer), { retryWhile: RetryPolicy.statuses([500]) })
          assert.strictEqual(attempts, 1)
        }
      }))

    it.effect("retryWhile is any predicate over the typed error", () =>
      Effect.gen(function*() {
        const { attempts, result } = yield* requests(failing(2, () => oauth(400, "invalid_grant")), {
          retryWhile: (error) => error.error === "invalid_grant"
        })
        assert.strictEqual(attempts, 3)
        assert.isTrue(Either.isRight(result))
      }))

    it.effect("RetryPolicy.none: one attempt after any error", () =>
      Effect.gen(function*() {
        const { attempts } = yield* requests(failing(Infinity, () => status(503)), { retry: RetryPolicy.none })
        assert.strictEqual(attempts, 1)
      }))

    it.effect("every request starts its Schedule anew", () =>
      Effect.gen(function*() {
        const retry = RetryPolicy.exponential({ times: 2, jitter: false })
        const first = yield* requests(failing(Infinity, () => status(503)), { retry })
        const second = yield* requests(failing(Infinity, () => status(503)), { retry })
        deepStrictEqual([first.waits, second.waits], [[200, 400], [200, 400]])
      }))
  })
})
