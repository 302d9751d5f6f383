import * as client from "openid-client"
import type { Contender } from "../Client.js"
import { usualCache } from "../UsualCache.js"

export const openidClient: Contender = {
  packages: ["openid-client"],
  make: ({ clientId, clientSecret, issuer, tokenEndpoint }) => {
    const config = new client.Configuration({ issuer, token_endpoint: tokenEndpoint }, clientId, clientSecret)
    client.allowInsecureRequests(config)
    const cache = usualCache(async () => {
      const { access_token, expires_in } = await client.clientCredentialsGrant(config)
      return { token: access_token, expiresIn: expires_in ?? 0 }
    })
    return {
      get: async (url) => {
        try {
          const response = await client.fetchProtectedResource(config, await cache.get(), new URL(url), "GET")
          return response.status
        } catch (error) {
          // It throws what a 401 challenges for
          if (error instanceof client.WWWAuthenticateChallengeError) return error.status
          throw error
        }
      }
    }
  },
  documented: {
    privateKeyJwt: "yes",
    mutualTls: "yes",
    dpop: "yes",
    authorizationCode: "yes",
    certified: "yes"
  }
}
