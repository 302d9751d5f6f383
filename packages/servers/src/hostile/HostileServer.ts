/** Servers that do what a `Behaviour` says, each on a port of its own. */
import { Effect, type Scope } from "effect"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import { createServer as createTlsServer, type TLSSocket } from "node:tls"
import { Worker } from "node:worker_threads"
import type { Behaviour } from "./Behaviour.js"
import type { Certificates } from "./Certificates.js"

export interface HostileServer {
  readonly behaviour: Behaviour
  /** `http://127.0.0.1:port` or `https://127.0.0.1:port`. */
  readonly origin: string
  /** How many connections there were so far over which something came; with a deaf server, all of them. */
  readonly visits: () => number
}

export interface Surroundings {
  readonly certificates: Certificates
  readonly document: (origin: string) => string
  readonly elsewhere: string
  readonly letPass: (millis: number) => void
}

/** Serves until the scope ends, and then cuts what is connected. */
export const listen = (
  behaviour: Behaviour,
  { certificates, document, elsewhere, letPass }: Surroundings
): Effect.Effect<HostileServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    let origin = ""
    let number = 0
    let visits = 0
    const count = () => void visits++
    const connected = (socket: Socket) => {
      if (behaviour.deaf !== true) socket.once("data", count)
      behaviour.serve({
        number: ++number,
        socket: socket.on("error", () => {}),
        document: document(origin),
        elsewhere,
        letPass
      })
    }
    const server = behaviour.certificate === undefined
      ? createServer({ allowHalfOpen: true }, connected)
      : createTlsServer(certificates[behaviour.certificate], (socket: TLSSocket) => connected(socket))
    if (behaviour.deaf === true) server.on("connection", count)
    const port = behaviour.port === undefined ? yield* bind(server) : yield* ports[behaviour.port]
    origin = `${behaviour.scheme ?? "http"}://127.0.0.1:${port}`
    return { behaviour, origin, visits: () => visits }
  })

/** A server that counts who comes, and answers nothing. */
export const trap: Effect.Effect<
  { readonly origin: string; readonly visits: () => number },
  never,
  Scope.Scope
> = Effect.gen(function*() {
  let visits = 0
  const server = createServer((socket) => {
    visits++
    socket.destroy()
  })
  const port = yield* bind(server)
  return { origin: `http://127.0.0.1:${port}`, visits: () => visits }
})

const bind = (server: Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly port: number; readonly sockets: Set<Socket> }>((resume) => {
      const sockets = new Set<Socket>()
      server.on("connection", (socket: Socket) => {
        sockets.add(socket.on("error", () => {}))
        socket.on("close", () => sockets.delete(socket))
      })
      server.on("tlsClientError", () => {})
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ port, sockets }))
      })
    }),
    ({ sockets }) =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(({ port }) => port))

// The near end of a connection: nobody listens there, and nobody else is given it
const closedPort: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function*() {
  const port = yield* bind(createServer())
  const socket = yield* connection(port)
  yield* Effect.async<void>((resume) => {
    if (socket.connecting) socket.once("connect", () => resume(Effect.void))
    else resume(Effect.void)
  })
  return socket.localPort!
})

// Listens and never accepts: once its queue is full, the kernel drops every further SYN
const sleeper = `
  const { parentPort } = require("node:worker_threads")
  const server = require("node:net").createServer()
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  })
`
const queueLength = 4

const droppingPort: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function*() {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(sleeper, { eval: true })),
    (worker) => Effect.promise(() => worker.terminate())
  )
  const port = yield* Effect.async<number>((resume) => {
    worker.once("message", (port: number) => resume(Effect.succeed(port)))
  })
  yield* Effect.forEach(Array.from({ length: queueLength }), () => connection(port))
  return port
})

const connection = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => connect(port, "127.0.0.1").on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )

const ports = { closed: closedPort, dropping: droppingPort }
