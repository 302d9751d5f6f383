import { OAuth2Client } from "google-auth-library"
import { Agent } from "node:http"
import { type Contender, fromPromises, path } from "../Client.js"

/** It has no client credentials grant: a refresh token stands in for it. */
export const googleAuth: Contender = {
  name: "google-auth-library",
  hasToken: true,
  make: ({ clientId, clientSecret, margin, tokenEndpoint, url }) => {
    const agent = new Agent({ keepAlive: true })
    const client = new OAuth2Client({
      clientId,
      clientSecret,
      endpoints: { oauth2TokenUrl: tokenEndpoint },
      eagerRefreshThresholdMillis: margin * 1000,
      forceRefreshOnFailure: true
    })
    client.setCredentials({ refresh_token: "the-refresh-token" })
    return fromPromises(
      async () => (await client.request({ url: `${url}${path}`, agent, responseType: "json" })).status,
      async () => agent.destroy()
    )
  }
}
