import {
  Cookies,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse,
  HttpIncomingMessage,
  UrlParams
} from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Effect, Exit, FastCheck as fc, FiberId, Option, Schema, Stream } from "effect"
import { inspect } from "node:util"
import * as RedactedResponse from "../../src/client/RedactedResponse.js"
import { rowsEffect } from "../support/Rows.js"
import * as Secrets from "../support/Secrets.js"

const token = "tok-3n/very+secret=="

const plain = HttpClientRequest.post("https://api.test/orders", { headers: { "x-mine": "1" } })
const authorized = HttpClientRequest.bearerToken(plain, token)
const asked = { request: plain, url: plain.url }

const both = (web: () => Response) => ({
  original: HttpClientResponse.fromWeb(authorized, web()),
  wrapped: RedactedResponse.make(HttpClientResponse.fromWeb(authorized, web()), asked)
})

const ok = () =>
  new Response("{\"a\":1}", {
    status: 201,
    headers: { "content-type": "application/json", "set-cookie": "session=1; Path=/", "x-answer": "yes" }
  })

/** A body that breaks off. */
const broken = () =>
  new Response(
    new ReadableStream({
      pull(controller) {
        controller.error(new Error("connection reset"))
      }
    }),
    { headers: { "content-type": "text/plain" } }
  )

const wrap = (web: Response) => RedactedResponse.make(HttpClientResponse.fromWeb(authorized, web), asked)

const collect = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(Stream.runCollect(response.stream), (chunks) => Buffer.concat(Array.from(chunks)).toString())

type Read = (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<unknown, HttpClientError.ResponseError>

const readers: Record<string, Read> = {
  text: (response) => response.text,
  json: (response) => response.json,
  urlParamsBody: (response) => response.urlParamsBody,
  formData: (response) => response.formData,
  arrayBuffer: (response) => response.arrayBuffer,
  stream: collect
}

describe("RedactedResponse", () => {
  describe("make", () => {
    it("has the status, headers, cookies and URL of the original, and the caller's request", () => {
      const { original, wrapped } = both(ok)
      assert.strictEqual(wrapped.status, 201)
      deepStrictEqual({ ...wrapped.headers }, { ...original.headers })
      assert.strictEqual(Cookies.toCookieHeader(wrapped.cookies), "session=1")
      deepStrictEqual(wrapped.remoteAddress, original.remoteAddress)
      assert.strictEqual(wrapped.request, plain)
    })

    it("is a response and an incoming message to platform", () => {
      const { wrapped } = both(ok)
      assert.isTrue(HttpClientResponse.TypeId in wrapped)
      assert.isTrue(HttpIncomingMessage.TypeId in wrapped)
    })

    it.live("reads the body in every way of the original", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* wrap(new Response("a=1&b=2")).text, "a=1&b=2")
        deepStrictEqual(yield* wrap(new Response("{\"a\":1}")).json, { a: 1 })
        assert.strictEqual(UrlParams.toString(yield* wrap(new Response("a=1&b=2")).urlParamsBody), "a=1&b=2")
        assert.strictEqual(Buffer.from(yield* wrap(new Response("bytes")).arrayBuffer).toString(), "bytes")
        assert.strictEqual(yield* collect(wrap(new Response("chunks"))), "chunks")
        const form = new FormData()
        form.append("field", "value")
        assert.strictEqual((yield* wrap(new Response(form)).formData).get("field"), "value")
      }))

    it.live("reads a body twice, as the original does", () =>
      Effect.gen(function*() {
        const response = wrap(new Response("{\"a\":1}"))
        assert.strictEqual(yield* response.text, "{\"a\":1}")
        assert.strictEqual(yield* response.text, "{\"a\":1}")
        deepStrictEqual(yield* response.json, { a: 1 })
      }))

    it.live("rule 9: an error of any reader shows the caller's request and this response", () =>
      rowsEffect(
        Object.entries(readers),
        ([name]) => `rule 9: an error of ${name} shows the caller's request and this response`,
        ([, read]) =>
          Effect.gen(function*() {
            const response = wrap(broken())
            const error = yield* Effect.flip(read(response))
            assert.strictEqual(error._tag, "ResponseError")
            assert.strictEqual(error.reason, "Decode")
            assert.strictEqual(error.request, plain)
            assert.strictEqual(error.response, response)
            assert.strictEqual(error.message, "Decode error (200 POST https://api.test/orders)")
            assert.instanceOf(error.cause, Error)
            deepStrictEqual(Secrets.leaks(error, [token]), [])
          })
      ))

    it.live("rule 9: an error for invalid JSON has the caller's request", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(wrap(new Response("<html>")).json)
        assert.strictEqual(error.request, plain)
        assert.instanceOf(error.cause, SyntaxError)
      }))

    it.live("rule 9: the stream of an empty body keeps its description", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(collect(wrap(new Response(null, { status: 204 }))))
        assert.strictEqual(error.reason, "EmptyBody")
        assert.strictEqual(error.description, "can not create stream from empty body")
        assert.strictEqual(error.request, plain)
      }))

    it.live("works with platform's own readers", () =>
      Effect.gen(function*() {
        const A = Schema.Struct({ a: Schema.Number })
        deepStrictEqual(yield* HttpClientResponse.schemaBodyJson(A)(wrap(ok())), { a: 1 })
        const Json = Schema.Struct({ status: Schema.Literal(201), body: A })
        deepStrictEqual(yield* HttpClientResponse.schemaJson(Json)(wrap(ok())), { status: 201, body: { a: 1 } })
        const Headers = Schema.Struct({ "x-answer": Schema.Literal("yes") })
        deepStrictEqual(yield* HttpClientResponse.schemaHeaders(Headers)(wrap(ok())), { "x-answer": "yes" })
        const status = HttpClientResponse.matchStatus(wrap(ok()), { "2xx": ({ status }) => status, orElse: () => 0 })
        assert.strictEqual(status, 201)
        const response = wrap(ok())
        assert.strictEqual(yield* HttpClientResponse.filterStatusOk(response), response)
        const failure = yield* Effect.flip(HttpClientResponse.filterStatusOk(wrap(new Response("", { status: 500 }))))
        assert.strictEqual(failure.request, plain)
      }))
  })

  describe("is printed", () => {
    it.live("like the original, with the caller's request", () =>
      Effect.gen(function*() {
        const { original, wrapped } = both(ok)
        yield* original.text
        yield* wrapped.text
        const json = original.toJSON() as Record<string, unknown>
        deepStrictEqual(wrapped.toJSON(), { ...json, request: plain.toJSON() })
        assert.include(String(wrapped), "\"x-answer\": \"yes\"")
        assert.include(inspect(wrapped), "body: { a: 1 }")
        assert.include(JSON.stringify(wrapped), "\"x-mine\":\"1\"")
      }))

    it("with the joined URL, in the same request object each time", () => {
      const relative = HttpClientRequest.get("/orders")
      const whole = { request: relative, url: "https://api.test/v1/orders" }
      const { request } = RedactedResponse.make(HttpClientResponse.fromWeb(authorized, ok()), whole)
      deepStrictEqual(request.toJSON(), HttpClientRequest.get("https://api.test/v1/orders").toJSON())
      const response = RedactedResponse.make(HttpClientResponse.fromWeb(authorized, ok()), whole)
      assert.strictEqual(response.request, response.request)
    })

    it("unchanged if the response has its own toJSON", () => {
      const original = HttpClientResponse.fromWeb(authorized, ok())
      Object.defineProperty(original, "toJSON", { value: () => "a response" })
      assert.strictEqual(JSON.stringify(RedactedResponse.make(original, asked)), "\"a response\"")
    })

    it.live("also within a failure, where Effect wraps it in a Proxy", () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Effect.withSpan(Effect.fail(wrap(ok())), "span"))
        assert(Exit.isFailure(exit))
        const failure = Option.getOrThrow(Cause.failureOption(exit.cause))
        assert.notStrictEqual(failure, Cause.originalError(failure))
        assert.strictEqual(failure.status, 201)
        assert.strictEqual(yield* failure.text, "{\"a\":1}")
        for (const text of [inspect(failure), String(failure), JSON.stringify(failure), inspect(exit, { depth: 9 })]) {
          assert.include(text, "https://api.test/orders")
        }
        deepStrictEqual(Secrets.leaks(exit, [token]), [])
      }))

    it("rule 9: never with the token, which the original shows", () => {
      const { original, wrapped } = both(ok)
      assert.isNotEmpty(Secrets.leaks(original, [token]))
      deepStrictEqual(Secrets.leaks(wrapped, [token]), [])
    })

    it.live("rule 9: never with the token after its body was read", () =>
      Effect.gen(function*() {
        for (const read of Object.values(readers)) {
          const { wrapped } = both(ok)
          yield* Effect.exit(read(wrapped))
          deepStrictEqual(Secrets.leaks(wrapped, [token]), [])
        }
      }))
  })

  const requestErrors = fc.record({
    reason: fc.constantFrom("Transport" as const, "Encode" as const, "InvalidUrl" as const),
    rest: fc.record({ description: fc.string({ minLength: 1 }), cause: fc.string() }, { requiredKeys: [] })
  }).map(({ reason, rest }) => new HttpClientError.RequestError({ request: authorized, reason, ...rest }))

  const responseErrors = fc.record({
    reason: fc.constantFrom("StatusCode" as const, "Decode" as const, "EmptyBody" as const),
    rest: fc.record({ description: fc.string({ minLength: 1 }), cause: fc.string() }, { requiredKeys: [] })
  }).map(({ reason, rest }) =>
    new HttpClientError.ResponseError({
      request: authorized,
      response: HttpClientResponse.fromWeb(authorized, new Response("")),
      reason,
      ...rest
    })
  )

  const errors: fc.Arbitrary<HttpClientError.HttpClientError> = fc.oneof(requestErrors, responseErrors)

  describe("redactError", () => {
    it.prop("keeps everything but the request", { error: errors }, ({ error }) => {
      const result = RedactedResponse.redactError(error, plain)
      assert.isTrue(HttpClientError.isHttpClientError(result))
      assert.strictEqual(result.request, plain)
      deepStrictEqual(
        [result._tag, result.reason, result.description, result.cause, result.message],
        [error._tag, error.reason, error.description, error.cause, error.message]
      )
      deepStrictEqual(Object.keys(result).sort(), Object.keys(error).sort())
      if (result._tag === "ResponseError") assert.strictEqual(result.response.request, plain)
    })

    it("rule 9: an error that is a cause loses the authorized request too", () => {
      let error: HttpClientError.HttpClientError = new HttpClientError.RequestError({
        request: authorized,
        reason: "Transport"
      })
      for (let depth = 0; depth < 3; depth++) {
        error = new HttpClientError.RequestError({ request: authorized, reason: "Transport", cause: error })
      }
      assert.isNotEmpty(Secrets.leaks(error, [token]))
      deepStrictEqual(Secrets.leaks(RedactedResponse.redactError(error, plain), [token]), [])
    })
  })

  describe("redactCause", () => {
    const causes = fc.letrec<{ cause: Cause.Cause<HttpClientError.HttpClientError> }>((tie) => ({
      cause: fc.oneof(
        { depthSize: "small" },
        errors.map(Cause.fail),
        errors.map(Cause.die),
        fc.string().map((message) => Cause.die(new Error(message))),
        fc.constant(Cause.interrupt(FiberId.none)),
        fc.constant(Cause.empty),
        fc.tuple(tie("cause"), tie("cause")).map(([left, right]) => Cause.sequential(left, right)),
        fc.tuple(tie("cause"), tie("cause")).map(([left, right]) => Cause.parallel(left, right))
      )
    })).cause

    const shape = (cause: Cause.Cause<HttpClientError.HttpClientError>): unknown =>
      Cause.match<unknown, HttpClientError.HttpClientError>(cause, {
        onEmpty: "empty",
        onFail: (error) => ["fail", error.message],
        onDie: (defect) => ["die", (defect as Error).message],
        onInterrupt: (id) => ["interrupt", id],
        onSequential: (left, right) => ["sequential", left, right],
        onParallel: (left, right) => ["parallel", left, right]
      })

    it.prop("rule 9: keeps the shape of a cause, and no failure or defect in it shows the token", { cause: causes }, ({
      cause
    }) => {
      const result = RedactedResponse.redactCause(cause, plain)
      deepStrictEqual(shape(result), shape(cause))
      for (const error of [...Cause.failures(result), ...Cause.defects(result)]) {
        if (HttpClientError.isHttpClientError(error)) assert.strictEqual(error.request, plain)
      }
      assert.notInclude(inspect(result, { depth: 20, customInspect: false, showHidden: true }), token)
    })
  })
})
