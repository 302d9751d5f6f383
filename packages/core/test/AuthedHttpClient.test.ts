import type { TokenEndpoint } from "@effect-alf/core"
import { AuthedHttpClient, Grant, OAuthError, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import type { HttpMethod } from "@effect/platform"
import { Cookies, Headers, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Cause,
  Context,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Layer,
  Option,
  Redacted,
  Ref,
  Schedule,
  Scope,
  TestClock,
  type Tracer
} from "effect"
import * as Resource from "./support/Resource.js"
import { rowsEffect } from "./support/Rows.js"
import * as SpanRecord from "./support/SpanRecord.js"

const transport = (request: HttpClientRequest.HttpClientRequest) =>
  new HttpClientError.RequestError({ request, reason: "Transport", cause: new Error("connection refused") })

/** Records every span that an effect makes. */
const recordSpans = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const { spans, tracer } = yield* SpanRecord.make
    const exit = yield* Effect.exit(Effect.withTracer(effect, tracer))
    return { exit, spans }
  })

const parentId = (span: Tracer.Span) => Option.map(span.parent, (parent) => parent.spanId)

describe("AuthedHttpClient", () => {
  describe("signs last", () => {
    it.scoped("rule 10: later changes to the request by a consumer are sent, with authorization", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make())
        const consumer = client.pipe(
          HttpClient.mapRequest(HttpClientRequest.setHeader("x-first", "1")),
          HttpClient.mapRequestEffect((request) => Effect.succeed(HttpClientRequest.setUrlParam(request, "page", "2"))),
          HttpClient.mapRequest(HttpClientRequest.prependUrl("/v1")),
          HttpClient.mapRequestInput(HttpClientRequest.setHeader("x-input", "2")),
          HttpClient.transform((effect, request) => Effect.annotateLogs(effect, "url", request.url))
        )
        yield* consumer.get("/orders")
        assert.strictEqual(sent[0].url.href, "https://api.test/v1/orders?page=2")
        deepStrictEqual(sent[0].headers, {
          "x-first": "1",
          "x-input": "2",
          authorization: "Bearer token-1"
        })
      }))

    it.scoped("rule 10: a consumer's prependUrl to another origin is refused", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make())
        const consumer = HttpClient.mapRequest(client, HttpClientRequest.prependUrl("https://evil.test"))
        const error = yield* Effect.flip(consumer.get("/orders"))
        assert.strictEqual(error._tag, "OriginNotAllowed")
        deepStrictEqual([sent.length, (yield* tokens.requests).length], [0, 0])
      }))

    it.scoped("the caller's own authorization header is replaced, however it is spelled", () =>
      rowsEffect(["authorization", "Authorization", "AUTHORIZATION"], String, (name) =>
        Effect.gen(function*() {
          const { client, sent } = yield* Resource.over(Resource.make())
          const response = yield* client.get("/", { headers: { [name]: "Basic own" } })
          deepStrictEqual(sent[0].headers, { authorization: "Bearer token-1" })
          assert.strictEqual(response.request.headers.authorization, "Basic own")
        })))

    const requests = fc.record({
      method: fc.constantFrom<Array<HttpMethod.HttpMethod>>("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),
      headers: fc.dictionary(fc.stringMatching(/^[Xx]-[A-Za-z0-9-]{0,12}$/), fc.string({ maxLength: 20 })),
      params: fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 8 }), fc.string({ maxLength: 8 }))),
      path: fc.webPath(),
      hash: fc.option(fc.stringMatching(/^[a-z0-9]{1,8}$/)),
      body: fc.option(fc.uint8Array({ maxLength: 32 }))
    }).map(({ body, hash, headers, method, params, path }) => {
      let request = HttpClientRequest.make(method)(path).pipe(
        HttpClientRequest.setHeaders(headers),
        HttpClientRequest.appendUrlParams(params)
      )
      if (hash !== null) request = HttpClientRequest.setHash(request, hash)
      return body === null ? request : HttpClientRequest.bodyUint8Array(request, body)
    })

    it.scoped("what the inner client receives is the caller's request, its address completed, and the token", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(), { baseUrl: "https://api.test/v1" })
        yield* client.get("")
        fc.assert(fc.property(requests, (request) => {
          sent.length = 0
          const response = Effect.runSync(client.execute(request))
          const inner = sent[0].request
          deepStrictEqual(sent[0].headers, { ...request.headers, authorization: "Bearer token-1" })
          assert.strictEqual(inner.method, request.method)
          assert.strictEqual(inner.body, request.body)
          deepStrictEqual(inner.urlParams, request.urlParams)
          deepStrictEqual(inner.hash, request.hash)
          assert.strictEqual(
            inner.url,
            `https://api.test/v1${request.url === "" || request.url.startsWith("/") ? "" : "/"}${request.url}`
          )
          // And what the caller gets to see of it is its own
          deepStrictEqual({ ...response.request.headers }, { ...request.headers })
          assert.strictEqual(response.request.url, inner.url)
        }))
      }))
  })

  describe("HttpClient.withScope", () => {
    const urls = {
      "a relative address": "/orders",
      "an absolute address": "https://api.test/orders"
    }
    for (const [what, url] of Object.entries(urls)) {
      it.scoped(`outside: ${what} is aborted when the scope closes, not before`, () =>
        Effect.gen(function*() {
          const { client, sent } = yield* Resource.over(Resource.make())
          const scope = yield* Scope.make()
          const response = yield* Scope.extend(HttpClient.withScope(client).get(url), scope)
          yield* response.text
          assert.strictEqual(sent[0].signal.aborted, false)
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(sent[0].signal.aborted, true)
        }))

      it.scoped(`outside: the replay of ${what} is aborted when the scope closes, not by the drained 401`, () =>
        Effect.gen(function*() {
          const resource = Resource.make(({ token }) =>
            token === "token-1" ? new Response("x".repeat(100_000), { status: 401 }) : 200
          )
          const { client, sent } = yield* Resource.over(resource)
          const scope = yield* Scope.make()
          yield* Scope.extend(HttpClient.withScope(client).get(url), scope)
          yield* TestClock.adjust("2 seconds")
          deepStrictEqual(sent.map(({ signal }) => signal.aborted), [false, false])
          yield* Scope.close(scope, Exit.void)
          deepStrictEqual(sent.map(({ signal }) => signal.aborted), [true, true])
        }))

      it.scoped(`outside: ${what} without a token is aborted too`, () =>
        Effect.gen(function*() {
          const { client, sent } = yield* Resource.over(Resource.make())
          const scope = yield* Scope.make()
          yield* Scope.extend(AuthedHttpClient.withoutToken(HttpClient.withScope(client).get(url)), scope)
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(sent[0].signal.aborted, true)
        }))
    }

    it.scoped("inside: both requests are aborted when the scope closes, not before", () =>
      Effect.gen(function*() {
        const resource = Resource.make(Resource.accepts("token-2"))
        const scope = yield* Scope.make()
        const scoped = HttpClient.transformResponse(HttpClient.withScope(resource.client), Scope.extend(scope))
        const { client } = yield* Resource.over(scoped)
        const response = yield* client.get("/orders")
        assert.strictEqual(response.status, 200)
        deepStrictEqual(resource.sent.map(({ signal }) => signal.aborted), [false, false])
        yield* Scope.close(scope, Exit.void)
        deepStrictEqual(resource.sent.map(({ signal }) => signal.aborted), [true, true])
      }))
  })

  describe("interruption", () => {
    it.scoped("rule 1: interrupting a caller aborts only its own request", () =>
      Effect.gen(function*() {
        const resource = Resource.make(() => Effect.never)
        const { client, sent } = yield* Resource.over(resource)
        const first = yield* Effect.fork(client.get("/1"))
        const second = yield* Effect.fork(client.get("/2"))
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(sent.length, 2)
        yield* Fiber.interrupt(first)
        deepStrictEqual(sent.map(({ signal }) => signal.aborted), [true, false])
        yield* Fiber.interrupt(second)
        deepStrictEqual(sent.map(({ signal }) => signal.aborted), [true, true])
      }))

    it.scoped("rule 1: if a waiting caller is interrupted, the others get their token", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(), undefined, { delay: "1 second" })
        const first = yield* Effect.fork(client.get("/1"))
        const second = yield* Effect.fork(client.get("/2"))
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual((yield* Fiber.join(second)).status, 200)
        deepStrictEqual(sent.map(({ url }) => url.pathname), ["/2"])
        assert.strictEqual((yield* tokens.requests).length, 1)
      }))

    it.scoped("interrupting the reading of a body aborts its request", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(() => new Response(new ReadableStream())))
        const response = yield* client.get("/")
        const reading = yield* Effect.fork(response.text)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(sent[0].signal.aborted, false)
        yield* Fiber.interrupt(reading)
        assert.strictEqual(sent[0].signal.aborted, true)
      }))
  })

  describe("platform's combinators outside", () => {
    it.scoped("withCookiesRef keeps the resource's cookies and sends them", () =>
      Effect.gen(function*() {
        const resource = Resource.make(() => new Response("", { headers: { "set-cookie": "session=1; Path=/" } }))
        const { client, sent } = yield* Resource.over(resource)
        const jar = yield* Ref.make(Cookies.empty)
        const consumer = HttpClient.withCookiesRef(client, jar)
        yield* consumer.get("/1")
        yield* consumer.get("/2")
        assert.strictEqual(Cookies.toCookieHeader(yield* Ref.get(jar)), "session=1")
        deepStrictEqual(sent.map(({ request }) => request.headers.cookie), [undefined, "session=1"])
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-1"])
      }))

    it.scoped("filterStatusOk fails with the caller's request", () =>
      Effect.gen(function*() {
        const { client } = yield* Resource.over(Resource.make(() => 404))
        const error = yield* Effect.flip(HttpClient.filterStatusOk(client).get("/orders"))
        assert(error._tag === "ResponseError")
        assert.strictEqual(error.message, "StatusCode: non 2xx status code (404 GET https://api.test/orders)")
        deepStrictEqual(Object.keys(error.request.headers), [])
        assert.strictEqual(error.response.status, 404)
        assert.strictEqual(yield* error.response.text, "answer 0")
      }))

    it.scoped("filterStatusOk sees the response of the replay, not the 401 before it", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
        assert.strictEqual((yield* HttpClient.filterStatusOk(client).get("/")).status, 200)
        assert.strictEqual(sent.length, 2)
      }))

    it.scoped("retry sends the request again, with authorization", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ index, request }) => index < 2 ? Effect.fail(transport(request)) : 200)
        const { client, sent, tokens } = yield* Resource.over(resource)
        const response = yield* HttpClient.retry(client, { times: 2 }).get("/")
        assert.strictEqual(response.status, 200)
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-1", "token-1"])
        assert.strictEqual((yield* tokens.requests).length, 1)
      }))

    it.scoped("retryTransient sends a 503 and a reset connection again", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ index, request }) =>
          index === 0 ? 503 : index === 1 ? Effect.fail(transport(request)) : 200
        )
        const { client, sent } = yield* Resource.over(resource)
        const response = yield* client.pipe(
          HttpClient.filterStatusOk,
          HttpClient.retryTransient({ times: 3 })
        ).get("/")
        deepStrictEqual([response.status, sent.length], [200, 3])
      }))

    it.scoped("tap and tapRequest see the caller's request", () =>
      Effect.gen(function*() {
        const { client } = yield* Resource.over(Resource.make())
        const seen: Array<HttpClientRequest.HttpClientRequest> = []
        yield* client.pipe(
          HttpClient.tapRequest((request) => Effect.sync(() => seen.push(request))),
          HttpClient.tap((response) => Effect.sync(() => seen.push(response.request)))
        ).get("/orders")
        deepStrictEqual(seen.map(({ url }) => url), ["/orders", "https://api.test/orders"])
        deepStrictEqual(seen.map(({ headers }) => Object.keys(headers)), [[], []])
      }))

    const redirectTo = (location: string) =>
      Resource.make(({ url }) =>
        url.pathname === "/new" ? 200 : new Response(null, { status: 302, headers: { location } })
      )

    it.scoped("rule 10: followRedirects signs a hop within the origin", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(redirectTo("/new"))
        assert.strictEqual((yield* HttpClient.followRedirects(client).get("/old")).status, 200)
        deepStrictEqual(sent.map(({ token, url }) => [url.href, token]), [
          ["https://api.test/old", "token-1"],
          ["https://api.test/new", "token-1"]
        ])
      }))

    it.scoped("rule 10: followRedirects signs a hop to another allowed origin", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(redirectTo("https://b.test/new"), {
          baseUrl: "https://api.test",
          origins: ["https://b.test"]
        })
        assert.strictEqual((yield* HttpClient.followRedirects(client).get("/old")).status, 200)
        deepStrictEqual(sent.map(({ token, url }) => [url.origin, token]), [
          ["https://api.test", "token-1"],
          ["https://b.test", "token-1"]
        ])
      }))

    it.scoped("rule 10: followRedirects does not leave the allowed origins", () =>
      rowsEffect(
        ["https://evil.test/new", "http://api.test/new", "//evil.test/new"],
        String,
        (location) =>
          Effect.gen(function*() {
            const { client, sent } = yield* Resource.over(redirectTo(location))
            const error = yield* Effect.flip(HttpClient.followRedirects(client).get("/old"))
            assert.strictEqual(error._tag, "OriginNotAllowed")
            assert.strictEqual(sent.length, 1)
          })
      ))
  })

  describe("tracing", () => {
    it.scoped("the inner client's span is under the caller's, with the token redacted", () =>
      Effect.gen(function*() {
        const { client } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
        const { exit, spans } = yield* recordSpans(Effect.withSpan(client.get("/orders"), "caller"))
        assert(Exit.isSuccess(exit))
        const caller = spans.find(({ name }) => name === "caller")
        const requests = spans.filter(({ name }) => name === "http.client GET")
        assert(caller !== undefined)
        assert.strictEqual(requests.length, 2)
        for (const span of requests) {
          deepStrictEqual(parentId(span), Option.some(caller.spanId))
          assert.strictEqual(span.attributes.get("url.full"), "https://api.test/orders")
          assert.strictEqual(span.attributes.get("http.request.header.authorization"), "<redacted>")
        }
        deepStrictEqual(
          requests.map(({ attributes }) => attributes.get("http.response.status_code")),
          [401, 200]
        )
      }))

    it.scoped("rule 9: every span of a request ends with the caller's request", () =>
      Effect.gen(function*() {
        const resource = Resource.make((sent) => sent.url.pathname === "/broken" ? transport(sent.request) : 200)
        const { client } = yield* Resource.over({
          ...resource,
          // An inner client with a span of its own, which belongs to the app's tracer all the same
          client: HttpClient.transform(resource.client, (effect) =>
            effect.pipe(
              Effect.tap(Effect.annotateCurrentSpan("inner", true)),
              Effect.withSpan("inner")
            ))
        })
        const { spans } = yield* recordSpans(
          Effect.zipRight(client.get("/orders"), Effect.either(client.get("/broken")))
        )
        const shown = spans.filter(({ name }) => name === "inner" || name === "http.client GET").map(({ status }) => {
          assert(status._tag === "Ended")
          const { request } = Exit.match(status.exit, {
            onFailure: (cause) => Option.getOrThrow(Cause.failureOption(cause)) as HttpClientError.RequestError,
            onSuccess: (value) => value as HttpClientResponse.HttpClientResponse
          })
          return [request.url, Object.keys(request.headers), Exit.isSuccess(status.exit)]
        })
        const [orders, broken] = ["https://api.test/orders", "https://api.test/broken"]
        deepStrictEqual(shown, [[orders, [], true], [orders, [], true], [broken, [], false], [broken, [], false]])
        deepStrictEqual(
          spans.filter(({ name }) => name === "inner").map(({ attributes }) => attributes.get("inner")),
          [true, undefined]
        )
      }))

    it.scoped("rule 9: a span of an inner client that ends with the request does not show the token", () =>
      Effect.gen(function*() {
        const resource = Resource.make()
        const { client } = yield* Resource.over({
          ...resource,
          client: HttpClient.mapRequestEffect(
            resource.client,
            (request) =>
              Effect.withSpan(Effect.succeed(HttpClientRequest.setHeader(request, "x-inner", "yes")), "inner")
          )
        })
        const { spans } = yield* recordSpans(client.get("/orders"))
        const [{ status }] = spans.filter(({ name }) => name === "inner")
        assert(status._tag === "Ended" && Exit.isSuccess(status.exit))
        const request = status.exit.value as HttpClientRequest.HttpClientRequest
        deepStrictEqual([request.url, Object.keys(request.headers)], ["https://api.test/orders", []])
      }))

    it.scoped("the caller's trace reaches the resource", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make())
        const { spans } = yield* recordSpans(client.get("/"))
        const [request] = spans.filter(({ name }) => name === "http.client GET")
        assert.include(sent[0].request.headers.traceparent, request.spanId)
      }))

    const redactedNames: Record<string, ReadonlyArray<string | RegExp>> = {
      "an empty list": [],
      "other names": ["x-secret"],
      "a regular expression with a memory": [/authorization/g]
    }
    it.scoped("rule 9: the token is redacted in spans whatever the app redacts", () =>
      rowsEffect(Object.entries(redactedNames), ([what]) => what, ([, names]) =>
        Effect.gen(function*() {
          const { client } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
          const { spans } = yield* client.get("/", { headers: { "x-secret": "mine" } }).pipe(
            recordSpans,
            Effect.locally(Headers.currentRedactedNames, names)
          )
          const attributes = spans.filter(({ name }) => name.startsWith("http.client")).map((span) => span.attributes)
          deepStrictEqual(
            attributes.map((attributes) => attributes.get("http.request.header.authorization")),
            ["<redacted>", "<redacted>"]
          )
          // What the app wants to have redacted stays so
          assert.strictEqual(
            attributes[0].get("http.request.header.x-secret"),
            names.includes("x-secret") ? "<redacted>" : "mine"
          )
        })))
  })

  describe("without a token", () => {
    it.scoped("rule 6: nothing is sent, and the error contains the token endpoint's response", () =>
      Effect.gen(function*() {
        const { client, server } = yield* Resource.overServer()
        yield* server.rotateSecret(Redacted.make("another"))
        const error = yield* Effect.flip(client.get("/orders"))
        assert(error._tag === "TokenEndpointError")
        deepStrictEqual([error.reason, error.status, error.error], ["OAuth", 401, "invalid_client"])
        assert.match(error.message, /^Token endpoint https:\/\/auth\.test\/token answered 401 invalid_client/)
        assert.strictEqual((yield* server.apiRequests).length, 0)
      }))

    it.scoped("rule 6: a closed provider fails the request, unsent", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { client, sent } = yield* Scope.extend(Resource.over(Resource.make()), scope)
        yield* client.get("/")
        yield* Scope.close(scope, Exit.void)
        const error = yield* Effect.flip(client.get("/"))
        assert(error._tag === "TokenProviderError")
        assert.strictEqual(error.reason, "Closed")
        assert.strictEqual(sent.length, 1)
      }))

    it.scoped("rule 7: a failing endpoint is asked once per cool-down, whatever the traffic", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make())
        yield* tokens.failNext(1)
        const errors = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.flip(client.get("/")), { concurrency: 5 })
        deepStrictEqual(errors.map(({ _tag }) => _tag), Array(5).fill("TokenEndpointError"))
        deepStrictEqual([sent.length, (yield* tokens.requests).length], [0, 1])
      }))

    it.scoped("withoutToken sends the caller's request unchanged to any origin, and requests no token", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(() => 401))
        yield* AuthedHttpClient.withoutToken(Effect.gen(function*() {
          const response = yield* client.get("/health", { headers: { authorization: "Basic own" } })
          assert.strictEqual(response.status, 401)
          yield* client.get("https://elsewhere.test/")
          yield* client.get("http://elsewhere.test/")
        }))
        deepStrictEqual(sent.map(({ authorization, url }) => [url.href, authorization]), [
          ["https://api.test/health", "Basic own"],
          ["https://elsewhere.test/", undefined],
          ["http://elsewhere.test/", undefined]
        ])
        assert.strictEqual((yield* tokens.requests).length, 0)
        // And only within its effect
        yield* client.get("/orders")
        assert.strictEqual(sent[3].authorization, "Bearer token-1")
      }))
  })

  describe("token requests of a call", () => {
    const scopesOf = (attempts: ReadonlyArray<TestTokenEndpoint.Attempt>, name = "scope") =>
      attempts.map(({ request }) => request.params.filter(([key]) => key === name).map(([, value]) => value))

    it.scoped("rule 2: two scopes at once are two tokens, each sent with its own call", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(), undefined, { delay: "1 second" })
        const calls = yield* Effect.fork(Effect.all([
          client.get("/read").pipe(AuthedHttpClient.withTokenScope("read")),
          client.get("/write").pipe(AuthedHttpClient.withTokenScope(["write"])),
          client.get("/read").pipe(AuthedHttpClient.withTokenScope(["read"])),
          client.get("/plain")
        ], { concurrency: "unbounded" }))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(calls)
        const attempts = yield* tokens.requests
        deepStrictEqual(scopesOf(attempts), [["read"], ["write"], []])
        const tokensOf = (path: string) =>
          new Set(sent.filter(({ url }) => url.pathname === path).map(({ token }) => token))
        const [read, write, plain] = ["/read", "/write", "/plain"].map(tokensOf)
        deepStrictEqual([sent.length, read.size, write.size, plain.size], [4, 1, 1, 1])
        assert.strictEqual(new Set([...read, ...write, ...plain]).size, 3)
      }))

    it.scoped("withTokenRequest: sets all fields of a token request for one call", () =>
      Effect.gen(function*() {
        const { client, tokens } = yield* Resource.over(Resource.make(), {
          baseUrl: "https://api.test",
          request: { scope: "default", params: { tenant: "t" } }
        })
        const grant = Grant.tokenExchange({ subjectToken: Redacted.make("of-a-user") })
        yield* client.get("/").pipe(
          AuthedHttpClient.withTokenRequest({ audience: "orders", grant, params: { more: "m" } }),
          AuthedHttpClient.withTokenRequest({ audience: "outer", resource: "https://api.test/" })
        )
        const [{ request }] = yield* tokens.requests
        deepStrictEqual(request.params, [
          ["grant_type", grant.type],
          ["scope", "default"],
          ["resource", "https://api.test/"],
          ["audience", "orders"],
          ["tenant", "t"],
          ["more", "m"]
        ])
        assert.strictEqual(request.grant, grant)
      }))

    it.scoped("nested combinators: the inner one of a kind counts, the other kinds stay", () =>
      Effect.gen(function*() {
        const { client, tokens } = yield* Resource.over(Resource.make(), {
          baseUrl: "https://api.test",
          request: { scope: "default", audience: "aud" }
        })
        yield* client.get("/").pipe(
          AuthedHttpClient.withTokenScope("inner"),
          AuthedHttpClient.withTokenResource("https://api.test/"),
          AuthedHttpClient.withTokenScope("outer")
        )
        yield* client.get("/")
        const attempts = yield* tokens.requests
        deepStrictEqual(scopesOf(attempts), [["inner"], ["default"]])
        deepStrictEqual(scopesOf(attempts, "resource"), [["https://api.test/"], []])
        deepStrictEqual(scopesOf(attempts, "audience"), [["aud"], ["aud"]])
      }))

    it.scoped("forked fibers keep the token request of the call", () =>
      Effect.gen(function*() {
        const { client, tokens } = yield* Resource.over(Resource.make())
        yield* AuthedHttpClient.withTokenScope(Effect.flatMap(Effect.fork(client.get("/")), Fiber.join), "forked")
        deepStrictEqual(scopesOf(yield* tokens.requests), [["forked"]])
      }))

    it.scoped("rule 4: after a 401 the token of the call's token request is renewed", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ token }) => token === "token-2" ? 401 : 200)
        const { client, sent, tokens } = yield* Resource.over(resource)
        yield* client.get("/plain")
        yield* AuthedHttpClient.withTokenScope(client.get("/read"), "read")
        yield* client.get("/plain")
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2", "token-3", "token-1"])
        deepStrictEqual(scopesOf(yield* tokens.requests), [[], ["read"], ["read"]])
      }))
  })

  describe("layers", () => {
    const endpoint = (control: Context.Context<TestTokenEndpoint.TestTokenEndpoint | TokenEndpoint.TokenEndpoint>) =>
      Layer.succeedContext(control)

    it.scoped("layer outputs its provider, which holds the token that was sent", () =>
      Effect.gen(function*() {
        const { client, provider, sent } = yield* Resource.over(Resource.make())
        yield* client.get("/")
        const token = yield* provider.get()
        assert.strictEqual(Redacted.value(token.value), sent[0].token)
      }))

    it.scoped("rule 1: layerFromProvider: two APIs with one credential cost one token request", () =>
      Effect.gen(function*() {
        const resource = Resource.make()
        const control = yield* Layer.build(TestTokenEndpoint.layer())
        class Other extends Context.Tag("test/Other")<Other, AuthedHttpClient.AuthedHttpClient["Type"]>() {}
        const context = yield* Layer.build(
          AuthedHttpClient.layerFromProvider({ baseUrl: "https://a.test" }).pipe(
            Layer.merge(Layer.effect(Other, AuthedHttpClient.make({ baseUrl: "https://b.test" }))),
            Layer.provide(TokenProvider.layer()),
            Layer.provide([
              endpoint(control),
              TokenStore.layerMemory(),
              Layer.succeed(HttpClient.HttpClient, resource.client)
            ])
          )
        )
        yield* Effect.all([
          Context.get(context, AuthedHttpClient.AuthedHttpClient).get("/"),
          Context.get(context, Other).get("/")
        ], { concurrency: 2 })
        deepStrictEqual(resource.sent.map(({ token, url }) => [url.origin, token]), [
          ["https://a.test", "token-1"],
          ["https://b.test", "token-1"]
        ])
        const attempts = yield* Context.get(control, TestTokenEndpoint.TestTokenEndpoint).requests
        assert.strictEqual(attempts.length, 1)
        const error = yield* Effect.flip(Context.get(context, Other).get("https://a.test/"))
        assert.strictEqual(error._tag, "OriginNotAllowed")
      }))

    const platform = (resource: Resource.Resource) =>
      Effect.gen(function*() {
        const control = yield* Layer.build(TestTokenEndpoint.layer())
        const context = yield* Layer.build(
          AuthedHttpClient.layerHttpClient({ baseUrl: "https://api.test" }).pipe(
            Layer.provide([
              endpoint(control),
              TokenStore.layerMemory(),
              Layer.succeed(HttpClient.HttpClient, resource.client)
            ])
          )
        )
        return {
          client: Context.get(context, HttpClient.HttpClient),
          provider: Context.get(context, TokenProvider.TokenProvider),
          tokens: Context.get(control, TestTokenEndpoint.TestTokenEndpoint)
        }
      })

    it.scoped("layerHttpClient provides platform's tag, for existing code", () =>
      Effect.gen(function*() {
        const resource = Resource.make(Resource.accepts("token-2"))
        const { client } = yield* platform(resource)
        // As a library would use it: by the tag alone
        const response = yield* Effect.provideService(HttpClient.get("/orders"), HttpClient.HttpClient, client)
        assert.strictEqual(response.status, 200)
        deepStrictEqual(resource.sent.map(({ token, url }) => [url.href, token]), [
          ["https://api.test/orders", "token-1"],
          ["https://api.test/orders", "token-2"]
        ])
      }))

    it.scoped("layerHttpClient: an OAuthError is the cause of a RequestError that retryTransient leaves alone", () =>
      Effect.gen(function*() {
        const resource = Resource.make()
        const { client, tokens } = yield* platform(resource)
        yield* tokens.failNext(10, TestTokenEndpoint.invalidClient)
        const retrying = HttpClient.retryTransient(client, { schedule: Schedule.recurs(5) })
        const error = yield* Effect.flip(retrying.get("/orders"))
        assert(error._tag === "RequestError")
        assert.strictEqual(error.reason, "Encode")
        assert.include(error.message, TestTokenEndpoint.invalidClient.message)
        const found = Option.getOrUndefined(OAuthError.find(error))
        assert(found?._tag === "TokenEndpointError")
        deepStrictEqual([found.status, found.error], [401, "invalid_client"])
        deepStrictEqual([(yield* tokens.requests).length, resource.sent.length], [1, 0])
      }))

    it.scoped("layerHttpClient: OriginNotAllowed travels the same way, platform's own errors as they are", () =>
      Effect.gen(function*() {
        const { client } = yield* platform(Resource.make(({ request }) => Effect.fail(transport(request))))
        const refused = yield* Effect.flip(client.get("https://evil.test/"))
        deepStrictEqual(
          Option.map(OAuthError.find(refused), ({ _tag }) => _tag),
          Option.some("OriginNotAllowed")
        )
        const failed = yield* Effect.flip(client.get("/"))
        assert(failed._tag === "RequestError")
        assert.strictEqual(failed.reason, "Transport")
        deepStrictEqual(OAuthError.find(failed), Option.none())
      }))

    it.scoped("toHttpClient keeps earlier and later changes to the client", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make())
        const before = HttpClient.mapRequest(client, HttpClientRequest.prependUrl("/v1"))
        const after = HttpClient.mapRequest(AuthedHttpClient.toHttpClient(before), HttpClientRequest.prependUrl("/api"))
        yield* after.get("/orders")
        assert.strictEqual(sent[0].url.href, "https://api.test/api/v1/orders")
        assert.strictEqual(sent[0].token, "token-1")
      }))
  })

  describe("layerTest", () => {
    type Handler = Parameters<typeof AuthedHttpClient.layerTest>[0]
    const answeredBy = (handler: Handler) =>
      Effect.map(Layer.build(AuthedHttpClient.layerTest(handler)), (context) =>
        HttpClient.mapRequest(
          Context.get(context, AuthedHttpClient.AuthedHttpClient),
          HttpClientRequest.setHeader("x-late", "1")
        ))
    const echo = (request: HttpClientRequest.HttpClientRequest) =>
      Response.json({ url: request.url, headers: { ...request.headers } })
    const echoed = { url: "/orders", headers: { "x-late": "1" } }

    const handlers: Record<string, Handler> = {
      "a web response": echo,
      "an effect of a web response": (request) => Effect.succeed(echo(request)),
      "platform's response": (request) => HttpClientResponse.fromWeb(request, echo(request))
    }
    it.scoped("returns the handler's response to the app's request, without a token", () =>
      rowsEffect(Object.entries(handlers), ([what]) => what, ([, handler]) =>
        Effect.gen(function*() {
          const client = yield* answeredBy(handler)
          deepStrictEqual(yield* Effect.flatMap(client.get("/orders"), ({ json }) => json), echoed)
        })))

    it.scoped("fails with the handler's error or defect", () =>
      Effect.gen(function*() {
        const refused = yield* answeredBy(() => Effect.fail(TestTokenEndpoint.invalidClient))
        assert.strictEqual((yield* Effect.flip(refused.get("/")))._tag, "TokenEndpointError")
        const broken = yield* answeredBy((request) => Effect.fail(transport(request)))
        assert.strictEqual((yield* Effect.flip(broken.get("/")))._tag, "RequestError")
        const throwing = yield* answeredBy(() => {
          throw new Error("a bug in the test")
        })
        assert.match(String(yield* Effect.flip(Effect.sandbox(throwing.get("/")))), /a bug in the test/)
      }))
  })

  describe("an inner client that fails", () => {
    it.scoped("with a RequestError: the caller gets it with the request it made, its address completed", () =>
      Effect.gen(function*() {
        const { client } = yield* Resource.over(Resource.make(({ request }) => Effect.fail(transport(request))))
        const error = yield* Effect.flip(client.post("/orders", { headers: { "x-mine": "1" } }))
        assert(error._tag === "RequestError")
        assert.strictEqual(error.reason, "Transport")
        assert.strictEqual(error.message, "Transport error (POST https://api.test/orders)")
        deepStrictEqual({ ...error.request.headers }, { "x-mine": "1" })
        assert.strictEqual((error.cause as Error).message, "connection refused")
      }))

    it.scoped("with a ResponseError: its response can be read and shows the caller's request", () =>
      Effect.gen(function*() {
        const { client } = yield* Resource.over(HttpClient.filterStatusOk(Resource.make(() => 500).client))
        const error = yield* Effect.flip(client.get("/orders"))
        assert(error._tag === "ResponseError")
        deepStrictEqual([error.reason, error.description], ["StatusCode", "non 2xx status code"])
        deepStrictEqual(Object.keys(error.request.headers), [])
        deepStrictEqual(Object.keys(error.response.request.headers), [])
        assert.strictEqual(yield* error.response.text, "answer 0")
      }))

    it.scoped("in the replay: the caller gets that error", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ index, request }) => index === 0 ? 401 : Effect.fail(transport(request)))
        const { client, sent } = yield* Resource.over(resource)
        const error = yield* Effect.flip(client.get("/"))
        assert(error._tag === "RequestError")
        deepStrictEqual(Object.keys(error.request.headers), [])
        assert.strictEqual(sent.length, 2)
      }))

    it.scoped("by dying: the caller gets the defect", () =>
      Effect.gen(function*() {
        const defect = new Error("a bug")
        const { client } = yield* Resource.over(Resource.make(() => Effect.die(defect)))
        const exit = yield* Effect.exit(client.get("/"))
        assert(Exit.isFailure(exit))
        assert.sameOrderedMembers(Array.from(Cause.defects(exit.cause), Cause.originalError), [defect])
      }))

    it.scoped("rule 9: a defect that is an HttpClientError, or one that causes another, is redacted too", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ request }): Effect.Effect<never> => {
          const first = transport(request)
          return Effect.die(new HttpClientError.RequestError({ request, reason: "Transport", cause: first }))
        })
        const { client } = yield* Resource.over(resource)
        const exit = yield* Effect.exit(client.get("/"))
        assert(Exit.isFailure(exit))
        const [defect] = Cause.defects(exit.cause)
        assert(defect instanceof HttpClientError.RequestError)
        assert(defect.cause instanceof HttpClientError.RequestError)
        deepStrictEqual(Object.keys(defect.request.headers), [])
        deepStrictEqual(Object.keys(defect.cause.request.headers), [])
      }))

    it.scoped("with an error of another kind, against its type: the caller gets it as it is", () =>
      Effect.gen(function*() {
        const alien = { _tag: "Alien" } as unknown as HttpClientError.HttpClientError
        const { client } = yield* Resource.over(Resource.make(() => Effect.fail(alien)))
        const error = yield* Effect.flip(client.get("/"))
        assert.strictEqual(Cause.originalError(error), alien)
      }))

    it.scoped("an invalid URL fails with the error of platform", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(), { baseUrl: "https://api.test" })
        const response = AuthedHttpClient.withoutToken(client.get("https://"))
        const error = yield* Effect.flip(response)
        assert(error._tag === "RequestError")
        assert.strictEqual(error.reason, "InvalidUrl")
        assert.strictEqual(sent.length, 0)
      }))
  })
})
