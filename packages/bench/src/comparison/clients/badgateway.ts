import { OAuth2Client, OAuth2Fetch } from "@badgateway/oauth2-client"
import type { Contender } from "../Client.js"

export const badgateway: Contender = {
  packages: ["@badgateway/oauth2-client"],
  make: ({ clientId, clientSecret, issuer, storage, tokenEndpoint }) => {
    const client = new OAuth2Client({ server: issuer, clientId, clientSecret, tokenEndpoint })
    const wrapper = new OAuth2Fetch({
      client,
      getNewToken: () => client.clientCredentials(),
      storeToken: (token) => {
        storage.set("token", JSON.stringify(token))
      },
      getStoredToken: () => {
        const token = storage.get("token")
        return token === undefined ? null : JSON.parse(token)
      }
    })
    return { get: async (url) => (await wrapper.fetch(url)).status }
  },
  documented: {
    privateKeyJwt: "no",
    mutualTls: "your `fetch`",
    dpop: "no",
    authorizationCode: "yes",
    certified: "no"
  }
}
