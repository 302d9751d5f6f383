/**
 * What goes over the wire, seen from the servers' side: a tap on a `node:http`
 * server that notes every request, its answer and the tokens in them.
 */
import { Context, Effect, Layer, Redacted } from "effect"
import type * as Http from "node:http"

/** A request and its answer. Times are in milliseconds of one clock. */
export interface Exchange {
  readonly server: string
  readonly method: string
  readonly path: string
  /** `x-request-id`: all requests that one call of the app led to. */
  readonly requestId: string | undefined
  /** The scheme of the Authorization header. */
  readonly scheme: string | undefined
  /** The same token is the same object in all exchanges. */
  readonly sentToken: Redacted.Redacted | undefined
  readonly issuedToken: Redacted.Redacted | undefined
  readonly status: number
  readonly startedAt: number
  readonly endedAt: number
}

export class Wire extends Context.Tag("@effect-alf/examples/Wire")<
  Wire,
  {
    /** Everything so far, in the order of the answers. */
    readonly exchanges: Effect.Effect<ReadonlyArray<Exchange>>
    /** Notes all that a server receives under this name. */
    readonly tap: (name: string, server: Http.Server) => Http.Server
    /** Says that this answer carries a new token. */
    readonly issued: (response: Http.ServerResponse, token: string) => void
    /** The time as exchanges tell it. */
    readonly now: Effect.Effect<number>
  }
>() {}

export const make = Effect.gen(function*() {
  const clock = yield* Effect.clock
  const now = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
  const exchanges: Array<Exchange> = []
  const tokens = new Map<string, Redacted.Redacted>()
  const issuedTokens = new WeakMap<Http.ServerResponse, Redacted.Redacted>()

  const toToken = (value: string) => {
    const token = tokens.get(value) ?? Redacted.make(value)
    tokens.set(value, token)
    return token
  }

  return Wire.of({
    exchanges: Effect.sync(() => exchanges.slice()),
    tap: (name, server) =>
      server.prependListener("request", (request, response) => {
        const startedAt = now()
        const [scheme, credentials] = request.headers.authorization?.split(" ") ?? []
        response.once("finish", () =>
          exchanges.push({
            server: name,
            method: request.method ?? "",
            path: new URL(request.url ?? "/", "http://localhost").pathname,
            requestId: request.headers["x-request-id"]?.toString(),
            scheme,
            sentToken: scheme === "Bearer" && credentials !== undefined ? toToken(credentials) : undefined,
            issuedToken: issuedTokens.get(response),
            status: response.statusCode,
            startedAt,
            endedAt: now()
          }))
      }),
    issued: (response, token) => {
      issuedTokens.set(response, toToken(token))
    },
    now: Effect.sync(now)
  })
})

export const layer: Layer.Layer<Wire> = Layer.effect(Wire, make)
