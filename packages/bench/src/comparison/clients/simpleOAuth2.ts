import { type AccessToken, ClientCredentials } from "simple-oauth2"
import { type Contender, margin } from "../Client.js"

export const simpleOAuth2: Contender = {
  packages: ["simple-oauth2"],
  make: ({ clientId, clientSecret, tokenEndpoint }) => {
    const { origin, pathname } = new URL(tokenEndpoint)
    const client = new ClientCredentials({
      client: { id: clientId, secret: clientSecret },
      auth: { tokenHost: origin, tokenPath: pathname }
    })
    let accessToken: AccessToken | undefined
    return {
      get: async (url) => {
        if (accessToken === undefined || accessToken.expired(margin)) accessToken = await client.getToken({})
        const { status } = await fetch(url, { headers: { authorization: `Bearer ${accessToken.token.access_token}` } })
        return status
      }
    }
  },
  documented: {
    privateKeyJwt: "no",
    mutualTls: "`http` options",
    dpop: "no",
    authorizationCode: "yes",
    certified: "no"
  }
}
