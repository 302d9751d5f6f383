/**
 * Lets requests wait until others leave their connections, where undici would
 * open one for each of them: to open a thousand at once takes longer than to
 * share fewer, and more than most servers have room for.
 */
import type * as Undici from "@effect/platform-node/Undici"
import type { Observer, UndiciExchange } from "./UndiciExchange.js"

// Half of the backlog of connections that servers have who ask for little (128); beyond it they are dropped, and tried
// again after a second
const limit = 64
// When the system tries again, and then after 2 seconds more: who waits for that gains nothing by having waited
const patience = 1000
// Who has waited for so long for one of a limited number of connections waits for one that is in use
const busyAfter = 100

/** The requests to one origin that have no connection. */
interface Origin {
  readonly key: string
  /** Given to undici, and when. */
  readonly connecting: Map<UndiciExchange, number>
  /** Not given to undici, the first one first. */
  readonly waiting: Set<UndiciExchange>
  /** How many exchanges have left their connections, and no other has been sent since. */
  left: number
  isScheduled: boolean
}

/**
 * At most 64 requests to one origin make undici connect at the same time. Each
 * that gets its connection lets another connect, and each that ends lets
 * another have the one that it leaves. One that ends without, after more than a
 * second, lets all connect: where nobody answers, none waits for the time limits
 * of those before it. Where connections are limited, bodies that nobody reads
 * do not keep them from those that wait.
 */
export class ConnectionQueue implements Observer {
  /** Those with a request that has no connection. */
  readonly #origins = new Map<string, Origin>()

  /** Those that have a connection, where there is a limit. */
  readonly #connected = new Set<UndiciExchange>()
  #timer: NodeJS.Timeout | undefined

  /** `connections` is how many to one origin the dispatcher opens at most. */
  constructor(readonly dispatcher: Undici.Dispatcher, readonly connections = Infinity) {}

  /** Gives the exchange to undici, at once or later. */
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

  #find({ options }: UndiciExchange): Origin | undefined {
    return this.#origins.size === 0 ? undefined : this.#origins.get(String(options.origin))
  }

  #send(exchange: UndiciExchange): void {
    const before = this.#find(exchange)
    if (before !== undefined && before.left > 0) before.left--
    try {
      this.dispatcher.dispatch(exchange.options, exchange)
    } catch (cause) {
      exchange.abort(cause instanceof Error ? cause : new Error("undici refused the request", { cause }))
    }
    if (exchange.started || exchange.ended) return
    const key = String(exchange.options.origin)
    let origin = this.#origins.get(key)
    if (origin === undefined) {
      origin = { key, connecting: new Map(), waiting: new Set(), left: 0, isScheduled: false }
      this.#origins.set(key, origin)
    }
    origin.connecting.set(exchange, performance.now())
    this.#makeRoom()
  }

  /** Looks again and again, while there are requests without a connection beside those that have one. */
  #makeRoom(): void {
    if (this.#timer !== undefined || this.#connected.size === 0 || this.#origins.size === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      for (const { connecting, key } of this.#origins.values()) {
        const [since = Infinity] = connecting.values()
        const connected = Array.from(this.#connected).filter(({ options }) => String(options.origin) === key)
        // With fewer it waits for a connection of its own
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
    // undici takes a connection for free one immediate after the end of what it was used for
    setImmediate(() => setImmediate(() => this.#goOn(origin)))
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

  /** Where nothing waits, and nothing is about to be looked at. */
  #forget(origin: Origin): void {
    if (origin.waiting.size + origin.connecting.size === 0 && !origin.isScheduled) this.#origins.delete(origin.key)
  }
}

/** It had a connection of HTTP/1.1, and nobody can have that any more (RFC 9112 §9.6). */
const hasClosed = ({ error, headers, started }: UndiciExchange): boolean =>
  started && (error !== undefined || /\bclose\b/i.test(String(headers.connection)))
