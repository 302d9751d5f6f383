/** What stands before the token endpoint of every server here: it notes the requests, and can delay and fail them. */
import { type Duration, Effect } from "effect"
import type * as Http from "node:http"

/** A token request that a server has answered, without anything secret. */
export interface TokenExchange {
  readonly clientId: string | undefined
  readonly grantType: string | undefined
  /** How the client proved itself, by the registry "OAuth Token Endpoint Authentication Methods". */
  readonly method: string | undefined
  readonly status: number
  readonly error: string | undefined
}

/** What a test can do at the token endpoint of any server. */
export interface TokenDesk {
  /** The token requests so far, in the order of the answers. */
  readonly tokenRequests: Effect.Effect<ReadonlyArray<TokenExchange>>
  /** The next token requests get this status in place of an answer. */
  readonly failNext: (times: number, status?: number, headers?: Http.OutgoingHttpHeaders) => Effect.Effect<void>
  /** How long token requests take from now on, by the clock of whoever says so. */
  readonly delay: (duration: Duration.DurationInput) => Effect.Effect<void>
}

/** The server's side of the desk. */
export interface Clerk {
  readonly desk: TokenDesk
  readonly note: (exchange: TokenExchange) => void
  /** `false` where the request has got its answer already. */
  readonly admit: (response: Http.ServerResponse) => Effect.Effect<boolean>
}

export const make: Effect.Effect<Clerk> = Effect.sync(() => {
  const exchanges: Array<TokenExchange> = []
  let latency = Effect.void
  let failures = { times: 0, status: 503, headers: {} as Http.OutgoingHttpHeaders }
  return {
    desk: {
      tokenRequests: Effect.sync(() => exchanges.slice()),
      failNext: (times, status = 503, headers = {}) =>
        Effect.sync(() => {
          failures = { times, status, headers }
        }),
      delay: (duration) =>
        Effect.map(Effect.clock, (clock) => {
          latency = Effect.withClock(Effect.sleep(duration), clock)
        })
    },
    note: (exchange) => {
      exchanges.push(exchange)
    },
    admit: (response) =>
      Effect.gen(function*() {
        yield* latency
        if (failures.times === 0) return true
        failures.times--
        const { headers, status } = failures
        exchanges.push({ clientId: undefined, grantType: undefined, method: undefined, status, error: undefined })
        response.writeHead(status, headers).end()
        return false
      })
  }
})

/** What is noted of a token request at a server that does not tell what it made of it. */
export const describe = (
  request: Http.IncomingMessage,
  params: URLSearchParams,
  status: number,
  body: string
): TokenExchange => {
  const [scheme, credentials = ""] = request.headers.authorization?.split(" ") ?? []
  const isBasic = scheme?.toLowerCase() === "basic"
  const presented = isBasic
    ? "client_secret_basic"
    : params.has("client_secret")
    ? "client_secret_post"
    : params.has("client_assertion")
    ? "private_key_jwt"
    : "none"
  return {
    clientId: (isBasic ? Buffer.from(credentials, "base64").toString().split(":")[0] : params.get("client_id")) ??
      undefined,
    grantType: params.get("grant_type") ?? undefined,
    method: status === 200 ? presented : undefined,
    status,
    error: /"error":"(\w+)"/.exec(body)?.[1]
  }
}
