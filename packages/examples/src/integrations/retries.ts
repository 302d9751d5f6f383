/**
 * Retries and a rate limit around a client, in this order from the inside:
 *
 * 1. The client. What it asks the authorization server is neither limited nor
 *    retried by what is around it: token requests have a pace of their own.
 * 2. The limit, so that each attempt takes its turn, and the token is taken
 *    after the wait for it, when it is certain to be fresh.
 * 3. The retries. They leave an `OAuthError` alone: what can be tried again has
 *    been, and `invalid_client` is no better the second time.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpClient, type HttpClientResponse } from "@effect/platform"
import { Duration, Effect, Option, RateLimiter, Schedule } from "effect"

/** Doubling waits, and never earlier than Retry-After says, unless that is too long to wait for. */
const polite = Schedule.exponential("100 millis").pipe(
  Schedule.intersect(Schedule.recurs(4)),
  Schedule.zipRight(Schedule.identity<HttpClientResponse.HttpClientResponse>()),
  Schedule.modifyDelay(({ headers }, delay) => Duration.max(delay, retryAfter(headers["retry-after"]))),
  Schedule.whileInput(({ headers }: HttpClientResponse.HttpClientResponse) =>
    Duration.lessThanOrEqualTo(retryAfter(headers["retry-after"]), "30 seconds")
  )
)

/** Of its two forms the one that APIs use: a number of seconds. */
const retryAfter = (value: string | undefined): Duration.Duration =>
  Option.fromNullable(value).pipe(
    Option.filter((value) => /^\d+$/.test(value)),
    Option.match({ onNone: () => Duration.zero, onSome: (value) => Duration.seconds(Number(value)) })
  )

export const main = Effect.gen(function*() {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  const limit = yield* RateLimiter.make({ limit: 50, interval: "1 second" })
  const orders = client.pipe(
    HttpClient.transformResponse(limit),
    HttpClient.retryTransient({ mode: "response-only", schedule: polite }),
    HttpClient.retryTransient({ mode: "errors-only", schedule: Schedule.exponential("100 millis"), times: 4 })
  )
  const response = yield* orders.get("/orders/1")
  return response.status
}).pipe(Effect.scoped, Effect.provide(NodeAuthedHttpClient.layerEnv()))
