/** openid-client and undici. */
import * as client from "openid-client"
import { request } from "undici"
import { path } from "../Client.js"
import { report } from "./Report.js"

void report(async (url) => {
  const config = new client.Configuration(
    { issuer: url, token_endpoint: `${url}/token` },
    "client-id",
    "client-secret"
  )
  client.allowInsecureRequests(config)
  const { access_token } = await client.clientCredentialsGrant(config)
  const { body } = await request(url + path, { headers: { authorization: `Bearer ${access_token}` } })
  return body.json()
})
