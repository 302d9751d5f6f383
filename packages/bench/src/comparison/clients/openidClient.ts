import * as client from "openid-client"
import { configure } from "../../clients/openidClient.js"
import { type Contender, margin } from "../Client.js"

export const openidClient: Contender = {
  packages: ["openid-client"],
  make: ({ clientId, clientSecret, issuer, tokenEndpoint }) => {
    const { cache, config } = configure(issuer, { clientId, clientSecret, margin, tokenEndpoint })
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
