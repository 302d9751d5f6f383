import { type gaxios, OAuth2Client } from "google-auth-library"
import { Agent } from "node:http"
import { type Contender, fromPromises, path } from "../Client.js"
import { authorization, check, lifetime, type Stubbed, url } from "../Stubbed.js"
import { constantToken } from "../Token.js"

/** It has no client credentials grant: a refresh token stands in for it. */
export const googleAuth: Contender = {
  name: "google-auth-library",
  module: import.meta.url,
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

type Adapter = NonNullable<gaxios.GaxiosOptions["adapter"]>

const response = new Response("{}")
const adapter: Adapter = async (config) => {
  check(config.headers.get("authorization"))
  return Object.assign(response, { config, data: undefined as any })
}

export const stubbedGoogleAuth = (): Stubbed => {
  const client = new OAuth2Client({ clientId: "id", clientSecret: "secret" })
  client.setCredentials({ access_token: constantToken, expiry_date: Date.now() + lifetime * 1000 })
  return {
    name: googleAuth.name,
    constant: () => client.transporter.request({ url: `${url}${path}`, headers: { authorization }, adapter }),
    authorized: () => client.request({ url: `${url}${path}`, adapter })
  }
}
