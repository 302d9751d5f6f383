/** Apps whose store ALF_STORE_URL names. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { ConfigProvider, Effect, Layer } from "effect"
import type * as OAuthServer from "./OAuthServer.js"
import { unhurried } from "./unhurried.js"

type Variables = Readonly<Record<string, string>>

export const complete = {
  ALF_TOKEN_ENDPOINT: "https://auth.example.com/token",
  ALF_CLIENT_ID: "the-client",
  ALF_CLIENT_SECRET: "the-client-secret",
  ALF_BASE_URL: "https://api.example.com"
}

export const variablesFor = (server: OAuthServer.OAuthServer) => ({
  ...complete,
  ALF_TOKEN_ENDPOINT: server.tokenEndpoint,
  ALF_BASE_URL: server.url
})

/** A process of its own that asks for a resource once. */
export const run = (variables: Variables, options: NodeAuthedHttpClient.EnvOptions = {}) =>
  Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => client.get("/resource")).pipe(
    Effect.map(({ status }) => status),
    Effect.scoped,
    Effect.provide(
      Layer.provide(
        NodeAuthedHttpClient.layerEnv({ ...unhurried, ...options }),
        Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }))
      )
    )
  )
