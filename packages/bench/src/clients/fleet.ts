import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Layer, Logger, LogLevel, Redacted } from "effect"
import { type Contender, fromEffects } from "../Client.js"

const member = (name: string, redis?: { readonly url: string; readonly prefix: string }): Contender => ({
  name,
  hasToken: true,
  make: ({ clientId, clientSecret, tokenEndpoint, url }) =>
    fromEffects({
      client: AuthedHttpClient.AuthedHttpClient,
      layer: NodeAuthedHttpClient.layer({
        tokenEndpoint,
        clientId,
        clientSecret: Redacted.make(clientSecret),
        baseUrl: url,
        redis
      }).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.None))),
      tracing: false
    })
})

export const alone = member("each with a store in its memory")

export const shared = (redis: { readonly url: string; readonly prefix: string }): Contender =>
  member("with one Redis", redis)
