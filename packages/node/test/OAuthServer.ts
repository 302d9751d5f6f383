import { Effect } from "effect"
import type { Scope } from "effect"
import type { IncomingHttpHeaders, ServerResponse } from "node:http"
import * as LocalServer from "./LocalServer.js"

export interface TokenRequest {
  readonly headers: IncomingHttpHeaders
  readonly form: Readonly<Record<string, string>>
}

export interface OAuthServer {
  /** `http://127.0.0.1:port` */
  readonly url: string
  readonly tokenEndpoint: string
  readonly tokenRequests: ReadonlyArray<TokenRequest>
  /** The token of each request to a resource. */
  readonly presented: ReadonlyArray<string | undefined>
  /** From now on the tokens that were issued so far are answered with 401. */
  readonly revokeAll: () => void
}

/** A token endpoint, its metadata and the resources it protects, on real sockets: every other path is one. */
export const make = (
  options?: {
    readonly lifetime?: number | undefined
    /** Answers a token request in place of the server. */
    readonly onTokenRequest?: ((request: TokenRequest, response: ServerResponse) => void) | undefined
  }
): Effect.Effect<OAuthServer, never, Scope.Scope> => {
  const tokenRequests: Array<TokenRequest> = []
  const presented: Array<string | undefined> = []
  const valid = new Set<string>()
  const unique = crypto.randomUUID()

  const answer = (response: ServerResponse, status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

  const server = LocalServer.make((request, response) => {
    LocalServer.readBody(request).then((body) => {
      if (request.url === "/token") {
        const tokenRequest = {
          headers: request.headers,
          form: Object.fromEntries(new URLSearchParams(body.toString()))
        }
        tokenRequests.push(tokenRequest)
        if (options?.onTokenRequest !== undefined) return options.onTokenRequest(tokenRequest, response)
        const token = `token-${tokenRequests.length}-${unique}`
        valid.add(token)
        return answer(response, 200, {
          access_token: token,
          token_type: "Bearer",
          expires_in: options?.lifetime ?? 3600
        })
      }
      if (request.url === "/.well-known/oauth-authorization-server") {
        const issuer = `http://${request.headers.host}`
        return answer(response, 200, { issuer, token_endpoint: `${issuer}/token` })
      }
      const token = request.headers.authorization?.replace(/^Bearer /, "")
      presented.push(token)
      return token !== undefined && valid.has(token)
        ? answer(response, 200, { path: request.url })
        : answer(response, 401, { error: "invalid_token" })
    }, () => response.destroy())
  })
  return Effect.map(server, ({ url }) => ({
    url,
    tokenEndpoint: `${url}/token`,
    tokenRequests,
    presented,
    revokeAll: () => valid.clear()
  }))
}
