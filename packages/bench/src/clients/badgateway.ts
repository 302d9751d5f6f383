import { OAuth2Client, OAuth2Fetch } from "@badgateway/oauth2-client"
import { type Contender, fromPromises, path } from "../Client.js"
import { authorization, fetchNothing, lifetime, type Stubbed, url } from "../Stubbed.js"
import { constantToken } from "../Token.js"

export const badgateway: Contender = {
  name: "@badgateway/oauth2-client",
  module: import.meta.url,
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

export const stubbedBadgateway = (): Stubbed => {
  const sign = new OAuth2Fetch({
    client: new OAuth2Client({ server: url, clientId: "id" }),
    getNewToken: () => ({ accessToken: constantToken, expiresAt: Date.now() + lifetime * 1000, refreshToken: null }),
    scheduleRefresh: false
  }).mw()
  return {
    name: badgateway.name,
    constant: () => fetchNothing(`${url}${path}`, { headers: { authorization } }),
    authorized: () => sign(new Request(`${url}${path}`), (request) => fetchNothing(request))
  }
}
