import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Layer, Logger, LogLevel, Redacted } from "effect"
import type { Contender } from "../Client.js"
import { fromEffects } from "../EffectClient.js"

const contender = (name: string, tracing: boolean): Contender => ({
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
        baseUrl: url
      }).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.None))),
      tracing
    })
})

export const effectAlf = contender("effect-alf", false)
export const effectAlfTraced = contender("effect-alf, traced", true)
