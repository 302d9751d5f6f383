import * as client from "openid-client"
import { type Contender, fromPromises, path, type TokenOptions } from "../Client.js"
import { authorization, fetchNothing, lifetime, type Stubbed, url } from "../Stubbed.js"
import { constantToken } from "../Token.js"
import { usualCache } from "../UsualCache.js"

export const configure = (issuer: string, { clientId, clientSecret, margin, tokenEndpoint }: TokenOptions) => {
  const config = new client.Configuration({ issuer, token_endpoint: tokenEndpoint }, clientId, clientSecret)
  client.allowInsecureRequests(config)
  const cache = usualCache(async () => {
    const { access_token, expires_in } = await client.clientCredentialsGrant(config)
    return { token: access_token, expiresIn: expires_in ?? 0 }
  }, margin)
  return { cache, config }
}

export const openidClient: Contender = {
  name: "openid-client, usual cache",
  module: import.meta.url,
  hasToken: true,
  make: ({ clientId, clientSecret, margin, tokenEndpoint, url }) => {
    const { cache, config } = configure(url, { clientId, clientSecret, margin, tokenEndpoint })
    const resource = new URL(path, url)
    return fromPromises(async () => {
      const response = await client.fetchProtectedResource(config, await cache.get(), resource, "GET")
      await response.json()
      return response.status
    })
  }
}

export const stubbedOpenidClient = (): Stubbed => {
  const config = new client.Configuration({ issuer: url, token_endpoint: `${url}/token` }, "id", "secret")
  client.allowInsecureRequests(config)
  config[client.customFetch] = (url, options) => fetchNothing(url, options as RequestInit)
  const cache = usualCache(async () => ({ token: constantToken, expiresIn: lifetime }), 60)
  const resource = new URL(path, url)
  return {
    name: openidClient.name,
    constant: () => fetchNothing(resource, { headers: { authorization } }),
    authorized: async () => client.fetchProtectedResource(config, await cache.get(), resource, "GET")
  }
}
