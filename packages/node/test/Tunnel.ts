import { Effect } from "effect"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { connect } from "node:net"
import * as LocalServer from "./LocalServer.js"

export interface Tunnel {
  readonly target: string
  readonly headers: IncomingHttpHeaders
}

/** An HTTP proxy that knows CONNECT only. It may know hosts that nobody else knows, by their names. */
export const makeProxyAt = (address: string, hosts: Readonly<Record<string, string>> = {}) =>
  Effect.suspend(() => {
    const tunnels: Array<Tunnel> = []
    const server = createServer().on("connect", (request, socket, head) => {
      const target = request.url ?? ""
      tunnels.push({ target, headers: request.headers })
      const { hostname, port } = new URL(`http://${hosts[target] ?? target}`)
      const upstream = connect(Number(port), hostname.replace(/^\[|\]$/g, ""), () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.write(head)
        upstream.pipe(socket)
        socket.pipe(upstream)
      })
      for (const [end, other] of [[socket, upstream], [upstream, socket]]) {
        end.on("error", () => {}).on("close", () => other.destroy())
      }
    })
    return Effect.map(LocalServer.listen(server, address), (proxy) => ({ proxy, tunnels }))
  })

export const makeProxy = makeProxyAt("127.0.0.1")
