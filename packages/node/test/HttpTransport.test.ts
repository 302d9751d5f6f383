import { AuthedHttpClient, HttpTransport } from "@effect-alf/core"
import { NodeAuthedHttpClient, NodeHttp } from "@effect-alf/node"
import { Headers, HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Redacted } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as Secrets from "../../core/test/support/Secrets.js"
import * as SpanRecord from "../../core/test/support/SpanRecord.js"
import * as LocalServer from "./LocalServer.js"
import { settled, until } from "./until.js"

const secret = "secret-token"
const authorization = `Bearer ${secret}`
const tokenResponse = JSON.stringify({ access_token: "token", token_type: "Bearer", expires_in: 3600 })

const serve = Effect.gen(function*() {
  const received: Array<Record<string, unknown>> = []
  const server = yield* LocalServer.make((request, response) => {
    received.push(request.headers)
    if (request.url === "/broken") {
      request.socket.destroy()
      return
    }
    response.writeHead(200, { "content-type": "application/json" }).end("{}")
  })
  const client = Context.get(
    yield* Layer.build(NodeHttp.layer({ proxy: false, connectTimeout: hang, keepAliveTimeout: hang })),
    HttpClient.HttpClient
  )
  const send = HttpTransport.sendAuthorized(client)
  const connect = HttpTransport.connect(client)
  assert(send !== undefined && connect !== undefined)
  return { client, connect, received, send, server, url: server.url }
})

describe("HttpTransport of NodeHttp", () => {
  it.scopedLive("sends the authorization instead of the request's own, and keeps its other headers", () =>
    Effect.gen(function*() {
      const { received, send, url } = yield* serve
      const request = HttpClientRequest.get(url, { headers: { authorization: "Bearer mine", "x-mine": "1" } })
      const response = yield* send(request, authorization)
      assert.strictEqual(response.request, request)
      deepStrictEqual(yield* response.json, {})
      const [{ "accept-encoding": codings, authorization: sent, "user-agent": agent, "x-mine": mine }] = received
      deepStrictEqual([codings, sent, mine], ["gzip, br", authorization, "1"])
      assert.match(String(agent), /^effect-alf\//)
    }))

  it.scopedLive("rule 9: neither a response, read or unread, nor an error shows the authorization", () =>
    Effect.gen(function*() {
      const { send, url } = yield* serve
      const response = yield* send(HttpClientRequest.get(url), authorization)
      deepStrictEqual(Secrets.leaks(response, [secret]), [])
      yield* response.text
      deepStrictEqual(Secrets.leaks(response, [secret]), [])
      const exit = yield* Effect.exit(send(HttpClientRequest.get(`${url}/broken`), authorization))
      deepStrictEqual(Secrets.leaks(exit, [secret]), [])
    }))

  it.scopedLive("rule 9: the span shows a redacted authorization whatever the app redacts, and the trace is propagated", () =>
    Effect.gen(function*() {
      const { received, send, url } = yield* serve
      const { spans, tracer } = yield* SpanRecord.make
      const request = HttpClientRequest.get(url)
      const response = yield* send(request, authorization).pipe(
        Effect.locally(Headers.currentRedactedNames, []),
        Effect.withSpan("caller"),
        Effect.withTracer(tracer)
      )
      const [caller, span] = spans
      assert.strictEqual(response.request, request)
      assert.strictEqual(span.attributes.get("http.request.header.authorization"), "<redacted>")
      assert.strictEqual(received[0].traceparent, `00-${caller.traceId}-${span.spanId}-01`)
      deepStrictEqual(Secrets.leaks([Array.from(span.attributes), span.status], [secret]), [])
    }))

  it.scopedLive("opens connections before their requests, unless there are some", () =>
    Effect.gen(function*() {
      const { connect, received, send, server: { sockets, url } } = yield* serve
      connect(url)
      connect(url)
      yield* until(() => sockets.length === 2)
      assert.lengthOf(received, 0)
      const get = Effect.flatMap(send(HttpClientRequest.get(url), authorization), ({ text }) => text)
      yield* Effect.all([get, get], { concurrency: "unbounded" })
      connect(url)
      yield* settled(() => received.length)
      yield* get
      assert.lengthOf(received, 3)
      assert.lengthOf(sockets, 2)
    }))

  it.scopedLive("closes them with the layer", () =>
    Effect.gen(function*() {
      const server = yield* LocalServer.make(() => {})
      const pool = Layer.build(NodeHttp.layer({ proxy: false, keepAliveTimeout: hang }))
      yield* Effect.scoped(Effect.flatMap(pool, (context) => {
        HttpTransport.connect(Context.get(context, HttpClient.HttpClient))?.(server.url)
        return until(() => server.sockets.length === 1)
      }))
      yield* until(() => server.sockets[0].closed)
    }))

  it.scopedLive("a connection that cannot be opened is an error of the request alone", () =>
    Effect.gen(function*() {
      const { connect, send } = yield* serve
      const { url } = yield* Effect.scoped(LocalServer.make(() => {}))
      connect(url)
      const error = yield* Effect.flip(send(HttpClientRequest.get(url), authorization))
      assert.match(String(error.cause), /ECONNREFUSED/)
    }))

  it.scopedLive("a connection that no request uses is closed", () =>
    Effect.gen(function*() {
      const { sockets, url } = yield* LocalServer.make(() => {})
      const context = yield* Layer.build(NodeHttp.layer({ proxy: false, keepAliveTimeout: "20 millis" }))
      HttpTransport.connect(Context.get(context, HttpClient.HttpClient))?.(url)
      yield* until(() => sockets.length === 1 && sockets[0].closed)
    }))

  it.scopedLive("a client whose token is being requested has its connection open", () =>
    Effect.gen(function*() {
      const api = yield* LocalServer.make((_, response) => response.end("{}"))
      const tokenServer = yield* LocalServer.make((_, response) => {
        // Responds when the API has a connection
        const respond = () => response.writeHead(200, { "content-type": "application/json" }).end(tokenResponse)
        const timer = setInterval(() => {
          if (api.sockets.length === 0) return
          clearInterval(timer)
          respond()
        }, 2)
      })
      const context = yield* Layer.build(NodeAuthedHttpClient.layer({
        tokenEndpoint: `${tokenServer.url}/token`,
        clientId: "app",
        clientSecret: Redacted.make(secret),
        baseUrl: api.url,
        tokenRequest: { timeout: hang },
        maxWait: hang,
        http: { proxy: false, connectTimeout: hang, keepAliveTimeout: hang }
      }))
      const response = yield* Context.get(context, AuthedHttpClient.AuthedHttpClient).get("/")
      yield* response.text
      assert.lengthOf(api.sockets, 1)
    }))

  it.scopedLive("a client that is derived from it does not support sendAuthorized", () =>
    Effect.gen(function*() {
      const { client } = yield* serve
      const mapped = HttpClient.mapRequest(client, HttpClientRequest.setHeader("x-mine", "1"))
      assert.strictEqual(HttpTransport.sendAuthorized(mapped), undefined)
      assert.strictEqual(HttpTransport.connect(mapped), undefined)
    }))
})
