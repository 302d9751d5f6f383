/**
 * One request and its response, as undici reports them: buffers the body until
 * it is read, and applies backpressure to the server.
 */
import * as Undici from "@effect/platform-node/Undici"
import { AsyncResource } from "node:async_hooks"
import type { IncomingHttpHeaders } from "node:http"
import { Readable } from "node:stream"

type Controller = Undici.Dispatcher.DispatchController

/** Called once: when the response starts, or with the error if there is none. */
export type OnResponse = (error: Error | undefined) => void

/** Called once when the exchange gets a connection, if ever, and once when it ends. */
export interface Observer {
  readonly onStart: (exchange: UndiciExchange) => void
  readonly onEnd: (exchange: UndiciExchange) => void
}

// Before the response starts
const none: IncomingHttpHeaders = {}
const noChunks: ReadonlyArray<Buffer> = []
// undici's default
const defaultHighWaterMark = 64 * 1024
// Of an unread body whose connection other requests need: most bodies are shorter
const unreadHighWaterMark = 1024 * 1024
// As long as platform waits for a reader if it cannot know whether there is one
const unreadPatience = 5000

/** The body can be read in chunks or awaited as a whole. */
export class UndiciExchange extends AsyncResource implements Undici.Dispatcher.DispatchHandler {
  status = 0
  headers: IncomingHttpHeaders = none
  /** Nothing more will arrive: the exchange is complete, or failed with `error`. */
  ended = false
  error: Error | undefined = undefined
  observer: Observer | undefined = undefined
  readonly origin: string
  /** Until it ends. */
  #options: Undici.Dispatcher.RequestOptions | undefined
  #controller: Controller | undefined = undefined
  #chunks: Array<Buffer> | undefined = undefined
  #size = 0
  /** How much is buffered before the server has to wait. */
  #capacity: number
  /** When the response started, while none of its body has been read. */
  #unreadSince: number | undefined = undefined
  #listeners: Array<() => void> | undefined = undefined
  #onResponse: OnResponse | undefined

  constructor(options: Undici.Dispatcher.RequestOptions, onResponse: OnResponse) {
    // A fiber that awaits the response continues in the asynchronous context of the request, not in that of the
    // connection
    super("UNDICI_REQUEST")
    this.origin = String(options.origin)
    this.#options = options
    this.#capacity = options.highWaterMark ?? defaultHighWaterMark
    this.#onResponse = onResponse
  }

  /** Whether it has a connection, or failed with one. */
  get started(): boolean {
    return this.#controller !== undefined
  }

  /** Passes itself to the dispatcher, unless it has ended. */
  dispatchTo(dispatcher: Undici.Dispatcher): void {
    if (this.#options !== undefined) dispatcher.dispatch(this.#options, this)
  }

  /** Returns what has arrived since the last call; the server may continue. */
  take(): ReadonlyArray<Buffer> {
    this.#unreadSince = undefined
    const chunks = this.#chunks
    if (chunks === undefined) return noChunks
    this.#chunks = undefined
    this.#size = 0
    this.#resume()
    return chunks
  }

  /** From now on the server does not wait, and listeners are notified only of the end. */
  awaitWhole(): void {
    this.#unreadSince = undefined
    this.#capacity = Infinity
    this.#resume()
  }

  /** Calls back once, when more has arrived or the exchange has ended; the returned function cancels that. */
  listen(listener: () => void): () => void {
    const listeners = this.#listeners ??= []
    listeners.push(listener)
    return () => {
      const index = listeners.indexOf(listener)
      if (index >= 0) listeners.splice(index, 1)
    }
  }

  /** Aborts the exchange and its connection, unless it has ended. */
  abort(reason?: Error): void {
    if (this.ended) return
    const error = reason ?? new Undici.errors.RequestAbortedError()
    this.#controller?.abort(error)
    this.onResponseError(undefined, error)
  }

  /** Other requests need the connection: an unread body is kept up to a larger size, but not for ever. */
  makeRoom(): void {
    if (this.#unreadSince === undefined) return
    if (performance.now() - this.#unreadSince >= unreadPatience) {
      this.abort(new Error("the body was not read for 5 seconds, and others waited for its connection"))
    } else if (this.#size < unreadHighWaterMark) {
      this.#capacity = Math.max(this.#capacity, unreadHighWaterMark)
      this.#resume()
    }
  }

  onRequestStart(controller: Controller): void {
    // Aborted while it waited for a connection
    if (this.error !== undefined) return controller.abort(this.error)
    this.#controller = controller
    this.observer?.onStart(this)
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) {
      this.#options?.onInfo?.({ statusCode: status, headers: headers as Record<string, string | Array<string>> })
      return
    }
    this.#controller = controller
    this.status = status
    this.headers = headers
    this.#unreadSince = performance.now()
    this.#respond(undefined)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.ended) return
    // An empty array grows by room for sixteen, and most bodies are one chunk
    if (this.#chunks === undefined) this.#chunks = [chunk]
    else this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#capacity === Infinity) return
    if (this.#size >= this.#capacity) controller.pause()
    this.#notify()
  }

  onResponseEnd(): void {
    if (this.ended) return
    this.ended = true
    this.observer?.onEnd(this)
    // A response that outlives a minor collection would keep all that undici knows of the request until a major one
    this.#controller = undefined
    this.#options = undefined
    this.#notify()
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.ended) return
    this.ended = true
    this.error = error
    this.observer?.onEnd(this)
    const body = this.#options?.body
    this.#options = undefined
    if (body instanceof Readable) body.on("error", ignore).destroy(error)
    this.#respond(error)
    this.#notify()
  }

  #resume(): void {
    if (!this.ended && this.#controller?.paused === true) this.#controller.resume()
  }

  #respond(error: Error | undefined): void {
    const onResponse = this.#onResponse
    if (onResponse === undefined) return
    this.#onResponse = undefined
    this.runInAsyncScope(onResponse, undefined, error)
  }

  #notify(): void {
    const listeners = this.#listeners
    if (listeners === undefined) return
    this.#listeners = undefined
    for (const listener of listeners) this.runInAsyncScope(listener)
  }
}

const ignore = () => {}
