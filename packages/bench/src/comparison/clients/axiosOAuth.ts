import axios from "axios"
import { cacheOf, intercept } from "../../clients/axiosOAuth.js"
import { type Contender, margin } from "../Client.js"

export const axiosOAuth: Contender = {
  packages: ["axios", "axios-oauth-client"],
  make: ({ clientId, clientSecret, tokenEndpoint }) => {
    const client = axios.create()
    intercept(client, cacheOf({ clientId, clientSecret, margin, tokenEndpoint }), tokenEndpoint)
    return {
      get: async (url) => {
        try {
          return (await client.get(url)).status
        } catch (error) {
          if (axios.isAxiosError(error) && error.response !== undefined && error.config?.url === url) {
            return error.response.status
          }
          throw error
        }
      }
    }
  },
  documented: {
    privateKeyJwt: "no",
    mutualTls: "`httpsAgent`",
    dpop: "no",
    authorizationCode: "yes",
    certified: "no"
  }
}
