/**
 * Connections that are opened while their requests wait for a token. undici gets
 * one of these when it needs a connection.
 */
import type * as Undici from "@effect/platform-node/Undici"
import type { Socket } from "node:net"

type Connector = Undici.buildConnector.connector
type Target = Undici.buildConnector.Options
type Callback = Undici.buildConnector.Callback

/** A connection before its request: being opened, or open. */
interface Early {
  /** Hands it over, also if it cannot be opened. */
  readonly take: (callback: Callback) => void
  readonly close: () => void
}

interface Origin {
  readonly early: Set<Early>
  /** How many connections undici has, or waits for. */
  inUse: number
}

/** A connector, and how to open connections before it is called. */
export interface EarlyConnections {
  readonly connector: Connector
  /** Opens a connection to an origin, unless undici has one. */
  readonly open: (origin: string) => void
  /** Closes those without a request. */
  readonly close: () => void
}

/** Options of early connections. */
export interface Options {
  /** How many may wait for their requests, per origin. */
  readonly limit: number
  /** How long an open one may wait for its request (milliseconds). */
  readonly unusedFor: number
}

/** Makes a connector of another one. */
export const make = (connector: Connector, { limit, unusedFor }: Options): EarlyConnections => {
  const origins = new Map<string, Origin>()
  let isClosed = false

  const stateOf = (key: string): Origin => {
    let origin = origins.get(key)
    if (origin === undefined) {
      origin = { early: new Set(), inUse: 0 }
      origins.set(key, origin)
    }
    return origin
  }

  const forget = (key: string, { early, inUse }: Origin) => {
    if (early.size + inUse === 0) origins.delete(key)
  }

  const openEarly = (target: Target, key: string, origin: Origin): Early => {
    let socket: Socket | undefined
    let taker: Callback | undefined
    let timer: NodeJS.Timeout | undefined

    const close = () => {
      clearTimeout(timer)
      origin.early.delete(early)
      forget(key, origin)
      socket?.destroy()
    }

    const early: Early = {
      take: (callback) => {
        clearTimeout(timer)
        origin.early.delete(early)
        if (socket === undefined) {
          taker = callback
        } else {
          const taken = socket.off("error", close).off("close", close).off("readable", close).ref()
          // As if it had just been opened: undici expects no answer at once
          queueMicrotask(() => callback(null, taken))
        }
      },
      close
    }

    connector(target, (...[error, opened]) => {
      if (taker !== undefined) return error === null ? taker(null, opened) : taker(error, null)
      if (error !== null) return close()
      socket = opened
      // A server that closes it, or speaks first, has no use for a request
      socket.on("error", close).on("close", close).on("readable", close).unref()
      timer = setTimeout(close, unusedFor).unref()
      if (isClosed) close()
    })
    return early
  }

  return {
    connector: (target, callback) => {
      const key = keyOf(target)
      const origin = stateOf(key)
      origin.inUse++
      const onEnd = () => {
        origin.inUse--
        forget(key, origin)
      }
      const counted: Callback = (...[error, socket]) => {
        if (error !== null) {
          onEnd()
          return callback(error, null)
        }
        socket.once("close", onEnd)
        callback(null, socket)
      }
      // A request with a Host header of its own, or within a tunnel, needs another connection
      const [first] = target.servername || target.httpSocket !== undefined ? [] : origin.early
      if (first === undefined) connector(target, counted)
      else first.take(counted)
    },
    open: (url) => {
      const { host, hostname, port, protocol } = new URL(url)
      const target = { host, hostname: hostname.replace(/^\[|\]$/g, ""), port, protocol }
      const key = keyOf(target)
      const origin = stateOf(key)
      if (origin.inUse === 0 && origin.early.size < limit) origin.early.add(openEarly(target, key, origin))
    },
    close: () => {
      isClosed = true
      for (const { early } of origins.values()) {
        for (const { close } of early) close()
      }
    }
  }
}

const keyOf = ({ host, protocol }: Pick<Target, "host" | "protocol">): string => `${protocol}//${host}`
