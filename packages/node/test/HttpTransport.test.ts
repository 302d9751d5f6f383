import { HttpTransport } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { Headers, HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as Secrets from "../../core/test/support/Secrets.js"
import * as SpanRecord from "../../core/test/support/SpanRecord.js"
import * as LocalServer from "./LocalServer.js"

const secret = "secret-token"
const authorization = `Bearer ${secret}`

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
    yield* Layer.build(NodeHttp.layer({ proxy: false, connectTimeout: hang })),
    HttpClient.HttpClient
  )
  const send = HttpTransport.sendAuthorized(client)
  assert(send !== undefined)
  return { client, received, send, url: server.url }
})

describe("HttpTransport of NodeHttp", () => {
  it.scopedLive("sends the authorization in place of that of the request, with the headers that it has anyway", () =>
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

  it.scopedLive("rule 9: no response shows the authorization, read or unread, and no error does", () =>
    Effect.gen(function*() {
      const { send, url } = yield* serve
      const response = yield* send(HttpClientRequest.get(url), authorization)
      deepStrictEqual(Secrets.leaks(response, [secret]), [])
      yield* response.text
      deepStrictEqual(Secrets.leaks(response, [secret]), [])
      const exit = yield* Effect.exit(send(HttpClientRequest.get(`${url}/broken`), authorization))
      deepStrictEqual(Secrets.leaks(exit, [secret]), [])
    }))

  it.scopedLive("rule 9: the span shows that there is one, whatever the app's list, and the trace goes on", () =>
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

  it.scopedLive("a client that is made from it does not know how", () =>
    Effect.gen(function*() {
      const { client } = yield* serve
      const mapped = HttpClient.mapRequest(client, HttpClientRequest.setHeader("x-mine", "1"))
      assert.strictEqual(HttpTransport.sendAuthorized(mapped), undefined)
    }))
})
