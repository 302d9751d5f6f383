import { Agent, type Dispatcher, request } from "undici"
import createOidcInterceptor from "undici-oidc-interceptor"
import { type Contender, fromPromises, path } from "../Client.js"

/** It reads the end of a token from the JWT itself, and renews 30 seconds before. */
export const oidcInterceptor: Contender = {
  name: "undici-oidc-interceptor",
  module: import.meta.url,
  hasToken: true,
  ownMargin: 30,
  make: ({ clientId, clientSecret, tokenEndpoint, url }) => {
    const agent = new Agent()
    const dispatcher: Dispatcher = agent.compose(createOidcInterceptor({
      idpTokenUrl: tokenEndpoint,
      clientId,
      clientSecret,
      urls: [url]
    }))
    return fromPromises(async () => {
      const { body, statusCode } = await request(`${url}${path}`, { dispatcher })
      await body.json()
      return statusCode
    }, () => agent.destroy())
  }
}
