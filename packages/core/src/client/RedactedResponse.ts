/**
 * A response, and errors of reading it, as callers and tracers may see them:
 * with the caller's request, not the one that carries the token.
 */
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as AddressedRequest from "./AddressedRequest.js"

/** Wraps a response; its body is read through the wrapper. */
export const make = (
  original: HttpClientResponse.HttpClientResponse,
  asked: AddressedRequest.AddressedRequest
): HttpClientResponse.HttpClientResponse => new RedactedResponse(original, asked)

/** The error with the caller's request instead of the one that carries the token. */
export const redactError = (
  error: HttpClientError.HttpClientError,
  request: HttpClientRequest.HttpClientRequest
): HttpClientError.HttpClientError =>
  error._tag === "RequestError"
    ? new HttpClientError.RequestError({ ...fieldsOf(error, request), reason: error.reason })
    : readError(error, new RedactedResponse(error.response, { request, url: request.url }))

/** The same for any cause, including defects. */
export const redactCause = <E>(
  cause: Cause.Cause<E>,
  request: HttpClientRequest.HttpClientRequest
): Cause.Cause<E | HttpClientError.HttpClientError> =>
  Cause.match(cause, {
    onEmpty: Cause.empty,
    onFail: (error) => Cause.fail(redactUnknown(error, request)),
    onDie: (defect) => Cause.die(redactUnknown(defect, request)),
    onInterrupt: Cause.interrupt,
    onSequential: Cause.sequential,
    onParallel: Cause.parallel
  })

/** The same for the result of a span. A request that is passed on becomes the caller's. */
export const redactExit = (
  exit: Exit.Exit<unknown, unknown>,
  asked: AddressedRequest.AddressedRequest
): Exit.Exit<unknown, unknown> =>
  Exit.match(exit, {
    onFailure: (cause) => Exit.failCause(redactCause(cause, AddressedRequest.toRequest(asked))),
    onSuccess: (value) =>
      isResponse(value)
        ? Exit.succeed(make(value, asked))
        : isRequest(value)
        ? Exit.succeed(AddressedRequest.toRequest(asked))
        : exit
  })

const isRequest = (u: unknown): u is HttpClientRequest.HttpClientRequest =>
  Predicate.hasProperty(u, HttpClientRequest.TypeId)

const isResponse = (u: unknown): u is HttpClientResponse.HttpClientResponse =>
  Predicate.hasProperty(u, HttpClientResponse.TypeId)

const redactUnknown = <A>(u: A, request: HttpClientRequest.HttpClientRequest) =>
  HttpClientError.isHttpClientError(u) ? redactError(u, request) : u

const fieldsOf = (
  { cause, description }: HttpClientError.HttpClientError,
  request: HttpClientRequest.HttpClientRequest
) => ({
  request,
  ...(cause !== undefined && { cause: redactUnknown(cause, request) }),
  ...(description !== undefined && { description })
})

// Created for every response: it keeps only what it is made of
class RedactedResponse implements HttpClientResponse.HttpClientResponse {
  // Unreachable for inspect, JSON and structured clones
  readonly #original: HttpClientResponse.HttpClientResponse
  #asked: AddressedRequest.AddressedRequest

  constructor(original: HttpClientResponse.HttpClientResponse, asked: AddressedRequest.AddressedRequest) {
    this.#original = original
    this.#asked = asked
  }

  get request() {
    const request = AddressedRequest.toRequest(this.#asked)
    this.#asked = { request, url: request.url }
    return request
  }

  get [HttpIncomingMessage.TypeId](): HttpIncomingMessage.TypeId {
    return HttpIncomingMessage.TypeId
  }

  get [HttpClientResponse.TypeId](): HttpClientResponse.TypeId {
    return HttpClientResponse.TypeId
  }

  get status() {
    return this.#original.status
  }

  get headers() {
    return this.#original.headers
  }

  get cookies() {
    return this.#original.cookies
  }

  get remoteAddress() {
    return this.#original.remoteAddress
  }

  get json() {
    return read(this.#original.json, this)
  }

  get text() {
    return read(this.#original.text, this)
  }

  get urlParamsBody() {
    return read(this.#original.urlParamsBody, this)
  }

  get formData() {
    return read(this.#original.formData, this)
  }

  get arrayBuffer() {
    return read(this.#original.arrayBuffer, this)
  }

  get stream() {
    return Stream.mapError(this.#original.stream, (error) => readError(error, this))
  }

  // Effect wraps the failure of a fiber with a span in a Proxy. Getters work through it, but methods would not find
  // their private field
  get toJSON() {
    return (): unknown => {
      const json = this.#original.toJSON()
      return Predicate.isRecord(json) ? { ...json, request: this.request.toJSON() } : json
    }
  }

  toString(): string {
    return Inspectable.format(this.toJSON())
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}

const read = <A>(
  body: Effect.Effect<A, HttpClientError.ResponseError>,
  response: RedactedResponse
): Effect.Effect<A, HttpClientError.ResponseError> => Effect.mapError(body, (error) => readError(error, response))

const readError = (
  error: HttpClientError.ResponseError,
  response: RedactedResponse
): HttpClientError.ResponseError =>
  new HttpClientError.ResponseError({ ...fieldsOf(error, response.request), reason: error.reason, response })
