/** The process behind `Servers`. */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { serve } from "./Child.js"
import type { Behaviour, Command } from "./Servers.js"
import { constantToken, tokenOf } from "./Token.js"

const defaults: Behaviour = { tokenLatency: 0, apiLatency: 0, expiresIn: 3600, period: 3600 }

let behaviour = defaults
/** When each token ends, in epoch milliseconds. */
const tokens = new Map<string, number>()
let issued = 0
/** When the last one was issued, in epoch milliseconds. */
let newest = 0
let underWay = 0
let failsUntil = 0
let tokenRequests = 0
let needless = 0
let apiRequests = 0
let unauthorized = 0

const resource = Buffer.from(JSON.stringify({ id: 42, name: "a resource", tags: ["one", "two"], price: 12.5 }))
const headers = { "content-type": "application/json", "content-length": resource.byteLength }
const challenge = { "www-authenticate": "Bearer error=\"invalid_token\"", "content-length": 0 }

const later = (delay: number, f: () => void) => {
  if (delay === 0) f()
  else setTimeout(f, delay)
}

const isValid = (authorization: string | undefined) => {
  const token = authorization?.slice("Bearer ".length) ?? ""
  return token === constantToken || Date.now() < (tokens.get(token) ?? 0)
}

const answerApi = (authorization: string | undefined, response: ServerResponse) => {
  apiRequests++
  later(behaviour.apiLatency, () => {
    if (isValid(authorization)) {
      response.writeHead(200, headers).end(resource)
      return
    }
    unauthorized++
    response.writeHead(401, challenge).end()
  })
}

const sendJson = (response: ServerResponse, status: number, value: unknown) =>
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))

const answerToken = (response: ServerResponse) => {
  tokenRequests++
  if (Date.now() < failsUntil) {
    sendJson(response, 503, { error: "temporarily_unavailable" })
    return
  }
  if (underWay > 0 || Date.now() < newest + behaviour.period * 500) needless++
  underWay++
  later(behaviour.tokenLatency, () => {
    underWay--
    newest = Date.now()
    const end = newest + behaviour.expiresIn * 1000
    const token = tokenOf(`token-${++issued}`, Math.floor(end / 1000))
    tokens.set(token, end)
    sendJson(response, 200, { access_token: token, token_type: "Bearer", expires_in: behaviour.expiresIn })
  })
}

const endTokens = () => {
  tokens.clear()
  newest = 0
}

const obey = (command: Command): unknown => {
  switch (command.type) {
    case "reset":
      behaviour = { ...defaults, ...command.behaviour }
      endTokens()
      failsUntil =
        tokenRequests =
        needless =
        apiRequests =
        unauthorized =
          0
      return {}
    case "counts":
      return { tokenRequests, needless, apiRequests, unauthorized }
    case "revoke":
      endTokens()
      return {}
    case "fail":
      failsUntil = Date.now() + command.duration
      return {}
  }
}

const server = createServer((request, response) => {
  if (request.url !== "/token") return answerApi(request.headers.authorization, response)
  request.resume().once("end", () => answerToken(response))
})
// Longer than the pause between two rounds: no client is measured while it reconnects
server.keepAliveTimeout = 300_000
// Thousand callers may connect at once
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  serve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, obey)
})
