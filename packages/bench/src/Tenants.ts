/** Many tenants of one client, each with a token of its own, and neither servers nor a network. */
import {
  AccessToken,
  AuthedHttpClient,
  TokenEndpoint,
  TokenProvider,
  type TokenRequest,
  TokenStore
} from "@effect-alf/core"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { DateTime, type Duration, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { constVoid } from "effect/Function"

const url = "http://127.0.0.1:8080"

// What `HttpClient.make` keeps for each response is freed between turns of the event loop: all these calls run in one
const transport = Layer.sync(HttpClient.HttpClient, () => {
  const response = new Response("{}")
  return HttpClient.makeWith<never, never, never, never>(
    Effect.map((request) => HttpClientResponse.fromWeb(request, response)),
    Effect.succeed
  )
})

let issued = 0

/** Issues without a request: what is measured begins where a token has arrived. */
const endpoint = (lifetime: () => Duration.DurationInput) =>
  Layer.effect(
    TokenEndpoint.TokenEndpoint,
    Effect.map(TokenEndpoint.TokenEndpoint, (endpoint) =>
      TokenEndpoint.TokenEndpoint.of({
        ...endpoint,
        attempt: () =>
          Effect.map(DateTime.now, (obtainedAt) =>
            AccessToken.make({
              // Of one piece, as it comes out of an answer
              value: Redacted.make(JSON.parse(JSON.stringify(`${++issued}`.padStart(40, "x")))),
              obtainedAt,
              expiresIn: lifetime()
            }))
      }))
  ).pipe(
    Layer.provide(
      TokenEndpoint.layer({ tokenEndpoint: `${url}/token`, clientId: "id", clientSecret: Redacted.make("secret") })
    ),
    Layer.provide(transport)
  )

/** A client with room for so many of them, and how long their tokens are to live. */
export const makeRuntime = (
  capacity: number,
  shareTokens: boolean,
  lifetime: () => Duration.DurationInput = () => "1 day"
) =>
  ManagedRuntime.make(
    AuthedHttpClient.layer({ baseUrl: url, capacity, shareTokens }).pipe(
      Layer.provide(endpoint(lifetime)),
      Layer.provide(TokenStore.layerMemory({ capacity })),
      Layer.provide(transport)
    )
  )

export type Runtime = ReturnType<typeof makeRuntime>

export const tenant = (index: number): TokenRequest.TokenRequest => ({ scope: `tenant-${index}` })

export const repeat = (
  runtime: Runtime,
  times: number,
  call: (turn: number) => Effect.Effect<unknown, unknown>
): Promise<void> => {
  let turn = 0
  return runtime.runPromise(
    Effect.withTracerEnabled(
      Effect.whileLoop({ while: () => turn < times, body: () => call(turn++), step: constVoid }),
      false
    )
  )
}

/** Gets the tokens of the tenants in turn. */
export const visit = async (runtime: Runtime, from: number, to: number): Promise<void> => {
  const provider = await runtime.runPromise(TokenProvider.TokenProvider)
  await repeat(runtime, to - from, (turn) => provider.get(tenant(from + turn)))
}
