import axios, { type InternalAxiosRequestConfig } from "axios"
import { clientCredentials } from "axios-oauth-client"
import type { Contender } from "../Client.js"
import { usualCache } from "../UsualCache.js"

type Config = InternalAxiosRequestConfig & { isReplay?: boolean }

export const axiosOAuth: Contender = {
  packages: ["axios", "axios-oauth-client"],
  make: ({ clientId, clientSecret, tokenEndpoint }) => {
    const getToken = clientCredentials(axios.create(), tokenEndpoint, clientId, clientSecret)
    const cache = usualCache(async () => {
      const { access_token, expires_in } = await getToken("")
      return { token: access_token, expiresIn: Number(expires_in) }
    })
    const client = axios.create()
    client.interceptors.request.use(async (config) => {
      config.headers.set("authorization", `Bearer ${await cache.get()}`)
      return config
    })
    client.interceptors.response.use(undefined, async (error: unknown) => {
      const config: Config | undefined = axios.isAxiosError(error) ? error.config : undefined
      const isRejected = axios.isAxiosError(error) && error.response?.status === 401
      if (!isRejected || config === undefined || config.isReplay || config.url === tokenEndpoint) throw error
      cache.clear()
      config.isReplay = true
      return client.request(config)
    })
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
    mutualTls: "by `httpsAgent`",
    dpop: "no",
    authorizationCode: "yes",
    certified: "no"
  }
}
