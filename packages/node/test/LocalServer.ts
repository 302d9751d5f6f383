import { Effect } from "effect"
import type { Scope } from "effect"
import { createServer, type IncomingMessage, type RequestListener } from "node:http"
import type { AddressInfo, Server, Socket } from "node:net"
import { hang } from "../../core/test/support/hang.js"

export interface LocalServer {
  readonly port: number
  /** `http://127.0.0.1:port`, without a slash at its end. */
  readonly url: string
  /** Every connection that was made so far. */
  readonly sockets: ReadonlyArray<Socket>
}

/** Listens on a free port of the loopback interface until the scope ends, and then cuts what is connected. */
export const listen = (server: Server, host = "127.0.0.1"): Effect.Effect<LocalServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<LocalServer>((resume) => {
      const sockets: Array<Socket> = []
      server.on("connection", (socket: Socket) => sockets.push(socket.on("error", () => {})))
      server.listen(0, host, () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ port, url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, sockets }))
      })
    }),
    ({ sockets }) =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

/** Clients believe it: no kept connection ends because a test takes long. */
export const keepAliveTimeout = hang

/** A plain HTTP server. */
export const make = (listener: RequestListener): Effect.Effect<LocalServer, never, Scope.Scope> =>
  Effect.suspend(() => listen(createServer({ keepAliveTimeout }, listener)))

/** The whole body of a request. */
export const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}
