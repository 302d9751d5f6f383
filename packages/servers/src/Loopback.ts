/** Servers on free ports of the loopback interface. */
import { Clock, Effect, FiberSet } from "effect"
import type { Scope } from "effect"
import type * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"

const address = "127.0.0.1"

export type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse) => Effect.Effect<void>

/** Listens until the scope ends; gives the origin. */
export const listen = (server: Http.Server | Https.Server): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<string>((resume) => {
      const scheme = server instanceof Https.Server ? "https" : "http"
      // On a busy machine a request may be on its way while the server ends its idle connection, and fail
      server.keepAliveTimeout = 0
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(
        0,
        address,
        () => resume(Effect.sync(() => `${scheme}://${address}:${(server.address() as Net.AddressInfo).port}`))
      )
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** Answers the requests of a server, each in a fiber of the scope; in real time, whatever clock a test has. */
export const serve = (
  server: Http.Server | Https.Server,
  handler: Handler
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.map(FiberSet.makeRuntime<never>(), (fork) => {
    server.on("request", (request: Http.IncomingMessage, response: Http.ServerResponse) =>
      fork(
        handler(request, response).pipe(
          Effect.catchAllCause(() =>
            Effect.sync(() => {
              if (!response.headersSent) response.writeHead(500)
              response.end()
            })
          ),
          Effect.withClock(Clock.make())
        )
      ))
  })

const maxBytes = 64 * 1024

/** The form in the body of a request; of no more than 64 KiB. */
export const form = (request: Http.IncomingMessage): Effect.Effect<URLSearchParams> =>
  Effect.promise(async () => {
    let body = ""
    for await (const chunk of request.setEncoding("utf8")) {
      body += chunk
      if (body.length > maxBytes) throw new Error("The form is too large")
    }
    return new URLSearchParams(body)
  })

export const json = (
  response: Http.ServerResponse,
  status: number,
  body: unknown,
  headers: Http.OutgoingHttpHeaders = {}
): void => {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", ...headers })
  response.end(JSON.stringify(body))
}
