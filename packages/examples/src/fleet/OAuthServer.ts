/**
 * A token endpoint that takes its time, and the API that its tokens open, on
 * one free loopback port. It notes who asked, and which token everybody has.
 */
import * as Loopback from "@effect-alf/servers/Loopback"
import { Duration, Effect, FiberSet } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import { type Client, processHeader } from "./Traffic.js"

/** All times are epoch milliseconds. */
export interface TokenRequest {
  readonly process: string
  readonly at: number
  readonly token: string
  /** `undefined` while it is under way. */
  readonly issuedAt: number | undefined
}

export interface ApiRequest {
  readonly process: string
  readonly at: number
  readonly token: string
  readonly status: number
}

/** What one client did. */
export interface Seen {
  readonly tokenRequests: ReadonlyArray<TokenRequest>
  readonly apiRequests: ReadonlyArray<ApiRequest>
}

export interface OAuthServer {
  readonly url: string
  readonly seen: (client: Client) => Seen
  /** From now on the tokens that were issued so far are answered with 401. */
  readonly revokeAll: Effect.Effect<void>
}

/** How long a token request takes. */
export const latency = Duration.millis(200)

export const make = Effect.fnUntraced(function*(
  options: { readonly lifetime: Duration.DurationInput }
): Effect.fn.Return<OAuthServer, never, Scope.Scope> {
  const lifetime = Duration.decode(options.lifetime)
  const tokens = new Map<string, { readonly client: Client; expiresAt: number }>()
  const logs = { fleet: makeLog(), alone: makeLog(), control: makeLog() }
  const fork = yield* FiberSet.makeRuntime<never>()

  const issue = Effect.fnUntraced(function*(request: Http.IncomingMessage, response: Http.ServerResponse) {
    const client = clientOf(request)
    const token = crypto.randomUUID()
    const entry = { process: processOf(request), at: Date.now(), token, issuedAt: undefined as number | undefined }
    logs[client].tokenRequests.push(entry)
    yield* Effect.sleep(latency)
    entry.issuedAt = Date.now()
    tokens.set(token, { client, expiresAt: entry.issuedAt + Duration.toMillis(lifetime) })
    answer(response, 200, { access_token: token, token_type: "Bearer", expires_in: Duration.toSeconds(lifetime) })
  })

  const serve = (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    const at = Date.now()
    const token = request.headers.authorization?.replace(/^Bearer /, "") ?? ""
    const known = tokens.get(token)
    const status = known !== undefined && at < known.expiresAt ? 200 : 401
    if (known !== undefined) logs[known.client].apiRequests.push({ process: processOf(request), at, token, status })
    answer(response, status, {})
  }

  const url = yield* Loopback.listen(Http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
    request.resume()
    if (request.url === "/token") return fork(issue(request, response))
    return request.url === "/open" ? answer(response, 200, {}) : serve(request, response)
  }))
  return {
    url,
    seen: (client) => logs[client],
    revokeAll: Effect.sync(() => {
      for (const token of tokens.values()) token.expiresAt = Number.NEGATIVE_INFINITY
    })
  }
})

interface Log extends Seen {
  readonly tokenRequests: Array<TokenRequest>
  readonly apiRequests: Array<ApiRequest>
}

const makeLog = (): Log => ({ tokenRequests: [], apiRequests: [] })

const processOf = (request: Http.IncomingMessage) => String(request.headers[processHeader])

/** Its id comes with HTTP Basic (RFC 6749 §2.3.1). */
const clientOf = (request: Http.IncomingMessage): Client => {
  const credentials = request.headers.authorization?.replace(/^Basic /, "") ?? ""
  return Buffer.from(credentials, "base64").toString().startsWith("fleet:") ? "fleet" : "alone"
}

const answer = (response: Http.ServerResponse, status: number, body: unknown) =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
