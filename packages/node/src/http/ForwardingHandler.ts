/** A handler of undici that forwards all events of a request, as a base for handlers that change some of them. */
import type * as Undici from "@effect/platform-node/Undici"
import type { IncomingHttpHeaders } from "node:http"
import type { Duplex } from "node:stream"

type Controller = Undici.Dispatcher.DispatchController

/** undici's own `DecoratorHandler` is deprecated and has no types. */
export class ForwardingHandler implements Undici.Dispatcher.DispatchHandler {
  constructor(protected readonly handler: Undici.Dispatcher.DispatchHandler) {}

  onRequestStart(controller: Controller, context: unknown): void {
    this.handler.onRequestStart?.(controller, context)
  }

  onRequestUpgrade(controller: Controller, status: number, headers: IncomingHttpHeaders, socket: Duplex): void {
    this.handler.onRequestUpgrade?.(controller, status, headers, socket)
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders, message?: string): void {
    this.handler.onResponseStart?.(controller, status, headers, message)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(controller: Controller, trailers: IncomingHttpHeaders): void {
    this.handler.onResponseEnd?.(controller, trailers)
  }

  onResponseError(controller: Controller, error: Error): void {
    this.handler.onResponseError?.(controller, error)
  }
}
