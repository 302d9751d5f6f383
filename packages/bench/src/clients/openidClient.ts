import * as client from "openid-client"
import { type Contender, fromPromises, path } from "../Client.js"
import { usualCache } from "../UsualCache.js"

export const openidClient: Contender = {
  name: "openid-client, usual cache",
  hasToken: true,
  make: ({ clientId, clientSecret, margin, tokenEndpoint, url }) => {
    const config = new client.Configuration({ issuer: url, token_endpoint: tokenEndpoint }, clientId, clientSecret)
    client.allowInsecureRequests(config)
    const cache = usualCache(async () => {
      const { access_token, expires_in } = await client.clientCredentialsGrant(config)
      return { token: access_token, expiresIn: expires_in ?? 0 }
    }, margin)
    const resource = new URL(path, url)
    return fromPromises(async () => {
      const response = await client.fetchProtectedResource(config, await cache.get(), resource, "GET")
      await response.json()
      return response.status
    })
  }
}
