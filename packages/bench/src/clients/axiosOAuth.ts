import axios, { type InternalAxiosRequestConfig } from "axios"
import { clientCredentials } from "axios-oauth-client"
import { Agent } from "node:http"
import { type Contender, fromPromises, path } from "../Client.js"
import { usualCache } from "../UsualCache.js"

type Config = InternalAxiosRequestConfig & { isReplay?: boolean }

export const axiosOAuth: Contender = {
  name: "axios, interceptors",
  hasToken: true,
  make: ({ clientId, clientSecret, margin, tokenEndpoint, url }) => {
    const getToken = clientCredentials(axios.create(), tokenEndpoint, clientId, clientSecret)
    const cache = usualCache(async () => {
      const { access_token, expires_in } = await getToken("")
      return { token: access_token, expiresIn: Number(expires_in) }
    }, margin)
    const httpAgent = new Agent({ keepAlive: true })
    const client = axios.create({ baseURL: url, httpAgent })
    client.interceptors.request.use(async (config) => {
      config.headers.set("authorization", `Bearer ${await cache.get()}`)
      return config
    })
    client.interceptors.response.use(undefined, async (error: unknown) => {
      const config: Config | undefined = axios.isAxiosError(error) ? error.config : undefined
      const isRejected = axios.isAxiosError(error) && error.response?.status === 401
      if (!isRejected || config === undefined || config.isReplay || config.url !== path) throw error
      cache.clear()
      config.isReplay = true
      return client.request(config)
    })
    return fromPromises(async () => (await client.get(path)).status, async () => httpAgent.destroy())
  }
}
