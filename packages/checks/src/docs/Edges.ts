/** Every socket of this process ends in the world of the docs: at its servers, or nowhere. */
import { isIP, Socket } from "node:net"

export interface Ports {
  /** Of the servers of example.com, which speak TLS. */
  readonly https: number
  readonly redis: number
  readonly memcached: number
}

interface Target {
  readonly host?: string | undefined
  readonly port?: number | string | undefined
  readonly path?: string | null | undefined
}

export const close = (ports: Ports): void => {
  const { connect } = Socket.prototype
  const loopback = (options: Target, port: number) => ({ ...options, host: "127.0.0.1", port, path: undefined })

  const route = (options: Target): Target | undefined => {
    const host = options.host ?? "localhost"
    const port = Number(options.port)
    if (options.path?.endsWith("redis.sock")) return loopback(options, ports.redis)
    if (options.path != null) return options
    if (/^(.+\.)?example\.com$/.test(host) && port === 443) return loopback(options, ports.https)
    if (host !== "localhost" && (isIP(host) === 0 || !host.startsWith("127."))) return undefined
    if (port === 11_211) return loopback(options, ports.memcached)
    return port === 6379 ? loopback(options, ports.redis) : options
  }

  Socket.prototype.connect = function(this: Socket, ...args: Array<any>): Socket {
    // Node hands on an array of options and callback that it has made of the arguments before
    const isNormal = Array.isArray(args[0])
    const options = isNormal ? args[0][0] : args[0]
    if (typeof options !== "object" || options === null) throw new TypeError("connect without options")
    const target = route(options)
    if (target === undefined) {
      const error = new Error(`${options.host}:${options.port} is not among the hosts that the docs may name`)
      process.nextTick(() => this.destroy(Object.assign(error, { code: "ECONNREFUSED" })))
      return this
    }
    if (isNormal) args[0][0] = target
    else args[0] = target
    return Reflect.apply(connect, this, args)
  }
}
