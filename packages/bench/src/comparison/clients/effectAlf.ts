import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Effect, Layer, Logger, LogLevel, ManagedRuntime, Redacted } from "effect"
import type { Contender } from "../Client.js"

export const effectAlf: Contender = {
  packages: [],
  make: ({ api, clientId, clientSecret, storage, tokenEndpoint }) => {
    const runtime = ManagedRuntime.make(
      NodeAuthedHttpClient.layer({
        tokenEndpoint,
        clientId,
        clientSecret: Redacted.make(clientSecret),
        baseUrl: api,
        tokenStore: Layer.sync(TokenStore.TokenStore, () => TokenStore.make(storage))
      }).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.None)))
    )
    return {
      get: (url) =>
        runtime.runPromise(
          Effect.flatMap(
            AuthedHttpClient.AuthedHttpClient,
            (client) => Effect.map(client.get(url), ({ status }) => status)
          )
        ),
      close: () => runtime.dispose()
    }
  },
  documented: {
    privateKeyJwt: "yes",
    mutualTls: "yes",
    dpop: "yes",
    authorizationCode: "no",
    certified: "no"
  }
}
