import { Agent, request } from "undici"
import { type Contender, fromPromises, path } from "../Client.js"
import { constantToken } from "../Token.js"

/** The floor: a constant header, and nothing around the request. */
export const undici: Contender = {
  name: "undici",
  module: import.meta.url,
  hasToken: false,
  make: ({ url }) => {
    const dispatcher = new Agent()
    const headers = { authorization: `Bearer ${constantToken}` }
    return fromPromises(async () => {
      const { body, statusCode } = await request(`${url}${path}`, { dispatcher, headers })
      await body.json()
      return statusCode
    }, () => dispatcher.destroy())
  }
}
