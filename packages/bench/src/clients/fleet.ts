import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Layer, Logger, LogLevel, Redacted } from "effect"
import type { Contender } from "../Client.js"
import { fromEffects } from "../EffectClient.js"

const member = (name: string, redis?: { readonly url: string; readonly prefix: string }): Contender => ({
  name,
  module: import.meta.url,
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
