import { type AccessToken, ClientCredentials } from "simple-oauth2"
import { type Contender, fromPromises, path } from "../Client.js"
import { authorization, fetchNothing, lifetime, type Stubbed, url } from "../Stubbed.js"
import { constantToken } from "../Token.js"

/** It makes no requests of the app's own: fetch does. */
export const simpleOAuth2: Contender = {
  name: "simple-oauth2, usual cache",
  module: import.meta.url,
  hasToken: true,
  make: ({ clientId, clientSecret, margin, tokenEndpoint, url }) => {
    const { origin, pathname } = new URL(tokenEndpoint)
    const client = new ClientCredentials({
      client: { id: clientId, secret: clientSecret },
      auth: { tokenHost: origin, tokenPath: pathname }
    })
    let accessToken: AccessToken | undefined
    return fromPromises(async () => {
      if (accessToken === undefined || accessToken.expired(margin)) accessToken = await client.getToken({})
      const response = await fetch(`${url}${path}`, {
        headers: { authorization: `Bearer ${accessToken.token.access_token}` }
      })
      await response.json()
      return response.status
    })
  }
}

export const stubbedSimpleOAuth2 = (): Stubbed => {
  const client = new ClientCredentials({
    client: { id: "id", secret: "secret" },
    auth: { tokenHost: url, tokenPath: "/token" }
  })
  const accessToken = client.createToken({ access_token: constantToken, expires_in: lifetime })
  return {
    name: simpleOAuth2.name,
    constant: () => fetchNothing(`${url}${path}`, { headers: { authorization } }),
    authorized: async () => {
      if (accessToken.expired(60)) throw new Error("The token has ended")
      return fetchNothing(`${url}${path}`, { headers: { authorization: `Bearer ${accessToken.token.access_token}` } })
    }
  }
}
