import type { TokenCredential } from "@azure/core-auth"
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient
} from "@azure/core-rest-pipeline"
import type { Contender } from "../Client.js"

// Its policy sends tokens over https alone: what leaves it for https://localhost goes to the server here
const overHttp: HttpClient = {
  sendRequest: (request) => {
    request.url = request.url.replace(/^https:/, "http:")
    request.allowInsecureConnection = true
    return createDefaultHttpClient().sendRequest(request)
  }
}

export const azurePipeline: Contender = {
  packages: ["@azure/core-rest-pipeline"],
  make: ({ clientId, clientSecret, tokenEndpoint }) => {
    const tokenPipeline = createPipelineFromOptions({})
    const credential: TokenCredential = {
      getToken: async () => {
        const { bodyAsText, status } = await tokenPipeline.sendRequest(
          createDefaultHttpClient(),
          createPipelineRequest({
            url: tokenEndpoint,
            method: "POST",
            allowInsecureConnection: true,
            headers: createHttpHeaders({ "content-type": "application/x-www-form-urlencoded" }),
            body: new URLSearchParams({
              grant_type: "client_credentials",
              client_id: clientId,
              client_secret: clientSecret
            }).toString()
          })
        )
        if (status !== 200) throw new Error(`The token endpoint answered ${status}`)
        const { access_token, expires_in } = JSON.parse(bodyAsText ?? "")
        return { token: access_token, expiresOnTimestamp: Date.now() + Number(expires_in) * 1000 }
      }
    }
    const pipeline = createPipelineFromOptions({})
    pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: [] }))
    return {
      get: async (url) => {
        const request = createPipelineRequest({ url: url.replace(/^http:/, "https:") })
        return (await pipeline.sendRequest(overHttp, request)).status
      }
    }
  },
  documented: {
    privateKeyJwt: "by the credential",
    mutualTls: "by `tlsSettings`",
    dpop: "no",
    authorizationCode: "by the credential",
    certified: "no"
  }
}
