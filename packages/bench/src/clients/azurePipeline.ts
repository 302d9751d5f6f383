import type { TokenCredential } from "@azure/core-auth"
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
  type Pipeline
} from "@azure/core-rest-pipeline"
import { type Contender, fromPromises, path, type TokenOptions } from "../Client.js"
import { authorization, check, lifetime, type Stubbed } from "../Stubbed.js"
import { constantToken } from "../Token.js"

const http = createDefaultHttpClient()

// Its policy sends tokens over https alone: what leaves it for https://127.0.0.1 goes to the server here
export const overHttp: HttpClient = {
  sendRequest: (request) => {
    request.url = request.url.replace(/^https:/, "http:")
    request.allowInsecureConnection = true
    return http.sendRequest(request)
  }
}

type Credentials = Pick<TokenOptions, "tokenEndpoint" | "clientId" | "clientSecret">

export const pipelineOf = ({ clientId, clientSecret, tokenEndpoint }: Credentials): Pipeline => {
  const tokenPipeline = createPipelineFromOptions({})
  const credential: TokenCredential = {
    getToken: async () => {
      const { bodyAsText, status } = await tokenPipeline.sendRequest(
        http,
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
  return pipeline
}

export const azurePipeline: Contender = {
  name: "@azure/core-rest-pipeline",
  module: import.meta.url,
  hasToken: true,
  ownMargin: 120,
  make: ({ clientId, clientSecret, tokenEndpoint, url }) => {
    const pipeline = pipelineOf({ clientId, clientSecret, tokenEndpoint })
    const resource = `${url}${path}`.replace(/^http:/, "https:")
    return fromPromises(async () => {
      const { bodyAsText, status } = await pipeline.sendRequest(overHttp, createPipelineRequest({ url: resource }))
      if (status === 200) JSON.parse(bodyAsText ?? "")
      return status
    })
  }
}

const answer: HttpClient = {
  sendRequest: async (request) => {
    check(request.headers.get("authorization"))
    return { request, status: 200, headers: createHttpHeaders(), bodyAsText: "{}" }
  }
}

export const stubbedAzurePipeline = (): Stubbed => {
  const resource = `https://127.0.0.1${path}`
  const bare = createPipelineFromOptions({})
  const pipeline = createPipelineFromOptions({})
  const getToken = async () => ({ token: constantToken, expiresOnTimestamp: Date.now() + lifetime * 1000 })
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential: { getToken }, scopes: [] }))
  return {
    name: azurePipeline.name,
    constant: () =>
      bare.sendRequest(answer, createPipelineRequest({ url: resource, headers: createHttpHeaders({ authorization }) })),
    authorized: () => pipeline.sendRequest(answer, createPipelineRequest({ url: resource }))
  }
}
