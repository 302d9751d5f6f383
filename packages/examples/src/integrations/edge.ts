/**
 * A worker at the edge: it has fetch, and nothing of Node. What all requests
 * share is made with the first one.
 */
import { AuthedFetch, AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { FetchHttpClient } from "@effect/platform"
import { Layer, ManagedRuntime, Redacted } from "effect"

export interface Environment {
  readonly TOKEN_ENDPOINT: string
  readonly CLIENT_ID: string
  readonly CLIENT_SECRET: string
  readonly API_URL: string
}

const makeRuntime = (env: Environment) =>
  ManagedRuntime.make(
    AuthedHttpClient.layer({ baseUrl: env.API_URL }).pipe(
      Layer.provide(TokenEndpoint.layer({
        tokenEndpoint: env.TOKEN_ENDPOINT,
        clientId: env.CLIENT_ID,
        clientSecret: Redacted.make(env.CLIENT_SECRET)
      })),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(FetchHttpClient.layer)
    )
  )

let runtime: ReturnType<typeof makeRuntime> | undefined

export default {
  /** Hands a path on to the API, and its answer back. */
  fetch: async (request: Request, env: Environment): Promise<Response> => {
    runtime ??= makeRuntime(env)
    const fetchAuthed = await runtime.runPromise(AuthedFetch.make)
    return fetchAuthed(new URL(request.url).pathname, { signal: request.signal })
  }
}
