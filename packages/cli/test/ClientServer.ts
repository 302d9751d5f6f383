/** An authorization server and an API that takes its tokens, on two loopback ports, by the clock of the test. */
import { type Clock, Effect } from "effect"
import type { Scope } from "effect"
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse
} from "node:http"
import { createServer as createHttpsServer, type ServerOptions } from "node:https"
import * as LocalServer from "../../node/test/LocalServer.js"

export const clientId = "shop"
export const clientSecret = "correct horse battery staple"

export interface Options {
  /** How far the server's clock is ahead of the test's, in seconds. */
  readonly ahead?: number | undefined
  /** How it wants the client's secret. */
  readonly takes?: "client_secret_basic" | "client_secret_post" | undefined
  /** What it calls itself; the default is its address. */
  readonly issuer?: string | undefined
  readonly lifetime?: number | undefined
  /** The scope that it grants, whatever is asked for. */
  readonly scope?: string | undefined
  /** Makes it answer token requests in its own way. */
  readonly onToken?: ((response: ServerResponse) => void) | undefined
  /** Tokens are opaque in place of JWTs. */
  readonly opaque?: boolean | undefined
  readonly tls?: ServerOptions | undefined
}

export interface ClientServer {
  readonly url: string
  readonly port: number
  readonly tokenEndpoint: string
  readonly apiUrl: string
  /** Every secret that it has received or issued. */
  readonly secrets: ReadonlyArray<string>
  readonly tokenRequests: () => number
  /** What the environment must say for it. */
  readonly env: Readonly<Record<string, string>>
}

export const make = (options: Options = {}): Effect.Effect<ClientServer, never, Scope.Scope> =>
  Effect.flatMap(Effect.clock, (clock) => makeAt(clock, options))

const makeAt = (clock: Clock.Clock, options: Options): Effect.Effect<ClientServer, never, Scope.Scope> => {
  const { ahead = 0, lifetime = 3600, takes = "client_secret_basic" } = options
  const tokens = new Set<string>()
  const secrets: Array<string> = [clientSecret, encodeURIComponent(clientSecret), basicOf(clientId, clientSecret)]
  const now = () => clock.unsafeCurrentTimeMillis() + ahead * 1000
  let requests = 0

  const answer = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

  const makeToken = (iss: string, scope: string) => {
    if (options.opaque === true) return `opaque-${crypto.randomUUID()}`
    const iat = Math.floor(now() / 1000)
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const claims = { iss, sub: clientId, aud: "https://api.example.com", scope, iat, exp: iat + lifetime }
    const signature = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url")
    secrets.push(signature)
    return `${part({ alg: "ES256", typ: "at+jwt", kid: "2026-11" })}.${part(claims)}.${signature}`
  }

  const giveToken = (request: IncomingMessage, response: ServerResponse, form: URLSearchParams, issuer: string) => {
    requests++
    if (options.onToken !== undefined) return options.onToken(response)
    const isRight = takes === "client_secret_basic"
      ? request.headers.authorization === `Basic ${basicOf(clientId, clientSecret)}`
      : form.get("client_id") === clientId && form.get("client_secret") === clientSecret
    if (!isRight) {
      return answer(response, 401, { error: "invalid_client", error_description: "client authentication failed" })
    }
    const asked = form.get("scope") ?? ""
    if (asked.includes("admin")) return answer(response, 400, { error: "invalid_scope" })
    const scope = options.scope ?? asked
    const token = makeToken(issuer, scope)
    tokens.add(token)
    secrets.push(token)
    answer(response, 200, { access_token: token, token_type: "Bearer", expires_in: lifetime, scope })
  }

  const listener: RequestListener = (request, response) => {
    response.sendDate = false
    response.setHeader("date", new Date(now()).toUTCString())
    const scheme = options.tls === undefined ? "http" : "https"
    const url = `${scheme}://${request.headers.host}`
    const issuer = options.issuer ?? url
    LocalServer.readBody(request).then((body) => {
      switch (request.url ?? "") {
        case "/.well-known/oauth-authorization-server":
          return answer(response, 200, {
            issuer,
            token_endpoint: `${url}/token`,
            token_endpoint_auth_methods_supported: [takes]
          })
        case "/token":
          return giveToken(request, response, new URLSearchParams(body.toString()), issuer)
        case "/silent":
          return
        case "/large":
          return response.writeHead(200).end(Buffer.alloc(300_000, "x"))
        case "/numbers":
          return void response.writeHead(200, { "content-type": "application/json" }).end(
            "\n{\"id\": 12345678901234567890}\n"
          )
        case "/picture":
          return response.writeHead(200).end(Buffer.from([0xff, 0xd8, 0xff]))
        case "/headers":
          return answer(response, 200, { cookie: request.headers.cookie, accept: request.headers.accept })
        case "/teapot":
          return answer(response, 418, { short: "and stout" })
      }
      if (request.url?.startsWith("/.well-known/")) return answer(response, 404, {})
      const token = request.headers.authorization?.replace(/^Bearer /, "") ?? ""
      if (request.url === "/forbidden" || !tokens.has(token)) {
        const challenge = request.url === "/forbidden"
          ? "Bearer error=\"insufficient_scope\", scope=\"orders:write\""
          : "Bearer error=\"invalid_token\", error_description=\"issued by somebody else\""
        return answer(response, request.url === "/forbidden" ? 403 : 401, {}, { "www-authenticate": challenge })
      }
      if (request.url === "/missing") return answer(response, 404, {})
      answer(response, 200, {
        method: request.method,
        type: request.headers["content-type"] ?? null,
        body: body.toString()
      })
    }, () => response.destroy())
  }
  const listen = Effect.suspend(() =>
    LocalServer.listen(
      options.tls === undefined ? createHttpServer(listener) : createHttpsServer(options.tls, listener)
    )
  )
  return Effect.map(Effect.all([listen, listen]), ([{ port, url }, { url: apiUrl }]) => ({
    url,
    port,
    tokenEndpoint: `${url}/token`,
    apiUrl,
    secrets,
    tokenRequests: () => requests,
    env: {
      ALF_TOKEN_ENDPOINT: `${url}/token`,
      ALF_CLIENT_ID: clientId,
      ALF_CLIENT_SECRET: clientSecret,
      ALF_SCOPE: "orders:read",
      ALF_BASE_URL: apiUrl
    }
  }))
}

const basicOf = (id: string, secret: string) =>
  Buffer.from(`${id}:${new URLSearchParams({ "": secret }).toString().slice(1)}`).toString("base64")
