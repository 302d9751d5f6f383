/** Content codings (RFC 9110 §8.4.1): decodes responses as they are read, without keeping the whole body. */
import type * as Undici from "@effect/platform-node/Undici"
import * as Arr from "effect/Array"
import type { IncomingHttpHeaders } from "node:http"
import type { Transform } from "node:stream"
import * as zlib from "node:zlib"
import { ForwardingHandler } from "./ForwardingHandler.js"

type Controller = Undici.Dispatcher.DispatchController

/** The codings that a request accepts. */
export const accepted = "gzip, br"
// One is usual, two occur behind proxies that compress again; each further one multiplies how much a few bytes expand
const maxCodings = 3
// Responses without a body, or with a part of one
const undecodedStatuses = [204, 206, 304]

/** Makes a decoder, given the first byte of the coded body, unless the input comes from another decoder. */
type MakeDecoder = (firstByte?: number) => Transform

// From Node 22.15 on; the types are those of Node 20
const createZstd = "createZstdDecompress" in zlib
  ? zlib.createZstdDecompress as (options: { readonly params: Readonly<Record<number, number>> }) => Transform
  : undefined
// RFC 9659: a window of at most 8 MB, which zstd otherwise lets the sender choose (ZSTD_d_windowLogMax)
const zstdParams = { 100: 23 }

const decoders: Readonly<Record<string, MakeDecoder>> = {
  gzip: () => zlib.createGunzip(),
  "x-gzip": () => zlib.createGunzip(),
  br: () => zlib.createBrotliDecompress(),
  // Specified with a zlib header (RFC 9110 §8.4.1.2), and often sent without
  deflate: (firstByte = 8) => (firstByte & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw(),
  ...(createZstd === undefined ? {} : { zstd: () => createZstd({ params: zstdParams }) })
}

/**
 * Decodes gzip, br, deflate and, if Node supports it, zstd. Other codings stay
 * as they are, with their `content-encoding`.
 */
export const decode: Undici.Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch(options, options.method === "HEAD" ? handler : new Decoder(handler))

/** The decoders in the order of application: the last coding first. */
const decodersOf = (header: string | ReadonlyArray<string> | undefined): ReadonlyArray<MakeDecoder> => {
  if (header === undefined) return noDecoders
  const codings = Arr.ensure(header).join().toLowerCase().split(",").map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity")
  const known = codings.flatMap((coding) => Object.hasOwn(decoders, coding) ? [decoders[coding]] : [])
  return known.length === codings.length && known.length <= maxCodings ? known.reverse() : noDecoders
}

// Most bodies are not coded: they share these
const noDecoders: ReadonlyArray<MakeDecoder> = []
const noStages: ReadonlyArray<Transform> = []

/** How the reader of a decoded body controls the source. */
class Decoder extends ForwardingHandler implements Controller {
  #source: Controller | undefined
  #makers: ReadonlyArray<MakeDecoder> = noDecoders
  /** Made with the first byte: a body without any, whatever its header says, is empty. */
  #stages: ReadonlyArray<Transform> = noStages
  #trailers: IncomingHttpHeaders | undefined
  /** All that the server has sent. */
  #received = false
  #ended = false

  get aborted(): boolean {
    return this.#source?.aborted ?? false
  }

  get reason(): Error | null {
    return this.#source?.reason ?? null
  }

  get paused(): boolean {
    return this.#stages.at(-1)?.isPaused() ?? this.#source?.paused ?? false
  }

  pause(): void {
    ;(this.#stages.at(-1) ?? this.#source)?.pause()
  }

  resume(): void {
    this.#stages.at(-1)?.resume()
    if (this.#stages[0]?.writableNeedDrain !== true) this.#source?.resume()
  }

  abort(reason: Error): void {
    this.#source?.abort(reason)
    // A source that ended before its body was decoded reports nothing
    this.onResponseError(this, reason)
  }

  override onRequestStart(source: Controller, context: unknown): void {
    this.#source = source
    super.onRequestStart(this, context)
  }

  override onResponseStart(source: Controller, status: number, headers: IncomingHttpHeaders, message?: string): void {
    this.#makers = status < 200 || undecodedStatuses.includes(status)
      ? noDecoders
      : decodersOf(headers["content-encoding"])
    if (this.#makers.length === 0) return super.onResponseStart(this, status, headers, message)
    const { "content-encoding": _, "content-length": __, ...decoded } = headers
    super.onResponseStart(this, status, decoded, message)
  }

  override onResponseData(source: Controller, chunk: Buffer): void {
    if (this.#makers.length === 0) return super.onResponseData(this, chunk)
    // The last coding has ended: what follows may be endless
    if (this.#ended) return source.abort(new Error("a body that goes on after its end"))
    if (this.#stages.length === 0) this.#stages = this.#makeStages(source, chunk[0])
    if (!this.#stages[0].write(chunk)) source.pause()
  }

  #makeStages(source: Controller, firstByte: number): ReadonlyArray<Transform> {
    const stages = this.#makers.map((make, index) => index === 0 ? make(firstByte) : make())
    for (const stage of stages) stage.on("error", (error) => this.abort(error))
    stages[0].on("drain", () => source.resume())
    stages.reduce((from, to) => from.pipe(to))
      .on("data", (chunk: Buffer) => super.onResponseData(this, chunk))
      .on("end", () => {
        const hasMore = !this.#received
        this.#end()
        // Nobody is left to wait for it
        if (hasMore) source.abort(new Error("a body that goes on after its end"))
      })
    return stages
  }

  override onResponseEnd(_: Controller, trailers: IncomingHttpHeaders): void {
    this.#trailers = trailers
    this.#received = true
    if (this.#stages.length === 0) return this.#end()
    this.#stages[0].end()
  }

  override onResponseError(_: Controller, error: Error): void {
    if (this.#ended) return
    this.#ended = true
    for (const stage of this.#stages) stage.destroy()
    super.onResponseError(this, error)
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    super.onResponseEnd(this, this.#trailers ?? {})
  }
}
