import { Effect } from "effect"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { connect } from "node:net"
import * as LocalServer from "./LocalServer.js"

export interface Tunnel {
  readonly target: string
  readonly headers: IncomingHttpHeaders
}

/** An HTTP proxy that knows CONNECT only. */
export const makeProxy = Effect.suspend(() => {
  const tunnels: Array<Tunnel> = []
  const server = createServer().on("connect", (request, socket, head) => {
    const target = request.url ?? ""
    tunnels.push({ target, headers: request.headers })
    const [host, port] = target.split(":")
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
      upstream.write(head)
      upstream.pipe(socket)
      socket.pipe(upstream)
    })
    for (const end of [socket, upstream]) end.on("error", () => {})
  })
  return Effect.map(LocalServer.listen(server), (proxy) => ({ proxy, tunnels }))
})
