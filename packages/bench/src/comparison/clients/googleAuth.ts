import { gaxios, OAuth2Client } from "google-auth-library"
import type { Contender } from "../Client.js"

// It has no client credentials grant: a refresh token stands in for it
export const googleAuth: Contender = {
  packages: ["google-auth-library"],
  make: ({ clientId, clientSecret, tokenEndpoint }) => {
    const client = new OAuth2Client({
      clientId,
      clientSecret,
      endpoints: { oauth2TokenUrl: tokenEndpoint },
      forceRefreshOnFailure: true
    })
    client.setCredentials({ refresh_token: "the-refresh-token" })
    return {
      get: async (url) => {
        try {
          return (await client.request({ url })).status
        } catch (error) {
          if (
            error instanceof gaxios.GaxiosError && error.config.url?.toString() === url && error.response !== undefined
          ) return error.response.status
          throw error
        }
      }
    }
  },
  documented: {
    privateKeyJwt: "no",
    mutualTls: "X.509 federation",
    dpop: "no",
    authorizationCode: "yes",
    certified: "no"
  }
}
