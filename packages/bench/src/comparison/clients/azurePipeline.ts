import { createPipelineRequest } from "@azure/core-rest-pipeline"
import { overHttp, pipelineOf } from "../../clients/azurePipeline.js"
import type { Contender } from "../Client.js"

export const azurePipeline: Contender = {
  packages: ["@azure/core-rest-pipeline"],
  make: ({ clientId, clientSecret, tokenEndpoint }) => {
    const pipeline = pipelineOf({ clientId, clientSecret, tokenEndpoint })
    return {
      get: async (url) => {
        const request = createPipelineRequest({ url: url.replace(/^http:/, "https:") })
        return (await pipeline.sendRequest(overHttp, request)).status
      }
    }
  },
  documented: {
    privateKeyJwt: "by credential",
    mutualTls: "`tlsSettings`",
    dpop: "no",
    authorizationCode: "by credential",
    certified: "no"
  }
}
