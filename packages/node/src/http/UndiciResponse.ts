/** The `HttpClientResponse` of an exchange with undici: a body that has arrived is read without waiting. */
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { UndiciExchange } from "./UndiciExchange.js"

/**
 * The response of an exchange that has started. If nobody reads it completely,
 * the exchange ends when the response is garbage collected; that of a `scoped`
 * request belongs to its scope.
 */
export const make = (
  request: HttpClientRequest.HttpClientRequest,
  exchange: UndiciExchange,
  scoped: boolean
): HttpClientResponse.HttpClientResponse => {
  const response = new UndiciResponse(request, exchange, scoped)
  if (!scoped && !exchange.ended) abandoned.register(response, exchange)
  return response
}

const abandoned = new FinalizationRegistry<UndiciExchange>((exchange) => exchange.abort())

// As an effect it fails within the spans of its reader, which the error then names; an Exit does not
type Read<A> = Either.Either<A, HttpClientError.ResponseError>

// Private: inspect, JSON and structured clones do not show the headers that were sent
class UndiciResponse implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly #exchange: UndiciExchange
  readonly #scoped: boolean
  #reader: "text" | "bytes" | "stream" | undefined = undefined
  #readText: Read<string> | undefined = undefined
  #readBytes: Read<Uint8Array<ArrayBuffer>> | undefined = undefined
  #knownHeaders: Headers.Headers | undefined = undefined
  #knownCookies: Cookies.Cookies | undefined = undefined

  constructor(
    readonly request: HttpClientRequest.HttpClientRequest,
    exchange: UndiciExchange,
    scoped: boolean
  ) {
    this.#exchange = exchange
    this.#scoped = scoped
  }

  get status(): number {
    return this.#exchange.status
  }

  get headers(): Headers.Headers {
    return this.#knownHeaders ??= Headers.fromInput(this.#exchange.headers)
  }

  get cookies(): Cookies.Cookies {
    return this.#knownCookies ??= Cookies.fromSetCookie(Arr.ensure(this.#exchange.headers["set-cookie"] ?? []))
  }

  get remoteAddress(): Option.Option<string> {
    return Option.none()
  }

  get text(): Effect.Effect<string, HttpClientError.ResponseError> {
    return Effect.suspend(() => this.#text())
  }

  get json(): Effect.Effect<unknown, HttpClientError.ResponseError> {
    return Effect.suspend(() => {
      const text = this.#text()
      // Mostly it has arrived
      return this.#readText?._tag === "Right"
        ? this.#parse(this.#readText.right)
        : Effect.flatMap(text, (text) => this.#parse(text))
    })
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.ResponseError> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.ResponseError> {
    return Effect.map(this.#bytes, ({ buffer }) => buffer)
  }

  get formData(): Effect.Effect<FormData, HttpClientError.ResponseError> {
    const headers = { "content-type": this.headers["content-type"] ?? "" }
    return Effect.flatMap(this.#bytes, (bytes) =>
      Effect.tryPromise({
        try: () => new Response(bytes, { headers }).formData(),
        catch: (cause) => this.#error(cause)
      }))
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.ResponseError> {
    return Stream.fromPull(Effect.suspend(() => {
      if (!this.#claim("stream")) return Effect.succeed(Effect.fail(Option.some(this.#error(unusable()))))
      return Effect.as(Effect.addFinalizer(() => Effect.sync(() => this.#exchange.abort())), this.#pull)
    }))
  }

  /** Shows a body that was read, and reads none. */
  get toJSON() {
    return (): unknown => {
      const body = this.#shownBody()
      return {
        _id: "@effect/platform/HttpClientResponse",
        request: this.request.toJSON(),
        status: this.status,
        headers: Inspectable.redact(this.headers),
        remoteAddress: this.remoteAddress.toJSON(),
        ...(body === undefined ? {} : { body })
      }
    }
  }

  toString(): string {
    return Inspectable.format(this.toJSON())
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }

  #shownBody(): unknown {
    if (this.#readText?._tag !== "Right") return undefined
    const text = this.#readText.right
    const contentType = this.headers["content-type"] ?? ""
    if (contentType.includes("application/json")) return Either.getOrUndefined(this.#parse(text))
    return contentType.includes("text/") || contentType.includes("urlencoded") ? text : undefined
  }

  #text(): Effect.Effect<string, HttpClientError.ResponseError> {
    return this.#readText ?? this.#readWhole("text", () => this.#readText ??= this.#end(toText))
  }

  #parse(text: string): Read<unknown> {
    return this.#attempt(parse, text)
  }

  get #bytes(): Effect.Effect<Uint8Array<ArrayBuffer>, HttpClientError.ResponseError> {
    return Effect.suspend(() =>
      this.#readBytes ?? this.#readWhole("bytes", () => this.#readBytes ??= this.#end(toBytes))
    )
  }

  #readWhole<A>(reader: "text" | "bytes", end: () => Read<A>): Effect.Effect<A, HttpClientError.ResponseError> {
    if (!this.#claim(reader)) return Effect.fail(this.#error(unusable()))
    if (!this.#exchange.ended) this.#exchange.awaitWhole()
    return this.#exchange.ended ? end() : this.#next(end)
  }

  #end<A>(decode: (chunks: ReadonlyArray<Buffer>) => A): Read<A> {
    const chunks = this.#exchange.take()
    const { error } = this.#exchange
    return error === undefined ? this.#attempt(decode, chunks) : Either.left(this.#error(error))
  }

  get #pull(): Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<HttpClientError.ResponseError>> {
    return Effect.suspend(() => {
      const chunks = this.#exchange.take()
      if (chunks.length > 0) return Effect.succeed(Chunk.unsafeFromArray(chunks))
      if (!this.#exchange.ended) return this.#next(() => this.#pull)
      return Effect.fail(Option.map(Option.fromNullable(this.#exchange.error), (error) => this.#error(error)))
    })
  }

  #next<A, E>(then: () => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.async((resume) => {
      const forget = this.#exchange.listen(() => resume(Effect.suspend(then)))
      return Effect.sync(() => {
        forget()
        if (!this.#scoped) this.#exchange.abort()
      })
    })
  }

  /** A body is read once, but its contents can be read again. */
  #claim(reader: "text" | "bytes" | "stream"): boolean {
    return (this.#reader ??= reader) === reader
  }

  #attempt<A, B>(decode: (input: A) => B, input: A): Read<B> {
    try {
      return Either.right(decode(input))
    } catch (cause) {
      return Either.left(this.#error(cause))
    }
  }

  #error(cause: unknown): HttpClientError.ResponseError {
    return new HttpClientError.ResponseError({ request: this.request, response: this, reason: "Decode", cause })
  }
}

const unusable = () => new TypeError("the body has been read in another way")

const parse = (text: string): unknown => text === "" ? null : JSON.parse(text)

const concat = (chunks: ReadonlyArray<Buffer>): Buffer => chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)

const toText = (chunks: ReadonlyArray<Buffer>): string => {
  const buffer = concat(chunks)
  const hasByteOrderMark = buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf
  return buffer.toString("utf8", hasByteOrderMark ? 3 : 0)
}

const toBytes = (chunks: ReadonlyArray<Buffer>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
