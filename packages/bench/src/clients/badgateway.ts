import { OAuth2Client, OAuth2Fetch } from "@badgateway/oauth2-client"
import { type Contender, fromPromises, path } from "../Client.js"

export const badgateway: Contender = {
  name: "@badgateway/oauth2-client",
  hasToken: true,
  make: ({ clientId, clientSecret, tokenEndpoint, url }) => {
    const client = new OAuth2Client({ server: url, clientId, clientSecret, tokenEndpoint })
    const wrapper = new OAuth2Fetch({ client, getNewToken: () => client.clientCredentials() })
    return fromPromises(async () => {
      const response = await wrapper.fetch(`${url}${path}`)
      await response.json()
      return response.status
    })
  }
}
