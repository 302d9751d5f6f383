import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, type Layer } from "effect"
import type { Contender } from "../Client.js"
import { fromEffects } from "../EffectClient.js"
import { constantToken } from "../Token.js"

const constantHeader = (
  name: string,
  layer: Layer.Layer<HttpClient.HttpClient, unknown>,
  tracing = false
): Contender => ({
  name,
  module: import.meta.url,
  hasToken: false,
  make: ({ url }) =>
    fromEffects({
      client: Effect.map(HttpClient.HttpClient, (client) =>
        client.pipe(
          HttpClient.mapRequest(HttpClientRequest.prependUrl(url)),
          HttpClient.mapRequest(HttpClientRequest.bearerToken(constantToken))
        )),
      layer,
      tracing
    })
})

export const platformFetch = constantHeader("platform, fetch", FetchHttpClient.layer)
export const platformUndici = constantHeader("platform, undici", NodeHttpClient.layerUndici)
export const platformUndiciTraced = constantHeader("platform, undici, traced", NodeHttpClient.layerUndici, true)
export const nodeHttp = constantHeader("NodeHttp", NodeHttp.layer())
export const nodeHttpTraced = constantHeader("NodeHttp, traced", NodeHttp.layer(), true)
