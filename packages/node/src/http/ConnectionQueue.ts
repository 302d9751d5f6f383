/**
 * Makes requests wait for the connections of others, where undici would open
 * one for each: opening a thousand at once takes longer than sharing fewer, and
 * is more than most servers accept.
 */
import type * as Undici from "@effect/platform-node/Undici"
import type { Observer, UndiciExchange } from "./UndiciExchange.js"

// Half of the connection backlog of a server with a small one (128); beyond it, connections are dropped and retried
// after a second
export const limit = 64
// The system retries a connection after this time, and again after 2 more seconds: a request that waits for that gains
// nothing by waiting
const patience = 1000
// A request that has waited this long for one of a limited number of connections waits for one that is in use
const busyAfter = 100

/** The requests to one origin that have no connection. */
interface Origin {
  readonly key: string
  /** Passed to undici, and when. */
  readonly connecting: Map<UndiciExchange, number>
  /** Not passed to undici yet, in order. */
  readonly waiting: Set<UndiciExchange>
  /** How many exchanges have released their connections while no other was sent. */
  left: number
  isScheduled: boolean
}

/**
 * At most 64 requests to one origin make undici connect at the same time. Each
 * that gets a connection lets another connect, and each that ends passes its
 * connection on. If one fails to connect for more than a second, all may
 * connect: if a server does not answer, none waits for the time limits of those
 * before it. If connections are limited, an unread body does not keep its
 * connection from waiting requests.
 */
export class ConnectionQueue implements Observer {
  /** The origins with a request that has no connection. */
  readonly #origins = new Map<string, Origin>()

  /** The exchanges with a connection, if there is a limit. */
  readonly #connected = new Set<UndiciExchange>()
  #timer: NodeJS.Timeout | undefined

  /** `connections` is the dispatcher's maximum per origin; `inNextTurn` schedules what undici must not see earlier. */
  constructor(
    readonly dispatcher: Undici.Dispatcher,
    readonly connections = Infinity,
    readonly inNextTurn: (task: () => void) => void = setImmediate
  ) {}

  /** Passes the exchange to undici, at once or later. */
  dispatch(exchange: UndiciExchange): void {
    exchange.observer = this
    const origin = this.#find(exchange)
    if (origin !== undefined && (origin.waiting.size > 0 || origin.connecting.size >= limit)) {
      origin.waiting.add(exchange)
      if (origin.left > 0) this.#schedule(origin)
    } else {
      this.#send(exchange)
    }
  }

  onStart(exchange: UndiciExchange): void {
    if (this.connections < Infinity) this.#connected.add(exchange)
    this.#makeRoom()
    const origin = this.#find(exchange)
    if (origin?.connecting.delete(exchange) === true) this.#settle(origin)
  }

  onEnd(exchange: UndiciExchange): void {
    this.#connected.delete(exchange)
    const origin = this.#find(exchange)
    if (origin === undefined) return
    if (!origin.waiting.delete(exchange) && !hasClosed(exchange)) origin.left++
    const since = origin.connecting.get(exchange)
    if (since !== undefined && performance.now() - since > patience) {
      origin.left = Math.max(origin.left, origin.waiting.size)
    }
    origin.connecting.delete(exchange)
    this.#settle(origin)
  }

  #find({ origin }: UndiciExchange): Origin | undefined {
    return this.#origins.get(origin)
  }

  #send(exchange: UndiciExchange): void {
    const before = this.#find(exchange)
    if (before !== undefined && before.left > 0) before.left--
    try {
      exchange.dispatchTo(this.dispatcher)
    } catch (cause) {
      exchange.abort(cause instanceof Error ? cause : new Error("undici refused the request", { cause }))
    }
    if (exchange.started || exchange.ended) return
    const key = exchange.origin
    let origin = this.#origins.get(key)
    if (origin === undefined) {
      origin = { key, connecting: new Map(), waiting: new Set(), left: 0, isScheduled: false }
      this.#origins.set(key, origin)
    }
    origin.connecting.set(exchange, performance.now())
    this.#makeRoom()
  }

  /** Looks periodically, while requests without a connection wait for others. */
  #makeRoom(): void {
    if (this.#timer !== undefined || this.#connected.size === 0 || this.#origins.size === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      for (const { connecting, key } of this.#origins.values()) {
        const [since = Infinity] = connecting.values()
        const connected = Array.from(this.#connected).filter(({ origin }) => origin === key)
        // With fewer, undici opens a connection for it
        if (connected.length < this.connections || performance.now() - since < busyAfter) continue
        for (const exchange of connected) exchange.makeRoom()
      }
      this.#makeRoom()
    }, busyAfter).unref()
  }

  #settle(origin: Origin): void {
    if (origin.waiting.size > 0) {
      this.#schedule(origin)
    } else {
      this.#forget(origin)
    }
  }

  #schedule(origin: Origin): void {
    if (origin.isScheduled) return
    origin.isScheduled = true
    // undici considers a connection free one immediate after its previous use
    this.inNextTurn(() => this.inNextTurn(() => this.#goOn(origin)))
  }

  #goOn(origin: Origin): void {
    for (const exchange of origin.waiting) {
      if (origin.left === 0 && origin.connecting.size >= limit) break
      origin.waiting.delete(exchange)
      this.#send(exchange)
    }
    origin.isScheduled = false
    this.#forget(origin)
  }

  /** Forgets an origin without waiting requests and without a scheduled look. */
  #forget(origin: Origin): void {
    if (origin.waiting.size + origin.connecting.size === 0 && !origin.isScheduled) this.#origins.delete(origin.key)
  }
}

/** Its HTTP/1.1 connection is closed, so that no other request can use it (RFC 9112 §9.6). */
const hasClosed = ({ error, headers, started }: UndiciExchange): boolean =>
  started && (error !== undefined || /\bclose\b/i.test(String(headers.connection)))
