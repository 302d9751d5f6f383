import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient, NodeHttp } from "@effect-alf/node"
import { HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import type { Undici } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Array as Arr,
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Redacted,
  Scope,
  Stream
} from "effect"
import diagnostics from "node:diagnostics_channel"
import { createServer } from "node:http"
import { createServer as createTcpServer, type Socket } from "node:net"
import { inspect } from "node:util"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as Certificates from "./Certificates.js"
import * as LocalServer from "./LocalServer.js"
import { makeProxy } from "./Tunnel.js"
import { until } from "./until.js"

const withEnvironment = (variables: Record<string, string>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

/** A client whose environment is what the test says, and nothing else. */
const makeClient = (options?: NodeHttp.Options, variables: Record<string, string> = {}) =>
  Effect.map(
    Layer.build(Layer.provide(NodeHttp.layer({ connectTimeout: hang, ...options }), withEnvironment(variables))),
    (context) => context.unsafeMap.get(HttpClient.HttpClient.key) as HttpClient.HttpClient
  )

const echo = LocalServer.make((request, response) => {
  LocalServer.readBody(request).then((body) => {
    response.setHeader("x-content-type", request.headers["content-type"] ?? "")
    response.setHeader("x-content-length", request.headers["content-length"] ?? "")
    response.end(body)
  }, () => response.destroy())
})

/** How many connections to a port undici opens at the same time. */
const countConnecting = (port: number) =>
  Effect.gen(function*() {
    const count = { now: 0, most: 0 }
    const subscribe = (channel: string, change: 1 | -1) => {
      const listener = (message: unknown) => {
        const { connectParams } = message as Undici.DiagnosticsChannel.ClientBeforeConnectMessage
        if (Number(connectParams.port) !== port) return
        count.now += change
        count.most = Math.max(count.most, count.now)
      }
      return Effect.acquireRelease(
        Effect.sync(() => diagnostics.subscribe(channel, listener)),
        () => Effect.sync(() => diagnostics.unsubscribe(channel, listener))
      )
    }
    yield* subscribe("undici:client:beforeConnect", 1)
    yield* subscribe("undici:client:connected", -1)
    yield* subscribe("undici:client:connectError", -1)
    return count
  })

describe("NodeHttp.layerConfig", () => {
  it.effect("names the variable at fault, and not its value", () =>
    Effect.gen(function*() {
      const variables = { ALF_PROXY: "socks5://:hunter2@proxy", ALF_CONNECT_TIMEOUT: "1 second" }
      const error = yield* Effect.flip(Effect.scoped(Layer.build(
        Layer.provide(NodeHttp.layerConfig(NodeHttp.environment, { connections: 2 }), withEnvironment(variables))
      )))
      assert.strictEqual(error._tag, "InvalidOptions")
      assert.strictEqual(error.message, "ALF_PROXY is not an http or https URL")
      assert.notInclude(inspect(error), "hunter2")
    }))

  it.scopedLive("ALF_PROXY=none bypasses the proxy of the environment", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const layer = Layer.provide(
        NodeHttp.layerConfig(NodeHttp.environment),
        withEnvironment({ ALF_PROXY: "none", HTTP_PROXY: "http://127.0.0.1:1" })
      )
      const response = yield* Effect.provide(HttpClient.get(server.url), layer)
      assert.strictEqual(response.status, 200)
    }))
})

describe.concurrent("NodeHttp, connections", () => {
  it.scopedLive("a connection is kept and reused", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const client = yield* makeClient({ connections: 1 })
      for (const text of ["one", "two", "three"]) {
        const response = yield* client.post(server.url, { body: HttpBody.text(text) })
        assert.strictEqual(yield* response.text, text)
      }
      assert.lengthOf(server.sockets, 1)
    }))

  it.scopedLive("makes no more connections than allowed, and completes every request", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const client = yield* makeClient({ connections: 2 })
      const request = (index: number) =>
        Effect.flatMap(client.post(server.url, { body: HttpBody.text(`${index}`) }), (response) => response.text)
      const indices = Arr.range(1, 30)
      deepStrictEqual(
        yield* Effect.forEach(indices, request, { concurrency: "unbounded" }),
        indices.map(String)
      )
      assert.lengthOf(server.sockets, 2)
    }))

  it.scopedLive("an unread body releases its connection for a waiting request", () =>
    Effect.gen(function*() {
      const body = "x".repeat(512 * 1024)
      const { certificate, key } = yield* Effect.flatMap(Certificates.make, ({ issue }) => issue("one"))
      const options = { connections: 2, connectTimeout: hang, proxy: false } as const
      const tokenIn = (url: string): NodeAuthedHttpClient.Options => ({
        tokenEndpoint: `${url}/token`,
        clientId: "shop",
        clientSecret: Redacted.make("secret"),
        baseUrl: url,
        http: options
      })
      type Client = Effect.Effect<HttpClient.HttpClient.With<unknown>, unknown, Scope.Scope>
      const clients: Record<string, (url: string) => Client> = {
        layer: () => Effect.map(Layer.build(NodeHttp.layer(options)), Context.get(HttpClient.HttpClient)),
        layerMutualTls: () =>
          Effect.map(
            Layer.build(NodeHttp.layerMutualTls({ ...options, certificate: { certificate, key: Redacted.make(key) } })),
            Context.get(HttpClient.HttpClient)
          ),
        "NodeAuthedHttpClient.layer": (url) =>
          Effect.map(
            Layer.build(NodeAuthedHttpClient.layer(tokenIn(url))),
            Context.get(AuthedHttpClient.AuthedHttpClient)
          )
      }
      yield* rowsEffect(Object.entries(clients), ([name]) => name, ([, make]) =>
        Effect.gen(function*() {
          const server = yield* LocalServer.make((request, response) =>
            response.end(request.url === "/token" ? JSON.stringify({ access_token: "a", expires_in: 3600 }) : body)
          )
          const client = yield* make(server.url)
          const responses = yield* Effect.replicateEffect(client.get(server.url), 5)
          deepStrictEqual(responses.map(({ status }) => status), Array(5).fill(200))
          assert.lengthOf(server.sockets, 2)
          // A body that is read later is complete
          assert.strictEqual(yield* responses[0].text, body)
        }))
    }))

  it.scopedLive("an endless body releases its connection after 5 seconds, unless it is read", () =>
    Effect.gen(function*() {
      const server = yield* LocalServer.make((request, response) => {
        if (request.url === "/endless") response.write("x")
        else response.end("ok")
      })
      const client = yield* makeClient({ connections: 2 })
      const read = yield* client.get(`${server.url}/endless`)
      const reader = yield* Effect.fork(Stream.runDrain(read.stream))
      const unread = yield* client.get(`${server.url}/endless`)
      assert.strictEqual(yield* Effect.flatMap(client.get(server.url), ({ text }) => text), "ok")
      assert.match(String((yield* Effect.flip(unread.text)).cause), /the body was not read for 5 seconds/)
      assert.isNull(reader.unsafePoll())
    }))

  it.scopedLive("a burst does not connect all at once, and every request completes", () =>
    Effect.gen(function*() {
      const server = yield* LocalServer.make((request, response) => response.end(request.url))
      const connecting = yield* countConnecting(server.port)
      const client = yield* makeClient()
      const paths = Arr.makeBy(300, (index) => `/${index}`)
      const bodies = yield* Effect.forEach(
        paths,
        (path) => Effect.flatMap(client.get(`${server.url}${path}`), (response) => response.text),
        { concurrency: "unbounded" }
      )
      deepStrictEqual(bodies, paths)
      assert.strictEqual(connecting.most, 64)
    }))

  it.scopedLive("slow requests do not keep others from connecting", () =>
    Effect.gen(function*() {
      const allAreThere = yield* Deferred.make<void>()
      let arrived = 0
      const server = yield* LocalServer.make((_, response) => {
        if (++arrived === 200) Deferred.unsafeDone(allAreThere, Effect.void)
        Effect.runFork(Effect.zipRight(Deferred.await(allAreThere), Effect.sync(() => response.end())))
      })
      const client = yield* makeClient()
      yield* Effect.all(Arr.makeBy(200, () => client.get(server.url)), { concurrency: "unbounded" })
      assert.lengthOf(server.sockets, 200)
    }))

  it.scopedLive("requests that wait for a connection fail when the layer closes", () =>
    Effect.gen(function*() {
      const silent = yield* LocalServer.listen(createTcpServer())
      const scope = yield* Scope.make()
      const client = yield* Scope.extend(makeClient(), scope)
      const fibers = yield* Effect.forEach(
        Arr.range(1, 200),
        () => Effect.fork(Effect.flip(client.get(`https://127.0.0.1:${silent.port}/`)))
      )
      // Connecting includes TLS, which this server never begins
      yield* until(() => silent.sockets.length >= 64)
      yield* Scope.close(scope, Exit.void)
      const errors = yield* Fiber.join(Fiber.all(fibers))
      deepStrictEqual(Arr.dedupe(errors.map(({ _tag, reason }) => `${_tag} ${reason}`)), ["RequestError Transport"])
      assert.lengthOf(silent.sockets, 64)
    }))

  it.scopedLive("an idle connection is closed after keepAliveTimeout", () =>
    Effect.gen(function*() {
      const server = yield* LocalServer.listen(Object.assign(
        createServer((_, response) => response.end()),
        // The server would say how long it keeps a connection, and be believed
        { keepAliveTimeout: 0 }
      ))
      const client = yield* makeClient({ keepAliveTimeout: "100 millis" })
      yield* client.get(server.url)
      yield* closed(server.sockets[0])
    }))

  it.scopedLive("closes its connections with the layer", () =>
    Effect.gen(function*() {
      const server = yield* echo
      yield* Effect.scoped(
        Effect.flatMap(makeClient({ keepAliveTimeout: "1 hour" }), (client) => client.get(server.url))
      )
      yield* closed(server.sockets[0])
    }))

  it.scopedLive("a server that accepts the connection and sends nothing: connectTimeout", () =>
    Effect.gen(function*() {
      const silent = yield* LocalServer.listen(createTcpServer())
      const client = yield* makeClient({ connectTimeout: "300 millis" })
      // Connecting includes TLS, which this server never begins
      const error = yield* Effect.flip(client.get(`https://127.0.0.1:${silent.port}/`))
      assert.strictEqual(error._tag, "RequestError")
      assert.include(inspect(error), "UND_ERR_CONNECT_TIMEOUT")
    }))

  it.scopedLive("an interruption aborts the request and its connection", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<Socket>()
      const server = yield* LocalServer.make((request) => Deferred.unsafeDone(arrived, Effect.succeed(request.socket)))
      const client = yield* makeClient()
      const fiber = yield* Effect.fork(client.get(server.url))
      const socket = yield* Deferred.await(arrived)
      yield* Fiber.interrupt(fiber)
      yield* closed(socket)
    }))

  it.scopedLive("a redirect is not followed", () =>
    Effect.gen(function*() {
      const requests: Array<string> = []
      const server = yield* LocalServer.make((request, response) => {
        requests.push(request.url ?? "")
        response.writeHead(307, { location: "/elsewhere" }).end()
      })
      const client = yield* makeClient()
      const response = yield* client.post(server.url, { body: HttpBody.text("secret") })
      assert.strictEqual(response.status, 307)
      deepStrictEqual(requests, ["/"])
    }))
})

describe("NodeHttp, bodies", () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff)

  it.scopedLive("the global FormData arrives unchanged, also a second time", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const client = yield* makeClient()
      const form = new FormData()
      form.append("text", "Grüße, \"quoted\" & more")
      form.append("twice", "1")
      form.append("twice", "2")
      form.append("blob", new Blob([bytes], { type: "application/x-test" }))
      form.append("file", new File([bytes.subarray(1), "tail"], "näme \"1\".bin", { type: "image/png" }))
      form.append("empty", new Blob([]), "empty.txt")
      const request = HttpClientRequest.post(server.url, { body: HttpBody.formData(form) })
      for (let attempt = 0; attempt < 2; attempt++) {
        const response = yield* client.execute(request)
        const type = response.headers["x-content-type"]
        assert.match(type, /^multipart\/form-data; boundary=/)
        const body = yield* response.arrayBuffer
        assert.strictEqual(response.headers["x-content-length"], `${body.byteLength}`)
        const sent = yield* Effect.promise(() => new Response(body, { headers: { "content-type": type } }).formData())
        deepStrictEqual(yield* Effect.promise(() => parts(sent)), yield* Effect.promise(() => parts(form)))
      }
    }))

  it.scopedLive("each kind of body that fetch accepts arrives unchanged", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const client = yield* makeClient()
      const bodies: ReadonlyArray<readonly [string, unknown, string, Uint8Array]> = [
        [
          "URLSearchParams",
          new URLSearchParams({ a: "b c", ü: "&" }),
          "application/x-www-form-urlencoded;charset=UTF-8",
          utf8("a=b+c&%C3%BC=%26")
        ],
        ["a string", "Grüße", "", utf8("Grüße")],
        ["an ArrayBuffer", bytes.buffer, "", bytes],
        ["a view", new DataView(bytes.buffer, 5, 100), "", bytes.subarray(5, 105)],
        ["a Blob", new Blob([bytes]), "", bytes],
        ["bytes", bytes, "", bytes]
      ]
      yield* rowsEffect(bodies, ([name]) => name, ([_, body, type, expected]) =>
        Effect.gen(function*() {
          const response = yield* client.post(server.url, { body: HttpBody.raw(body) })
          assert.isTrue(Buffer.from(yield* response.arrayBuffer).equals(expected))
          assert.strictEqual(response.headers["x-content-type"], type)
        }))
    }))

  it.scopedLive("keeps the given content type", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const client = yield* makeClient()
      const body = HttpBody.raw(new URLSearchParams({ a: "b" }), { contentType: "application/x-mine" })
      const response = yield* client.post(server.url, { body })
      assert.strictEqual(response.headers["x-content-type"], "application/x-mine")
    }))
})

describe("NodeHttp, proxy", () => {
  const proxied = (
    options: (proxy: LocalServer.LocalServer) => {
      readonly options?: NodeHttp.Options
      readonly variables?: Record<string, string>
    }
  ) =>
    Effect.gen(function*() {
      const server = yield* echo
      const { proxy, tunnels } = yield* makeProxy
      const { options: given, variables } = options(proxy)
      const client = yield* makeClient(given, variables)
      const response = yield* client.post(server.url, { body: HttpBody.text("through") })
      assert.strictEqual(yield* response.text, "through")
      return tunnels.map(({ target }) => target === `127.0.0.1:${server.port}` ? "server" : target)
    })

  it.scopedLive("uses the proxy of the environment", () =>
    rowsEffect<readonly [string, (proxy: LocalServer.LocalServer) => Record<string, string>], unknown, Scope.Scope>(
      [
        ["HTTP_PROXY", (proxy) => ({ HTTP_PROXY: proxy.url })],
        ["http_proxy", (proxy) => ({ http_proxy: proxy.url })],
        ["both, the lower case counts", (proxy) => ({ http_proxy: proxy.url, HTTP_PROXY: "http://127.0.0.1:1" })],
        ["without a scheme", (proxy) => ({ HTTP_PROXY: `127.0.0.1:${proxy.port}` })],
        ["NO_PROXY of another host", (proxy) => ({ HTTP_PROXY: proxy.url, NO_PROXY: "example.com" })],
        ["NO_PROXY of another range", (proxy) => ({ HTTP_PROXY: proxy.url, NO_PROXY: "10.0.0.0/8" })]
      ],
      ([name]) => name,
      ([_, variables]) =>
        Effect.gen(function*() {
          deepStrictEqual(yield* proxied((proxy) => ({ variables: variables(proxy) })), ["server"])
        })
    ))

  it.scopedLive("connects to the server itself by default", () =>
    rowsEffect<
      readonly [string, NodeHttp.Options, (proxy: LocalServer.LocalServer) => Record<string, string>],
      unknown,
      Scope.Scope
    >(
      [
        ["NO_PROXY", {}, (proxy) => ({ HTTP_PROXY: proxy.url, NO_PROXY: "localhost,127.0.0.1" })],
        ["NO_PROXY of a range", {}, (proxy) => ({ HTTP_PROXY: proxy.url, NO_PROXY: "10.0.0.0/8,127.0.0.0/8" })],
        ["NO_PROXY=*", {}, (proxy) => ({ HTTP_PROXY: proxy.url, no_proxy: "*" })],
        ["an empty HTTP_PROXY", {}, () => ({ HTTP_PROXY: "" })],
        ["only HTTPS_PROXY", {}, (proxy) => ({ HTTPS_PROXY: proxy.url })],
        ["proxy: false", { proxy: false }, (proxy) => ({ HTTP_PROXY: proxy.url })]
      ],
      ([name]) => name,
      ([_, options, variables]) =>
        Effect.gen(function*() {
          deepStrictEqual(yield* proxied((proxy) => ({ options, variables: variables(proxy) })), [])
        })
    ))

  it.scopedLive("reads the environment only through Config", () =>
    Effect.gen(function*() {
      const { proxy, tunnels } = yield* makeProxy
      const server = yield* echo
      yield* Effect.acquireRelease(
        Effect.sync(() => (process.env.HTTP_PROXY = proxy.url)),
        () => Effect.sync(() => delete process.env.HTTP_PROXY)
      )
      for (const client of [yield* makeClient(), yield* makeClient({}, { HTTPS_PROXY: "http://127.0.0.1:1" })]) {
        yield* client.get(server.url)
      }
      assert.lengthOf(tunnels, 0)
    }))

  it.scopedLive("uses the proxy of the options, with its credentials", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const { proxy, tunnels } = yield* makeProxy
      const client = yield* makeClient({ proxy: Redacted.make(`http://user:p%40ss@127.0.0.1:${proxy.port}`) }, {
        HTTP_PROXY: "http://127.0.0.1:1",
        NO_PROXY: "*"
      })
      yield* client.get(server.url)
      const sent = tunnels.map(({ headers }) => headers["proxy-authorization"])
      deepStrictEqual(sent, [`Basic ${Buffer.from("user:p@ss").toString("base64")}`])
    }))

  it.scopedLive("a proxy that never answers: connectTimeout", () =>
    Effect.gen(function*() {
      const silent = yield* LocalServer.listen(createTcpServer((socket) => socket.resume()))
      const client = yield* makeClient({ proxy: silent.url, connectTimeout: "300 millis" })
      // Nothing else ends it
      const error = yield* Effect.flip(client.get("http://example.invalid/"))
      assert.strictEqual(error._tag, "RequestError")
    }))

  it.scopedLive("a proxy that refuses", () =>
    Effect.gen(function*() {
      const refusing = yield* LocalServer.listen(
        createServer().on("connect", (_, socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"))
      )
      const client = yield* makeClient({ proxy: new URL(refusing.url) })
      const error = yield* Effect.flip(client.get("http://example.invalid/"))
      assert.include(inspect(error), "403")
    }))
})

describe("NodeHttp, options", () => {
  it.live("a wrong option is an InvalidOptions that names it, and not its value", () =>
    rowsEffect<readonly [NodeHttp.Options, Record<string, string>, string], unknown, Scope.Scope>(
      [
        [{ connections: 0 }, {}, "NodeHttp.connections must be a whole number above zero"],
        [{ connections: 1.5 }, {}, "NodeHttp.connections must be a whole number above zero"],
        [{ connectTimeout: -1 }, {}, "NodeHttp.connectTimeout is negative"],
        [{ connectTimeout: 0 }, {}, "NodeHttp.connectTimeout must be longer than zero"],
        [{ keepAliveTimeout: 0 }, {}, "NodeHttp.keepAliveTimeout must be longer than zero"],
        [{ proxy: "" }, {}, "NodeHttp.proxy is empty"],
        [{ proxy: "http://u:hunter2@" }, {}, "NodeHttp.proxy is not an http or https URL"],
        [{ proxy: Redacted.make("socks5://u:hunter2@host") }, {}, "NodeHttp.proxy is not an http or https URL"],
        [{ proxy: "http://u:hunter2%@host" }, {}, "NodeHttp.proxy has credentials that are not percent-encoded"],
        [
          {},
          { HTTPS_PROXY: "http://hunter%2:u@host" },
          "NodeHttp.proxy from HTTPS_PROXY has credentials that are not percent-encoded"
        ],
        [{}, { HTTP_PROXY: "ftp://u:hunter2@host" }, "NodeHttp.proxy from HTTP_PROXY is not an http or https URL"],
        [{}, { https_proxy: "http://u:hunter2@h:x" }, "NodeHttp.proxy from HTTPS_PROXY is not an http or https URL"]
      ],
      ([options, variables, message]) => `${inspect(options)} ${inspect(variables)}: ${message}`,
      ([options, variables, message]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(makeClient(options, variables))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.message, message)
          assert.notInclude(inspect(error), "hunter2")
        })
    ))

  it.scopedLive("accepts an infinite time limit", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const client = yield* makeClient({ connectTimeout: Duration.infinity, keepAliveTimeout: Duration.infinity })
      assert.strictEqual((yield* client.get(server.url)).status, 200)
    }))
})

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

const parts = (form: FormData) =>
  Promise.all(Array.from(form, async ([name, value]) =>
    typeof value === "string"
      ? { name, value }
      : {
        name,
        file: value.name,
        type: value.type || "application/octet-stream",
        bytes: Buffer.from(await value.arrayBuffer())
      }))

const closed = (socket: Socket) =>
  Effect.async<void>((resume) => {
    if (socket.closed) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
  })
