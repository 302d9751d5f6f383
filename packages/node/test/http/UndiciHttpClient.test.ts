// How an `HttpClient` over undici behaves: platform-node's layer and `NodeHttp.layer` pass the same tests.
import { NodeHttp } from "@effect-alf/node"
import {
  Cookies,
  Headers,
  HttpBody,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
  HttpClientResponse,
  UrlParams
} from "@effect/platform"
import { NodeHttpClient, Undici } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Cause,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Ref,
  Runtime,
  Scheduler,
  Schema,
  Scope,
  Stream,
  Tracer
} from "effect"
import { AsyncLocalStorage } from "node:async_hooks"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer, type Socket } from "node:net"
import { Readable } from "node:stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { hang } from "../../../core/test/support/hang.js"
import { rowsEffect } from "../../../core/test/support/Rows.js"
import * as LocalServer from "../LocalServer.js"
import { giveUpWhen, settled, suspended, until } from "../until.js"

interface Subject {
  readonly name: "platform-node" | "NodeHttp"
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  /** With one connection for each origin. */
  readonly single: Layer.Layer<HttpClient.HttpClient>
}

const layerOf = (options: Undici.Agent.Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.provide(
    NodeHttpClient.layerUndiciWithoutDispatcher,
    Layer.scoped(
      NodeHttpClient.Dispatcher,
      Effect.acquireRelease(
        Effect.sync(() => new Undici.Agent({ connectTimeout: hang, ...options })),
        (agent) => Effect.promise(() => agent.destroy())
      )
    )
  )

const platform: Subject = {
  name: "platform-node",
  layer: layerOf({}),
  single: layerOf({ connections: 1 })
}

const ours: Subject = {
  name: "NodeHttp",
  layer: Layer.orDie(NodeHttp.layer({ proxy: false, connectTimeout: hang })),
  single: Layer.orDie(NodeHttp.layer({ proxy: false, connectTimeout: hang, connections: 1 }))
}

type Test = Effect.Effect<void, unknown, HttpClient.HttpClient | Scope.Scope>

const over = (layer: "layer" | "single") => (title: string, test: (subject: Subject) => Test) => {
  it.live(
    title,
    () => rowsEffect([platform, ours], ({ name }) => name, (subject) => Effect.provide(test(subject), subject[layer]))
  )
}

const both = over("layer")
const bothSingle = over("single")

const serve = (listener: (request: IncomingMessage, response: ServerResponse) => void) => LocalServer.make(listener)

/** Answers every request over raw sockets. */
const serveRaw = (answer: (socket: Socket, number: number) => void) =>
  Effect.suspend(() => {
    let number = 0
    return LocalServer.listen(createServer((socket) => {
      socket.on("data", () => answer(socket, ++number))
    }))
  })

const echo = serve((request, response) => {
  void LocalServer.readBody(request).then((body) => {
    response.end(JSON.stringify({
      method: request.method,
      url: request.url,
      headers: request.headers,
      body: body.toString("latin1")
    }))
  })
})

const Echo = Schema.Struct({
  method: Schema.String,
  url: Schema.String,
  headers: Schema.Record({ key: Schema.String, value: Schema.String }),
  body: Schema.String
})

const send = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(HttpClient.execute(request), HttpClientResponse.schemaBodyJson(Echo))

const failure = <A, R>(effect: Effect.Effect<A, HttpClientError.HttpClientError, R>) =>
  Effect.map(Effect.flip(effect), (error) => `${error._tag} ${error.reason}`)

const size = (stream: Stream.Stream<Uint8Array, HttpClientError.ResponseError>) =>
  Stream.runFold(stream, 0, (total, chunk) => total + chunk.length)

describe("HttpClient behaviour, reading", () => {
  const json = "{\"name\":\"an örder\"}"
  const server = serve((_, response) => response.writeHead(200, { "content-type": "application/json" }).end(json))
  const get = Effect.flatMap(server, ({ url }) => HttpClient.get(url))

  both("text, json, arrayBuffer, stream and a schema read the same body", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* (yield* get).text, json)
      deepStrictEqual(yield* (yield* get).json, { name: "an örder" })
      assert.strictEqual(Buffer.from(yield* (yield* get).arrayBuffer).toString(), json)
      const chunks = yield* Stream.runCollect((yield* get).stream)
      assert.strictEqual(Buffer.concat([...chunks]).toString(), json)
      const decoded = yield* HttpClientResponse.schemaBodyJson(Schema.Struct({ name: Schema.String }))(yield* get)
      deepStrictEqual(decoded, { name: "an örder" })
    }))

  both("arrayBuffer holds the body and nothing else", () =>
    Effect.gen(function*() {
      const buffer = yield* (yield* get).arrayBuffer
      assert.strictEqual(buffer.byteLength, Buffer.byteLength(json))
    }))

  both("a body that was read can be read again, also concurrently", () =>
    Effect.gen(function*() {
      const response = yield* get
      deepStrictEqual(
        yield* Effect.all([response.text, response.text, Effect.as(response.json, json)], { concurrency: "unbounded" }),
        [json, json, json]
      )
      deepStrictEqual(yield* response.json, { name: "an örder" })
      const other = yield* get
      assert.strictEqual((yield* other.arrayBuffer).byteLength, (yield* other.arrayBuffer).byteLength)
    }))

  both("a body that was read in one way cannot be read in another", () =>
    Effect.gen(function*() {
      const asText = yield* get
      yield* asText.text
      assert.strictEqual(yield* failure(asText.arrayBuffer), "ResponseError Decode")
      const asBytes = yield* get
      yield* asBytes.arrayBuffer
      assert.strictEqual(yield* failure(asBytes.json), "ResponseError Decode")
      const asStream = yield* get
      yield* Stream.runDrain(asStream.stream)
      assert.strictEqual(yield* failure(asStream.text), "ResponseError Decode")
    }))

  both("a byte order mark is not a part of the text", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => response.end("\ufeff{}"))
      assert.strictEqual(yield* (yield* HttpClient.get(url)).text, "{}")
    }))

  both("a character that is cut by the boundaries of chunks", () =>
    Effect.gen(function*() {
      const bytes = Buffer.from("€")
      let end = () => {}
      const { url } = yield* serve((_, response) => {
        response.write(bytes.subarray(0, 1))
        end = () => response.end(bytes.subarray(1))
      })
      const response = yield* HttpClient.get(url)
      end()
      assert.strictEqual(yield* response.text, "€")
    }))

  both("no body: 204, HEAD, and an empty one, which is null as JSON", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((request, response) => {
        if (request.method === "HEAD") response.setHeader("content-length", 10)
        response.writeHead(request.url === "/204" ? 204 : 200).end()
      })
      const none = yield* HttpClient.get(`${url}/204`)
      assert.strictEqual(none.status, 204)
      assert.strictEqual(yield* none.text, "")
      const head = yield* HttpClient.head(url)
      assert.strictEqual(head.headers["content-length"], "10")
      assert.strictEqual(yield* head.text, "")
      const empty = yield* HttpClient.get(url)
      assert.isNull(yield* empty.json)
      assert.strictEqual((yield* (yield* HttpClient.get(url)).arrayBuffer).byteLength, 0)
      assert.strictEqual(yield* size((yield* HttpClient.get(url)).stream), 0)
    }))

  both("invalid JSON is a Decode error", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => response.end("{"))
      assert.strictEqual(yield* failure((yield* HttpClient.get(url)).json), "ResponseError Decode")
    }))

  both("a form is read as URL parameters", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => response.end("a=1&b=2%20"))
      deepStrictEqual(yield* (yield* HttpClient.get(url)).urlParamsBody, UrlParams.fromInput({ a: "1", b: "2 " }))
    }))

  // undici's `request` has not implemented it
  both("multipart form data: NodeHttp reads it, platform-node cannot", ({ name }) =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => {
        response.setHeader("content-type", "multipart/form-data; boundary=b")
        response.end("--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n")
      })
      const form = yield* Effect.either((yield* HttpClient.get(url)).formData)
      assert.strictEqual(
        form._tag === "Right" ? form.right.get("a") : form.left.reason,
        name === "NodeHttp" ? "1" : "Decode"
      )
    }))

  both("headers in lower case, repeated ones joined, and cookies", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => {
        response.writeHead(
          200,
          [["X-Upper", "A"], ["x-twice", "1"], ["X-Twice", "2"], ["Set-Cookie", "a=1; Path=/"], [
            "Set-Cookie",
            "b=2; HttpOnly"
          ]].flat()
        )
        response.end()
      })
      const response = yield* HttpClient.get(url)
      const { "x-twice": twice, "x-upper": upper } = response.headers
      deepStrictEqual([upper, twice], ["A", "1, 2"])
      assert.isTrue(Headers.isHeaders(response.headers))
      const cookies = Object.values(response.cookies.cookies).map(({ name, options, value }) => [name, value, options])
      deepStrictEqual(cookies, [["a", "1", { path: "/" }], ["b", "2", { httpOnly: true }]])
      assert.isTrue(Option.isNone(response.remoteAddress))
    }))

  both("informational responses are skipped", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => {
        response.writeEarlyHints({ link: "</a.css>; rel=preload" })
        response.end("the answer")
      })
      const infos: Array<number> = []
      const response = yield* Effect.provideService(
        HttpClient.get(url),
        NodeHttpClient.UndiciRequestOptions,
        { path: "", method: "", onInfo: ({ statusCode }) => infos.push(statusCode) }
      )
      assert.strictEqual(yield* response.text, "the answer")
      deepStrictEqual(infos, [103])
    }))

  // platform-node begins to read a body that it is to show
  both(
    "a response is shown with its request, status, headers and, once it is read, its body",
    ({ name }) =>
      Effect.gen(function*() {
        const { url } = yield* server
        const response = yield* HttpClient.get(url)
        if (name === "NodeHttp") assert.notProperty(response.toJSON(), "body")
        yield* response.text
        const { body, headers, request, status, ...others } = response.toJSON() as Record<string, unknown>
        deepStrictEqual([body, status], [{ name: "an örder" }, 200])
        deepStrictEqual(Object.entries(headers ?? {}), Object.entries(response.headers))
        deepStrictEqual(request, response.request.toJSON())
        deepStrictEqual(others, { _id: "@effect/platform/HttpClientResponse", remoteAddress: Option.none().toJSON() })
      })
  )
})

describe("HttpClient behaviour, sending", () => {
  const bodies: ReadonlyArray<
    readonly [string, (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest, string]
  > = [
    ["none", (request) => request, ""],
    ["text", HttpClientRequest.bodyText("some text"), "some text"],
    ["bytes", HttpClientRequest.bodyUint8Array(new Uint8Array([1, 2, 3])), "\u0001\u0002\u0003"],
    ["JSON", HttpClientRequest.bodyUnsafeJson({ a: 1 }), "{\"a\":1}"],
    ["a form", HttpClientRequest.bodyUrlParams({ a: "1", b: "2" }), "a=1&b=2"],
    ["a stream", HttpClientRequest.bodyStream(Stream.make(Buffer.from("one"), Buffer.from("two"))), "onetwo"],
    ["an empty stream", HttpClientRequest.bodyStream(Stream.empty), ""]
  ]

  both("every kind of body arrives, with its headers", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      for (const [kind, withBody, expected] of bodies) {
        const request = withBody(HttpClientRequest.post(`${url}/?a=b`))
        const seen = yield* send(request)
        assert.strictEqual(seen.body, expected, kind)
        assert.strictEqual(seen.method, "POST")
        assert.strictEqual(seen.headers["content-type"], request.headers["content-type"])
      }
    }))

  // undici's `request` knows only its own FormData
  both("form data of undici, and with NodeHttp that of Node too", ({ name }) =>
    Effect.gen(function*() {
      const { url } = yield* echo
      const forms = [new Undici.FormData(), ...(name === "NodeHttp" ? [new FormData()] : [])]
      for (const formData of forms) {
        formData.append("name", "value")
        const seen = yield* send(HttpClientRequest.setBody(HttpClientRequest.post(url), HttpBody.raw(formData)))
        assert.match(seen.headers["content-type"], /^multipart\/form-data; boundary=/)
        assert.include(seen.body, "name=\"name\"\r\n\r\nvalue\r\n")
      }
    }))

  both("a Node stream as a raw body", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      const body = HttpBody.raw(Readable.from([Buffer.from("one"), Buffer.from("two")]))
      assert.strictEqual((yield* send(HttpClientRequest.setBody(HttpClientRequest.post(url), body))).body, "onetwo")
    }))

  both("a body that fails fails the request, and the server sees it end", () =>
    Effect.gen(function*() {
      let closed = false
      const { url } = yield* serve((request) => {
        request.on("close", () => {
          closed = true
        }).on("error", () => {}).resume()
      })
      const body = Stream.concat(Stream.succeed(Buffer.from("begun")), Stream.fail("broken"))
      const error = yield* Effect.flip(
        HttpClient.execute(HttpClientRequest.bodyStream(HttpClientRequest.post(url), body))
      )
      deepStrictEqual([error._tag, error.reason], ["RequestError", "Transport"])
      yield* until(() => closed)
    }))

  both("a stream is produced at the pace of the server", () =>
    Effect.gen(function*() {
      let arrived: IncomingMessage | undefined
      const { url } = yield* serve((request, response) => {
        arrived = request.pause()
        request.on("close", () => response.destroy())
      })
      let produced = 0
      const body = Stream.repeatEffect(Effect.sync(() => {
        produced++
        return new Uint8Array(64 * 1024)
      }))
      const fiber = yield* Effect.fork(
        HttpClient.execute(HttpClientRequest.bodyStream(HttpClientRequest.post(url), body))
      )
      yield* until(() => arrived !== undefined && produced > 0)
      // What the sockets hold is some MB
      yield* giveUpWhen(() => produced >= 512)(settled(() => produced))
      assert.isBelow(produced, 512)
      yield* Fiber.interrupt(fiber)
      const after = produced
      // Its end comes after all that was sent
      arrived?.on("error", () => {}).resume()
      yield* until(() => arrived?.closed === true)
      assert.isAtMost(produced - after, 1)
    }))

  // A fragment is not sent (RFC 9112 §3.2.1)
  both(
    "the target: path and query as a URL has them, with platform-node its fragment too",
    ({ name }) =>
      Effect.gen(function*() {
        const { url } = yield* echo
        const targets: ReadonlyArray<readonly [string, string]> = [
          ["/a/b?c=d&e='f'", "/a/b?c=d&e=%27f%27"],
          ["/a/../b/./c", "/b/c"],
          ["/a%20b/ü|{}", "/a%20b/%C3%BC|%7B%7D"],
          ["/a//b;c=1,2/~x?q=%zz+y", "/a//b;c=1,2/~x?q=%zz+y"],
          ["", "/"],
          ["?q", "/?q"]
        ]
        for (const [given, expected] of [...targets, ...targets]) {
          assert.strictEqual((yield* send(HttpClientRequest.get(url + given))).url, expected)
        }
        const params = HttpClientRequest.get(`${url}/?a=1`, { urlParams: { b: "2 3" } })
        assert.strictEqual((yield* send(params)).url, "/?a=1&b=2+3")
        const withHash = HttpClientRequest.get(`${url}/a`, { hash: "part" })
        assert.strictEqual((yield* send(withHash)).url, name === "NodeHttp" ? "/a" : "/a#part")
      })
  )

  both("cookies of a jar are sent and kept", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((request, response) => {
        response.setHeader("set-cookie", "session=1").end(request.headers.cookie)
      })
      const ref = yield* Ref.make(Cookies.empty)
      const client = HttpClient.withCookiesRef(yield* HttpClient.HttpClient, ref)
      assert.strictEqual(yield* (yield* client.get(url)).text, "")
      assert.strictEqual(yield* (yield* client.get(url)).text, "session=1")
    }))

  both("redirects are returned as they are, or followed by platform's combinator", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((request, response) => {
        if (request.url === "/to") response.end("arrived")
        else response.writeHead(302, { location: "/to" }).end("moved")
      })
      const client = yield* HttpClient.HttpClient
      const moved = yield* client.get(`${url}/from`)
      deepStrictEqual([moved.status, moved.headers.location, yield* moved.text], [302, "/to", "moved"])
      assert.strictEqual(yield* (yield* HttpClient.followRedirects(client).get(`${url}/from`)).text, "arrived")
    }))
})

describe("HttpClient behaviour, large bodies", () => {
  const large = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef")

  both("8 MB down: text, arrayBuffer, stream", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => response.end(large))
      const get = HttpClient.get(url)
      assert.isTrue((yield* (yield* get).text) === large.toString("latin1"))
      assert.isTrue(large.equals(new Uint8Array(yield* (yield* get).arrayBuffer)))
      assert.strictEqual(yield* size((yield* get).stream), large.length)
    }))

  both("8 MB up: bytes and a stream", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((request, response) => {
        void LocalServer.readBody(request).then((body) => response.end(String(body.equals(large))))
      })
      const post = HttpClientRequest.post(url)
      const pieces = Stream.range(0, 127).pipe(
        Stream.map((index) => large.subarray(index * 65_536, (index + 1) * 65_536))
      )
      for (
        const request of [
          HttpClientRequest.bodyUint8Array(post, large),
          HttpClientRequest.bodyStream(post, pieces)
        ]
      ) assert.strictEqual(yield* (yield* HttpClient.execute(request)).text, "true")
    }))

  both("the server waits while a body is not read or is read slowly", () =>
    Effect.gen(function*() {
      let written = 0
      let closed = false
      const { url } = yield* serve((_, response) => {
        const fill = () => {
          while (!response.destroyed && response.write(Buffer.alloc(64 * 1024))) written += 64
          written += 64
        }
        response.on("drain", fill).on("close", () => {
          closed = true
        })
        fill()
      })
      const stopped = giveUpWhen(() => written >= 32 * 1024)(settled(() => written))
      const response = yield* HttpClient.get(url)
      yield* stopped
      assert.isBelow(written, 32 * 1024)
      const first = yield* Deferred.make<void>()
      const reader = yield* Effect.fork(
        Stream.runForEach(response.stream, () => Effect.zipRight(Deferred.succeed(first, undefined), Effect.never))
      )
      yield* Deferred.await(first)
      yield* stopped
      assert.isBelow(written, 32 * 1024)
      assert.isFalse(closed)
      yield* Fiber.interrupt(reader)
      yield* until(() => closed)
    }))

  both("a stream is read as it arrives", () =>
    Effect.gen(function*() {
      let answer: ServerResponse | undefined
      const { url } = yield* serve((_, response) => {
        response.write("first")
        answer = response
      })
      const response = yield* HttpClient.get(url)
      const seen: Array<string> = []
      yield* Stream.runForEach(Stream.decodeText(response.stream), (text) =>
        Effect.sync(() => {
          seen.push(text)
          answer?.end(seen.length === 1 ? "last" : undefined)
        }))
      deepStrictEqual(seen, ["first", "last"])
    }))
})

describe("HttpClient behaviour, interruption and scopes", () => {
  /** Answers with `begun` and no end, or not at all. */
  const endless = Effect.gen(function*() {
    const state = { requests: 0, closed: 0 }
    const { url } = yield* serve((request, response) => {
      state.requests++
      response.on("close", () => state.closed++)
      if (request.url !== "/silent") response.write("begun")
    })
    return { url, state }
  })

  both("interrupted before the response: the server sees it", () =>
    Effect.gen(function*() {
      const { state, url } = yield* endless
      const fiber = yield* Effect.fork(HttpClient.get(`${url}/silent`))
      yield* until(() => state.requests === 1)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      yield* until(() => state.closed === 1)
      const late = yield* giveUpWhen(() => state.requests === 2)(HttpClient.get(`${url}/silent`))
      assert.isTrue(Option.isNone(late))
      yield* until(() => state.closed === 2)
    }))

  both(
    "interrupted while the body is read: the server sees it",
    () =>
      rowsEffect(["text", "json", "arrayBuffer"] as const, (reader) => reader, (reader) =>
        Effect.gen(function*() {
          const { state, url } = yield* endless
          const response = yield* HttpClient.get(url)
          const fiber = yield* Effect.fork(response[reader])
          yield* suspended(fiber)
          assert.strictEqual(state.closed, 0)
          assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
          yield* until(() => state.closed === 1)
        }))
  )

  both("a stream of which only the beginning is read: the server sees it", () =>
    Effect.gen(function*() {
      const { state, url } = yield* endless
      const response = yield* HttpClient.get(url)
      const chunks = yield* Stream.runCollect(Stream.take(response.stream, 1))
      assert.strictEqual(Buffer.concat([...chunks]).toString(), "begun")
      yield* until(() => state.closed === 1)
    }))

  both("a request that waits for a connection can be interrupted", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      const all = yield* Effect.fork(Effect.all(Array.from({ length: 50 }, () => HttpClient.get(url)), {
        concurrency: "unbounded"
      }))
      yield* Effect.yieldNow()
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(all)))
      assert.strictEqual((yield* send(HttpClientRequest.get(url))).method, "GET")
    }))

  both("withScope: the response lives as long as its scope, and no longer", () =>
    Effect.gen(function*() {
      const { state, url } = yield* endless
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      const scope = yield* Scope.make()
      const response = yield* Scope.extend(client.get(url), scope)
      const reading = yield* Effect.fork(response.text)
      yield* suspended(reading)
      assert.strictEqual(state.closed, 0)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => state.closed === 1)
      assert.strictEqual(yield* failure(Fiber.join(reading)), "ResponseError Decode")
    }))

  both("withScope: a read body stays, and an interrupted request ends with the scope", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      const response = yield* Effect.scoped(Effect.tap(client.get(url), (response) => response.text))
      assert.include(yield* response.text, "GET")
      const { state, url: silent } = yield* endless
      const fiber = yield* Effect.fork(Effect.scoped(client.get(`${silent}/silent`)))
      yield* until(() => state.requests === 1)
      yield* Fiber.interrupt(fiber)
      yield* until(() => state.closed === 1)
    }))

  both("a response that is not referenced any more is aborted", () =>
    Effect.gen(function*() {
      const { state, url } = yield* endless
      setFlagsFromString("--expose-gc")
      const gc: () => void = runInNewContext("gc")
      yield* Effect.asVoid(HttpClient.get(url))
      // Each costs tens of milliseconds, and what it has found needs some turns
      yield* Effect.repeat(Effect.zipRight(Effect.sync(gc), settled(() => state.closed)), {
        until: () => state.closed === 1
      })
    }))

  both("the asynchronous context is that of the request", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      yield* send(HttpClientRequest.get(url))
      const storage = new AsyncLocalStorage<string>()
      const runtime = yield* Effect.runtime<HttpClient.HttpClient>()
      const seen = yield* Effect.promise(() =>
        storage.run("mine", () =>
          Runtime.runPromise(runtime)(
            Effect.flatMap(HttpClient.get(url), (response) => Effect.map(response.text, () => storage.getStore()))
          ))
      )
      assert.strictEqual(seen, "mine")
    }))
})

describe("HttpClient behaviour, errors", () => {
  const transport: ReadonlyArray<readonly [string, (socket: Socket) => void]> = [
    ["a reset before the answer", (socket) => socket.resetAndDestroy()],
    ["an end before the answer", (socket) => socket.end()],
    ["an end in the headers", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-ty")],
    ["an answer that is not HTTP", (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n")],
    ["two lengths", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na")]
  ]
  both(
    "a response that does not begin, or is not HTTP, is a Transport error",
    () =>
      rowsEffect(transport, ([what]) => what, ([_, answer]) =>
        Effect.gen(function*() {
          const { url } = yield* serveRaw(answer)
          const error = yield* Effect.flip(HttpClient.get(url))
          deepStrictEqual([error._tag, error.reason, error.request.url], ["RequestError", "Transport", url])
          assert.instanceOf(error.cause, Error)
          assert.match(error.message, /^Transport error \(GET http/)
        }))
  )

  /** What the answer gives is done when the client has its headers. */
  const cut: ReadonlyArray<readonly [string, (socket: Socket) => unknown]> = [
    ["a reset", (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
      return () => socket.resetAndDestroy()
    }],
    ["an end before its length", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")],
    [
      "an end before the last chunk",
      (socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    ],
    [
      "a malformed chunk",
      (socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
    ]
  ]
  both(
    "a body that is cut is a Decode error, however it is read",
    () =>
      rowsEffect(cut, ([what]) => what, ([_, answer]) =>
        Effect.gen(function*() {
          let then: unknown
          const { url } = yield* serveRaw((socket) => {
            then = answer(socket)
          })
          const get = Effect.tap(HttpClient.get(url), () =>
            Effect.sync(() => {
              if (typeof then === "function") then()
            }))
          for (const read of ["text", "json", "arrayBuffer", "urlParamsBody"] as const) {
            const reading = Effect.flatMap(get, (response) => Effect.asVoid(response[read]))
            const error = yield* Effect.flip(reading)
            // What was cut already when undici passes the headers on
            if (error._tag === "RequestError") assert.strictEqual(error.reason, "Transport")
            else assert.strictEqual(error.reason, "Decode")
          }
          const streamed = yield* failure(Effect.flatMap(get, ({ stream }) => size(stream)))
          assert.strictEqual(streamed, "ResponseError Decode")
        }))
  )

  both("a port without a server: a Transport error", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(echo)
      assert.strictEqual(yield* failure(HttpClient.get(url)), "RequestError Transport")
    }))

  both("an invalid URL, a header that cannot be sent, an unknown scheme", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      assert.strictEqual(yield* failure(HttpClient.get("not a url")), "RequestError InvalidUrl")
      const header = HttpClient.get(url, { headers: { "x-a": "a\nb" } })
      assert.strictEqual(yield* failure(header), "RequestError Transport")
      assert.strictEqual(yield* failure(HttpClient.get("ftp://127.0.0.1/")), "RequestError Transport")
    }))

  both("filterStatusOk and retryTransient work with the client", () =>
    Effect.gen(function*() {
      let requests = 0
      const { url } = yield* serve((_, response) => response.writeHead(++requests % 3 === 0 ? 200 : 503).end("done"))
      const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
      assert.strictEqual(yield* failure(client.get(url)), "ResponseError StatusCode")
      const retrying = HttpClient.retryTransient(client, { times: 3 })
      assert.strictEqual(yield* (yield* retrying.get(url)).text, "done")
    }))
})

describe("HttpClient behaviour, connections", () => {
  bothSingle(
    "one connection serves one request after the other, small unread bodies included",
    () =>
      Effect.gen(function*() {
        const server = yield* serve((_, response) => response.end("x".repeat(1000)))
        const responses = yield* Effect.replicateEffect(HttpClient.get(server.url), 5)
        assert.lengthOf(server.sockets, 1)
        for (const response of responses) assert.lengthOf(yield* response.text, 1000)
      })
  )

  bothSingle("a server that closes what is idle, just as the next request is sent", () =>
    Effect.gen(function*() {
      const server = yield* serveRaw((socket, number) => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", () => {
          setTimeout(() => socket.end(), number % 3)
        })
      })
      const get = Effect.flatMap(HttpClient.get(server.url), ({ text }) => text)
      for (let request = 0; request < 10; request++) {
        // Both sides have closed
        yield* until(() => server.sockets.every((socket) => socket.closed))
        assert.strictEqual(yield* get, "ok")
        const outcome = yield* Effect.either(Effect.delay(get, request % 4))
        // What was sent as the connection ended is for a retry to mend
        assert.strictEqual(
          outcome._tag === "Right" ? outcome.right : outcome.left.reason,
          outcome._tag === "Right" ? "ok" : "Transport"
        )
      }
      assert.isAtLeast(server.sockets.length, 10)
    }))

  bothSingle("`Connection: close` is heeded", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => response.setHeader("connection", "close").end("ok"))
      const get = Effect.flatMap(HttpClient.get(server.url), ({ text }) => text)
      deepStrictEqual(yield* Effect.replicateEffect(get, 3), ["ok", "ok", "ok"])
      assert.lengthOf(server.sockets, 3)
    }))
})

describe("HttpClient behaviour, tracing", () => {
  interface Seen {
    readonly spans: Array<
      {
        readonly name: string
        readonly span: Tracer.Span
        readonly exit: () => Exit.Exit<unknown, unknown> | undefined
      }
    >
    readonly tracer: Tracer.Tracer
  }
  const collect = (): Seen => {
    const spans: Seen["spans"] = []
    const tracer = Tracer.make({
      context: (f) => f(),
      span: (name, parent, context, links, startTime, kind) => {
        let exit: Exit.Exit<unknown, unknown> | undefined
        const attributes = new Map<string, unknown>()
        const span: Tracer.Span = {
          _tag: "Span",
          name,
          spanId: "00000000000000".concat(String(spans.length + 10)),
          traceId: "0123456789abcdef0123456789abcdef",
          parent,
          context,
          status: { _tag: "Started", startTime },
          attributes,
          links,
          sampled: true,
          kind,
          end: (_, ended) => {
            exit = ended
          },
          attribute: (key, value) => {
            attributes.set(key, value)
          },
          event: () => {},
          addLinks: () => {}
        }
        spans.push({ name, span, exit: () => exit })
        return span
      }
    })
    return { spans, tracer }
  }

  const observed = Effect.gen(function*() {
    const { port, url } = yield* serve((request, response) => {
      response.writeHead(201, { "x-seen": "1", date: "a date", "set-cookie": "secret=1" })
      response.end(JSON.stringify({ method: "GET", url: "/", headers: request.headers, body: "" }))
    })
    const { spans, tracer } = collect()
    const request = HttpClientRequest.get(`${url}/path?a=b`, {
      headers: { authorization: "secret", "x-own": "own" },
      urlParams: { c: "d" }
    })
    const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.withTracer(effect, tracer)
    return { port, url, request, spans, run }
  })

  both("the span of a request, and how it is propagated", () =>
    Effect.gen(function*() {
      const { port, request, run, spans } = yield* observed
      const seen = yield* run(Effect.withSpan(send(request), "parent"))
      deepStrictEqual(spans.map(({ name }) => name), ["parent", "http.client GET"])
      const [parent, { exit, span }] = spans
      assert.strictEqual(Option.getOrThrow(span.parent).spanId, parent.span.spanId)
      assert.strictEqual(span.kind, "client")
      const { "http.response.header.keep-alive": _, ...attributes } = Object.fromEntries(span.attributes)
      deepStrictEqual(attributes, {
        "http.request.method": "GET",
        "server.address": `http://127.0.0.1:${port}`,
        "server.port": port,
        "url.full": `http://127.0.0.1:${port}/path?a=b&c=d`,
        "url.path": "/path",
        "url.scheme": "http",
        "url.query": "a=b&c=d",
        "http.request.header.authorization": "<redacted>",
        "http.request.header.x-own": "own",
        "http.response.status_code": 201,
        "http.response.header.x-seen": "1",
        "http.response.header.date": "a date",
        "http.response.header.set-cookie": "<redacted>",
        "http.response.header.connection": "keep-alive",
        "http.response.header.transfer-encoding": "chunked"
      })
      assert.isTrue(Exit.isSuccess(exit() ?? Exit.void))
      assert.strictEqual(seen.headers.traceparent, `00-${span.traceId}-${span.spanId}-01`)
      assert.strictEqual(seen.headers.b3, `${span.traceId}-${span.spanId}-1-${parent.span.spanId}`)
    }))

  it.scopedLive("a span that ended keeps no response", () =>
    Effect.gen(function*() {
      const { request, run, spans } = yield* observed
      yield* run(Effect.provide(send(request), ours.layer))
      deepStrictEqual(spans.map(({ exit }) => exit()), [Exit.void])
    }))

  both("the span's name, its propagation and whether there is a span can be configured", () =>
    Effect.gen(function*() {
      const { request, run, spans } = yield* observed
      const client = yield* HttpClient.HttpClient
      const named = HttpClient.withSpanNameGenerator(client, ({ method }) => `my ${method}`)
      yield* run(named.execute(request))
      deepStrictEqual(spans.map(({ name }) => name), ["my GET"])
      const kept = yield* run(HttpClient.withTracerPropagation(client, false).execute(request))
      assert.notProperty((yield* HttpClientResponse.schemaBodyJson(Echo)(kept)).headers, "traceparent")
      assert.lengthOf(spans, 2)
      yield* run(HttpClient.withTracerDisabledWhen(client, ({ method }) => method === "GET").execute(request))
      yield* run(Effect.withTracerEnabled(client.execute(request), false))
      assert.lengthOf(spans, 2)
    }))

  both("the span ends with the failure, or the interruption, of its request", () =>
    Effect.gen(function*() {
      const { run, spans } = yield* observed
      yield* Effect.exit(run(HttpClient.get("http://127.0.0.1:1/")))
      let arrived = 0
      const { url } = yield* serve(() => arrived++)
      yield* run(giveUpWhen(() => arrived === 1)(HttpClient.get(url)))
      deepStrictEqual(spans.map(({ exit }) => exit()?._tag), ["Failure", "Failure"])
      assert.isTrue(Exit.isInterrupted(spans[1].exit() ?? Exit.void))
    }))

  both(
    "a request that is interrupted at any step ends its span, except at the step at which the span begins",
    () =>
      Effect.gen(function*() {
        const { request } = yield* observed
        const client = yield* HttpClient.HttpClient
        const endless: Array<number> = []
        for (let step = 1; step < 120; step++) {
          const { spans, tracer } = collect()
          let steps = 0
          const tasks = new Scheduler.MixedScheduler(Infinity)
          const scheduler: Scheduler.Scheduler = {
            scheduleTask: (task, priority) => tasks.scheduleTask(task, priority),
            shouldYield: (fiber) => {
              if (++steps !== step) return false
              fiber.unsafeInterruptAsFork(fiber.id())
              return 0
            }
          }
          yield* Effect.exit(
            Effect.flatMap(
              Effect.fork(Effect.withScheduler(Effect.withTracer(client.execute(request), tracer), scheduler)),
              Fiber.join
            )
          )
          if (spans.some(({ exit }) => exit() === undefined)) endless.push(step)
        }
        assert.isAtMost(endless.length, 2)
      })
  )

  both("a failure contains the spans in which it occurred", () =>
    Effect.gen(function*() {
      const get = Effect.withSpan(HttpClient.get("http://127.0.0.1:1/"), "parent")
      for (const { tracer } of [collect(), { tracer: yield* Effect.tracer }]) {
        const cause = yield* Effect.flip(Effect.sandbox(Effect.withTracer(get, tracer)))
        assert.match(Cause.pretty(cause), /\n +at http\.client GET\n +at parent\b/)
      }
    }))

  both("a failure to read a body contains its spans too", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((_, response) => response.end("no JSON"))
      const read = Effect.flatMap(HttpClient.get(url), ({ json }) => Effect.withSpan(json, "parent"))
      assert.match(Cause.pretty(yield* Effect.flip(Effect.sandbox(read))), /\n +at parent\b/)
    }))

  both("the span has the annotations and links that the effect sets for its spans", () =>
    Effect.gen(function*() {
      const { request, run, spans } = yield* observed
      const linked = Tracer.externalSpan({ spanId: "0123456789abcdef", traceId: "0123456789abcdef0123456789abcdef" })
      yield* run(send(request).pipe(Effect.linkSpans(linked), Effect.annotateSpans("app.tenant", "one")))
      const [{ span }] = spans
      assert.strictEqual(span.attributes.get("app.tenant"), "one")
      deepStrictEqual(span.links.map(({ span }) => span), [linked])
    }))

  both(
    "a tracer sees the span around the sending, as one that passes it on to another library needs",
    () =>
      Effect.gen(function*() {
        const { request } = yield* observed
        const { spans, tracer } = collect()
        const around = new Set<string | undefined>()
        const watching: Tracer.Tracer = {
          ...tracer,
          context: (f, fiber) => {
            around.add(fiber.currentSpan?.spanId)
            return f()
          }
        }
        yield* Effect.withTracer(send(request), watching)
        assert.isTrue(around.has(spans[0].span.spanId))
      })
  )

  both("the stream of a body runs within the span, and its failure ends the span", () =>
    Effect.gen(function*() {
      const { url } = yield* echo
      const post = (body: Stream.Stream<Uint8Array, unknown>) =>
        HttpClient.execute(HttpClientRequest.bodyStream(HttpClientRequest.post(url), body))
      for (const { tracer } of [collect(), { tracer: yield* Effect.tracer }]) {
        const names: Array<string> = []
        const body = Stream.fromEffect(Effect.map(Effect.currentSpan, ({ name }) => {
          names.push(name)
          return new Uint8Array(1)
        }))
        yield* Effect.withTracer(post(body), tracer)
        deepStrictEqual(names, ["http.client POST"])
      }
      const { run, spans } = yield* observed
      yield* Effect.exit(run(post(Stream.fail("no body"))))
      deepStrictEqual(spans.map(({ exit }) => exit()?._tag), ["Failure"])
    }))

  both("with Effect's own tracer the span is propagated as well", () =>
    Effect.gen(function*() {
      const { request } = yield* observed
      const { headers, parent } = yield* Effect.withSpan(
        Effect.map(
          Effect.zip(Effect.currentSpan, send(request)),
          ([parent, { headers }]) => ({ headers, parent })
        ),
        "parent"
      )
      const [traceId, spanId, sampled, parentId] = String(headers.b3).split("-")
      deepStrictEqual([traceId, sampled, parentId], [parent.traceId, "1", parent.spanId])
      assert.strictEqual(headers.traceparent, `00-${traceId}-${spanId}-01`)
    }))

  both("a request with an invalid URL has no span", () =>
    Effect.gen(function*() {
      const { run, spans } = yield* observed
      yield* Effect.exit(run(HttpClient.get("none")))
      assert.lengthOf(spans, 0)
    }))

  both("a traced request is interrupted, scoped and streamed like any other", () =>
    Effect.gen(function*() {
      let closed = 0
      const { url } = yield* serve((_, response) => {
        response.on("close", () => closed++).write("begun")
      })
      const { run } = yield* observed
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      yield* Effect.scoped(run(client.get(url)))
      yield* until(() => closed === 1)
      const reading = yield* run(Effect.flatMap(HttpClient.get(url), ({ text }) => Effect.fork(text)))
      yield* suspended(reading)
      yield* Fiber.interrupt(reading)
      yield* until(() => closed === 2)
      yield* run(Effect.flatMap(HttpClient.get(url), ({ stream }) => Stream.runDrain(Stream.take(stream, 1))))
      yield* until(() => closed === 3)
    }))
})
