import axios, { type AxiosAdapter, type AxiosInstance, type InternalAxiosRequestConfig } from "axios"
import { clientCredentials } from "axios-oauth-client"
import { Agent } from "node:http"
import { type Contender, fromPromises, path, type TokenOptions } from "../Client.js"
import { authorization, check, lifetime, type Stubbed, url } from "../Stubbed.js"
import { constantToken } from "../Token.js"
import { type UsualCache, usualCache } from "../UsualCache.js"

type Config = InternalAxiosRequestConfig & { isReplay?: boolean }

/** Requests carry a token, and what is answered 401 is sent again with a new one. */
export const intercept = (client: AxiosInstance, cache: UsualCache, tokenEndpoint: string): void => {
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
}

export const cacheOf = ({ clientId, clientSecret, margin, tokenEndpoint }: TokenOptions): UsualCache => {
  const getToken = clientCredentials(axios.create(), tokenEndpoint, clientId, clientSecret)
  return usualCache(async () => {
    const { access_token, expires_in } = await getToken("")
    return { token: access_token, expiresIn: Number(expires_in) }
  }, margin)
}

export const axiosOAuth: Contender = {
  name: "axios, interceptors",
  module: import.meta.url,
  hasToken: true,
  make: ({ clientId, clientSecret, margin, tokenEndpoint, url }) => {
    const httpAgent = new Agent({ keepAlive: true })
    const client = axios.create({ baseURL: url, httpAgent })
    intercept(client, cacheOf({ clientId, clientSecret, margin, tokenEndpoint }), tokenEndpoint)
    return fromPromises(async () => (await client.get(path)).status, async () => httpAgent.destroy())
  }
}

const answer: AxiosAdapter = async (config) => {
  check(config.headers.get("authorization"))
  return { data: {}, status: 200, statusText: "OK", headers: {}, config }
}

export const stubbedAxios = (): Stubbed => {
  const constant = axios.create({ baseURL: url, adapter: answer, headers: { authorization } })
  const authorized = axios.create({ baseURL: url, adapter: answer })
  intercept(authorized, usualCache(async () => ({ token: constantToken, expiresIn: lifetime }), 60), `${url}/token`)
  return { name: axiosOAuth.name, constant: () => constant.get(path), authorized: () => authorized.get(path) }
}
