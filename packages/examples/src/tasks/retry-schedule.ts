/**
 * A batch job waits out the maintenance of the authorization server: token requests are retried every minute for an
 * hour, never earlier than Retry-After says, and each failure is logged.
 */
import {
  AuthedHttpClient,
  Environment,
  type OAuthError,
  RetryPolicy,
  TokenEndpoint,
  TokenStore
} from "@effect-alf/core"
import { Config, Effect, Layer, Schedule } from "effect"

const patient = Schedule.spaced("1 minute").pipe(
  Schedule.jittered,
  Schedule.intersect(RetryPolicy.retryAfter("10 minutes")),
  Schedule.upTo("1 hour"),
  Schedule.tapInput(({ message }: OAuthError.TokenRequestError) => Effect.logInfo(message))
)

const Alf = AuthedHttpClient.layerConfig(
  { baseUrl: Config.string("ALF_BASE_URL") },
  // The caller's patience: by default it ends after 10 seconds
  { maxWait: "2 hours" }
).pipe(
  Layer.provide(TokenEndpoint.layerConfig(Environment.tokenEndpoint, { retry: patient })),
  Layer.provide(TokenStore.layerMemory())
)

/** Requires an `HttpClient`, such as that of `NodeHttp.layer()`. */
export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const response = yield* alf.get("/orders/1")
  return response.status
}).pipe(Effect.provide(Alf))
