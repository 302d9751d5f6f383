/** A pool for direct requests, and one for requests through a proxy. */
import * as Undici from "@effect/platform-node/Undici"

/** Owns both: they close together, at once. */
export const make = (options: {
  readonly direct: Undici.Dispatcher
  readonly proxied: Undici.Dispatcher
  readonly isDirect: (url: URL) => boolean
}): Undici.Dispatcher => new ProxiedDispatcher(options)

class ProxiedDispatcher extends Undici.Dispatcher {
  constructor(readonly options: Parameters<typeof make>[0]) {
    super()
  }

  override dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
    const { direct, isDirect, proxied } = this.options
    return (isDirect(new URL(options.origin ?? "")) ? direct : proxied).dispatch(options, handler)
  }

  override async destroy(): Promise<void> {
    await Promise.all([this.options.direct.destroy(), this.options.proxied.destroy()])
  }
}
