/** How an app calls a resource: through `AuthedHttpClient`, over a network that is a model. */
import { AuthedHttpClient, TokenProvider } from "@effect-alf/core"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Effect, Layer } from "effect"
import type { Target } from "./ModelApi.js"
import { defaultScope } from "./ModelEndpoint.js"

/** `rejected`: the app got the resource's 401. `failed`: there was no token, and nothing was sent. */
export type Outcome = "accepted" | "rejected" | "failed"

/** Makes a call and returns its outcome. */
export type Caller = (target: Target) => Effect.Effect<Outcome>

/** Sends a request with a token and returns the status of the response. */
export type Send = (target: Target, token: string) => Effect.Effect<200 | 401>

const answers = { 200: new Response(null, { status: 200 }), 401: new Response(null, { status: 401 }) }

// Without platform's own `HttpClient.make`: its URL and AbortController take longer than all the rest
const model = (send: Send) =>
  HttpClient.makeWith<never, never, never, never>(
    Effect.flatMap((request) =>
      Effect.map(
        send(targetOf(request.url), request.headers.authorization.slice("Bearer ".length)),
        (status) => HttpClientResponse.fromWeb(request, answers[status])
      )
    ),
    Effect.succeed
  )

const urlOf = ({ origin, scope }: Target) => `${origin}/${scope}`

const targetOf = (url: string): Target => {
  const end = url.lastIndexOf("/")
  return { origin: url.slice(0, end), scope: url.slice(end + 1) }
}

export const make = (provider: TokenProvider.TokenProvider["Type"], send: Send): Effect.Effect<Caller> =>
  AuthedHttpClient.make({ origins: "any" }).pipe(
    Effect.provide(Layer.merge(
      Layer.succeed(HttpClient.HttpClient, model(send)),
      Layer.succeed(TokenProvider.TokenProvider, provider)
    )),
    Effect.orDie,
    Effect.map((client) => (target) => {
      const call = client.execute(HttpClientRequest.get(urlOf(target)))
      const scoped = target.scope === defaultScope ? call : AuthedHttpClient.withTokenScope(call, target.scope)
      return Effect.match(scoped, {
        onFailure: () => "failed",
        onSuccess: ({ status }) => status === 200 ? "accepted" : "rejected"
      })
    })
  )
