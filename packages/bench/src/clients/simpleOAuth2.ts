import { type AccessToken, ClientCredentials } from "simple-oauth2"
import { type Contender, fromPromises, path } from "../Client.js"

/** It makes no requests of the app's own: fetch does. */
export const simpleOAuth2: Contender = {
  name: "simple-oauth2, usual cache",
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
