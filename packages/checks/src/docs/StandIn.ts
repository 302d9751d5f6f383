/**
 * All hosts of example.com: an authorization server at every issuer, and an API that wants its tokens. It is strict
 * about credentials and tokens, and lenient about anything else. An HTTP proxy leads to them, and nowhere else.
 */
import type { Effect, Scope } from "effect"
import * as Jose from "jose"
import { X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import type { TLSSocket } from "node:tls"
import * as LocalServer from "../../../node/test/LocalServer.js"

interface Answer {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

/** What some grants bring beside an access token. */
const besideToken: Record<string, (token: string) => object> = {
  refresh_token: (token) => ({ refresh_token: `refresh-${token}` }),
  "urn:ietf:params:oauth:grant-type:token-exchange": () => ({
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token"
  })
}

const client = { id: "client-id", secret: "client-secret" }

/** The proxy. */
export const listen = (folder: string): Effect.Effect<LocalServer.LocalServer, never, Scope.Scope> => {
  const read = (name: string) => readFileSync(join(folder, name))
  const clientKey = new X509Certificate(read("client.crt")).publicKey
  const tokens = new Map<string, { readonly scope: string | undefined; readonly type: "Bearer" | "DPoP" }>()
  const documents = new Map<string, unknown>([
    ["/orders/1", { id: 1, article: "tea", quantity: 2 }],
    ["/orders/2", { id: 2, article: "coffee", quantity: 1 }]
  ])

  /** A JWT of the client or of its platform, by its key or its secret. */
  const isAssertion = (jwt: string): Promise<boolean> => {
    const symmetric = Jose.decodeProtectedHeader(jwt).alg?.startsWith("HS") === true
    const verified = symmetric
      ? Jose.jwtVerify(jwt, new TextEncoder().encode(client.secret))
      : Jose.jwtVerify(jwt, clientKey)
    return verified.then(() => true, () => false)
  }

  const isClient = async (request: Http.IncomingMessage, form: URLSearchParams): Promise<boolean> => {
    const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? "")?.[1]
    if (basic !== undefined) return Buffer.from(basic, "base64").toString() === `${client.id}:${client.secret}`
    const assertion = form.get("client_assertion") ?? form.get("assertion")
    if (assertion !== null) return isAssertion(assertion)
    if (form.get("client_id") !== client.id) return false
    const isCertified = (request.socket as TLSSocket).authorized
    return isCertified || form.get("client_secret") === client.secret
  }

  const issue = (request: Http.IncomingMessage, form: URLSearchParams): Answer => {
    const type = request.headers.dpop === undefined ? "Bearer" : "DPoP"
    const scope = form.get("scope") ?? undefined
    const token = `token-${tokens.size + 1}`
    tokens.set(token, { type, scope })
    const body = { access_token: token, token_type: type, expires_in: 3600, scope }
    return { body: { ...body, ...besideToken[form.get("grant_type") ?? ""]?.(token) } }
  }

  const metadata = (issuer: string): Answer => ({
    body: {
      issuer,
      token_endpoint: `${issuer}/token`,
      introspection_endpoint: `${issuer}/introspect`,
      revocation_endpoint: `${issuer}/revoke`,
      jwks_uri: `${issuer}/jwks`,
      response_types_supported: ["code"],
      token_endpoint_auth_methods_supported: [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth"
      ],
      token_endpoint_auth_signing_alg_values_supported: ["HS256", "RS256", "PS256", "ES256"],
      dpop_signing_alg_values_supported: ["ES256", "RS256"]
    }
  })

  const serve = (request: Http.IncomingMessage, url: URL, body: string): Answer => {
    const [, type, value] = /^(\S+) (\S+)$/.exec(request.headers.authorization ?? "") ?? []
    const token = tokens.get(value ?? "")
    if (token === undefined || token.type !== type) {
      return { status: 401, headers: { "www-authenticate": "Bearer error=\"invalid_token\"" } }
    }
    const { method = "GET" } = request
    if (["PATCH", "POST", "PUT"].includes(method)) {
      const document: unknown = body === "" ? null : JSON.parse(body)
      documents.set(url.pathname, document)
      return { status: 201, body: document }
    }
    if (method === "DELETE") return { status: documents.delete(url.pathname) ? 204 : 404 }
    if (url.pathname === "/orders") {
      return { body: [...documents].filter(([path]) => path.startsWith("/orders/")).map(([, order]) => order) }
    }
    return { body: documents.get(url.pathname) ?? { path: url.pathname, scope: token.scope ?? null } }
  }

  const answer = async (request: Http.IncomingMessage, url: URL, body: string): Promise<Answer> => {
    const wellKnown = /^(.*)\/\.well-known\/(?:oauth-authorization-server|openid-configuration)(.*)$/.exec(url.pathname)
    if (wellKnown !== null) return metadata(url.origin + wellKnown[1] + wellKnown[2])
    const endpoint = request.method === "POST" ? /\/(token|introspect|revoke)$/.exec(url.pathname)?.[1] : undefined
    if (endpoint === undefined) return serve(request, url, body)
    const form = new URLSearchParams(body)
    if (!await isClient(request, form)) return { status: 401, body: { error: "invalid_client" } }
    const token = form.get("token") ?? ""
    if (endpoint === "token") return issue(request, form)
    if (endpoint === "introspect") {
      const found = tokens.get(token)
      return {
        body: found === undefined ? { active: false } : { active: true, exp: 4_000_000_000, scope: found.scope }
      }
    }
    tokens.delete(token)
    return {}
  }

  const tls = { cert: read("server.crt"), key: read("server.key"), ca: read("ca.crt") }
  const hosts = Https.createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const url = new URL(request.url ?? "/", `https://${request.headers.host}`)
    void text(request)
      .then((body) => answer(request, url, body))
      .catch((error: unknown): Answer => ({ status: 500, body: String(error) }))
      .then(({ body, headers, status = 200 }) => {
        response.writeHead(status, { "content-type": "application/json", ...headers })
        response.end(status === 204 || body === undefined ? undefined : JSON.stringify(body))
      })
  })
  const proxy = Http.createServer().on("connect", ({ url = "" }, socket) => {
    if (/^([\w-]+\.)*example\.com:443$/.test(url)) {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
      hosts.emit("connection", socket)
    } else {
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n")
    }
  })
  return LocalServer.listen(proxy)
}
