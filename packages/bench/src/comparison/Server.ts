import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** What a token request held. */
export interface TokenRequest {
  readonly authorization: string | undefined
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** An authorization server and an API behind one address on loopback, which count and do as they are told. */
export interface Server {
  readonly url: string
  readonly tokenRequests: Array<TokenRequest>
  /** The Authorization header of each API request. */
  readonly presented: Array<string | undefined>
  /** How the token endpoint answers, and the API. */
  answerToken: (issue: () => Answer) => Answer | Promise<Answer>
  answerApi: (isValid: boolean) => Answer | Promise<Answer>
  readonly revokeAll: () => void
  readonly close: () => Promise<void>
}

export const ok: Answer = { status: 200 }
export const unauthorized: Answer = { status: 401, headers: { "www-authenticate": "Bearer error=\"invalid_token\"" } }

export const makeServer = async (): Promise<Server> => {
  const valid = new Set<string>()
  let issued = 0

  const issue = (): Answer => {
    const token = `token-${++issued}`
    valid.add(token)
    return { status: 200, body: { access_token: token, token_type: "Bearer", expires_in: 3600 } }
  }

  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const { authorization } = request.headers
    if (request.url !== "/token") {
      server.presented.push(authorization)
      return server.answerApi(valid.has(authorization?.slice("Bearer ".length) ?? ""))
    }
    let body = ""
    for await (const chunk of request) body += String(chunk)
    server.tokenRequests.push({ authorization, body })
    return server.answerToken(issue)
  }

  const send = (response: ServerResponse, { body, headers, status }: Answer) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(body === undefined ? undefined : JSON.stringify(body))
  }

  const http = createServer((request, response) => {
    answer(request).then((answer) => send(response, answer), () => response.destroy())
  })
  await new Promise<void>((resolve) => {
    http.listen(0, "127.0.0.1", resolve)
  })

  const server: Server = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    tokenRequests: [],
    presented: [],
    answerToken: (issue) => issue(),
    answerApi: (isValid) => isValid ? ok : unauthorized,
    revokeAll: () => valid.clear(),
    close: () =>
      new Promise((resolve) => {
        http.closeAllConnections()
        http.close(() => resolve())
      })
  }
  return server
}
