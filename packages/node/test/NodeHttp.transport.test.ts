import { OAuthError, TokenEndpoint } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Effect, Layer, Redacted } from "effect"
import { createServer, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as Certificates from "./Certificates.js"
import * as LocalServer from "./LocalServer.js"
import * as MutualTlsServer from "./MutualTlsServer.js"
import { makeProxy, makeProxyAt } from "./Tunnel.js"
import { until } from "./until.js"

const unhurried: NodeHttp.Options = { proxy: false, connections: 1, connectTimeout: hang, keepAliveTimeout: hang }

const makeEndpoint = (url: string, options?: Partial<TokenEndpoint.Options>, http?: NodeHttp.Options) =>
  Effect.map(
    Layer.build(
      TokenEndpoint.layer({
        tokenEndpoint: `${url}/token`,
        clientId: "the-client",
        clientSecret: Redacted.make("the-secret"),
        timeout: hang,
        ...options
      }).pipe(Layer.provide(NodeHttp.layer({ ...unhurried, ...http })))
    ),
    (context) => {
      const endpoint = Context.get(context, TokenEndpoint.TokenEndpoint)
      return {
        attempt: endpoint.attempt(endpoint.resolve()),
        request: Effect.map(endpoint.request(endpoint.resolve()), ({ value }) => Redacted.value(value))
      }
    }
  )

/**
 * Speaks HTTP over sockets, so that it can end them at any moment. `answer` is
 * given the number of the request over its connection, from 1, and in all.
 */
const makeServer = (answer: (socket: Socket, number: number, request: number) => void, host?: string) =>
  Effect.suspend(() => {
    let requests = 0
    const server = createServer((socket) => {
      let number = 0
      let received = ""
      socket.on("data", (data) => {
        received += data.toString("latin1")
        // A token request is whole when its form is
        if (!/\r\n\r\n.*grant_type=client_credentials/s.test(received)) return
        received = ""
        answer(socket, ++number, ++requests)
      })
    })
    return LocalServer.listen(server, host)
  })

const tokenResponse = (request: number, headers = ""): string => {
  const body = JSON.stringify({ access_token: `token-${request}`, token_type: "Bearer", expires_in: 3600 })
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`
}

const endings: ReadonlyArray<readonly [string, (socket: Socket) => void]> = [
  ["is reset", (socket) => socket.resetAndDestroy()],
  ["is closed", (socket) => socket.end()],
  ["is cut in the middle of the headers", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-type: appl")],
  ["is cut in the middle of the body", (socket) => socket.end(tokenResponse(0).slice(0, -5))],
  [
    "is cut before the last chunk",
    (socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"acc\r\n")
  ]
]

describe("NodeHttp and a token endpoint, connections that end", () => {
  it.scopedLive("a kept connection that closes as the request arrives is a Transport error", () =>
    rowsEffect(endings, ([name]) => name, ([_, end]) =>
      Effect.gen(function*() {
        const server = yield* makeServer((socket, number, request) =>
          number === 1 ? socket.write(tokenResponse(request)) : end(socket)
        )
        const { attempt } = yield* makeEndpoint(server.url)
        yield* attempt
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error.reason, "Transport")
        assert.isTrue(OAuthError.isTransient(error))
        assert.notInclude(error.message, "the-secret")
        assert.lengthOf(server.sockets, 1)
      })))

  it.scopedLive("no call fails if the server closes an idle connection just as the next request is sent", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((socket, number, request) =>
        socket.write(tokenResponse(request), () => {
          setTimeout(() => socket.end(), number % 3)
        })
      )
      const { request } = yield* makeEndpoint(server.url)
      const pauses = Arr.makeBy(12, (index) => index % 4)
      const tokens = yield* Effect.forEach(pauses, (pause) => Effect.delay(request, pause))
      assert.lengthOf(Arr.dedupe(tokens), 12)
    }))
})

/** Byte by byte; the second text again and again. */
const trickle = (socket: Socket, text: string, endless = "") => {
  const bytes = (function*() {
    yield* text
    while (endless !== "") yield* endless
  })()
  const timer = setInterval(() => {
    const { done, value } = bytes.next()
    if (done === true) clearInterval(timer)
    else socket.write(value)
  }, 1)
  socket.on("close", () => clearInterval(timer))
}

describe("NodeHttp and a token endpoint, slow servers", () => {
  it.scopedLive("a response that arrives byte by byte is read", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((socket, _, request) => trickle(socket, tokenResponse(request)))
      const { request } = yield* makeEndpoint(server.url)
      deepStrictEqual(yield* Effect.replicateEffect(request, 2), ["token-1", "token-2"])
      assert.lengthOf(server.sockets, 1)
    }))
})

// They wait most of the time
describe.concurrent("NodeHttp under a token endpoint, waiting", () => {
  it.scopedLive.each([...endings.map((ending) => [...ending, false] as const), [...endings[0], true] as const])(
    "the standard policy retries after each connection that %s: no call fails",
    ([_, end, proxied]) =>
      Effect.gen(function*() {
        const server = yield* makeServer((socket, number, request) =>
          number === 1 ? socket.write(tokenResponse(request)) : end(socket)
        )
        const { proxy } = yield* makeProxy
        const { request } = yield* makeEndpoint(server.url, {}, { proxy: proxied ? proxy.url : false })
        const tokens = yield* Effect.replicateEffect(request, 4)
        deepStrictEqual(tokens, ["token-1", "token-3", "token-5", "token-7"])
        assert.lengthOf(server.sockets, 4)
      })
  )

  it.scopedLive.each<readonly [string, (socket: Socket) => void]>([
    ["says nothing", () => {}],
    ["never ends its headers", (socket) => trickle(socket, "HTTP/1.1 200 OK\r\nx-long: ", "x")],
    ["says no more after its headers", (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")],
    ["never ends its body", (socket) => trickle(socket, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", " ")],
    ["sends informational answers for ever", (socket) => trickle(socket, "", "HTTP/1.1 103 Early Hints\r\n\r\n")]
  ])("a server that %s causes a Timeout, and its connection is closed", ([_, answer]) =>
    Effect.gen(function*() {
      let asked = 0
      const server = yield* makeServer((socket) => {
        asked++
        answer(socket)
      })
      const { attempt } = yield* makeEndpoint(server.url, { timeout: "200 millis" })
      // An attempt that times out before it reaches the server does not count
      const error = yield* Effect.repeat(Effect.flip(attempt), { until: () => asked > 0 })
      assert.strictEqual(error.reason, "Timeout")
      yield* until(() => server.sockets[0].destroyed)
    }))
})

describe("NodeHttp and a token endpoint, informational responses", () => {
  const attemptWith = (before: string): Effect.Effect<string, OAuthError.TokenRequestError> =>
    Effect.scoped(Effect.gen(function*() {
      const server = yield* makeServer((socket, _, request) => socket.write(before + tokenResponse(request)))
      const { attempt } = yield* Effect.orDie(makeEndpoint(server.url))
      yield* attempt
      const { value } = yield* attempt
      assert.lengthOf(server.sockets, 1)
      return Redacted.value(value)
    }))

  it.live("responses with 1xx before the final one are skipped", () =>
    rowsEffect<readonly [string, string], OAuthError.TokenRequestError, never>(
      [
        ["102 Processing", "HTTP/1.1 102 Processing\r\n\r\n"],
        ["103 Early Hints", "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"],
        ["several", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n".repeat(5)]
      ],
      ([name]) => name,
      ([_, before]) => Effect.map(attemptWith(before), (token) => assert.strictEqual(token, "token-2"))
    ))

  // undici closes such a connection, though RFC 9110 §15.2 has a client ignore it
  it.live("an unexpected 100 Continue is a Transport error", () =>
    Effect.map(
      Effect.flip(attemptWith("HTTP/1.1 100 Continue\r\n\r\n")),
      (error) => assert.strictEqual(error.reason, "Transport")
    ))
})

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1")
)

// Some containers have no IPv6
describe.runIf(hasIpv6)("NodeHttp over IPv6 (where the machine has ::1)", () => {
  it.scopedLive("reaches a token endpoint on [::1]", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((socket, _, request) => socket.write(tokenResponse(request)), "::1")
      assert.match(server.url, /^http:\/\/\[::1\]:\d+$/)
      const { request } = yield* makeEndpoint(server.url)
      assert.strictEqual(yield* request, "token-1")
    }))

  it.scopedLive("with a client certificate", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority, undefined, "::1")
      const { certificate, key, thumbprint } = yield* authority.issue("one")
      const seen = yield* HttpClient.HttpClient.pipe(
        Effect.flatMap((client) => client.get(server.url)),
        Effect.flatMap((response) => response.text),
        Effect.provide(NodeHttp.layerMutualTls({
          certificate: { certificate, key: Redacted.make(key) },
          ...unhurried,
          ca: authority.ca
        }))
      )
      assert.strictEqual(seen, thumbprint)
    }))

  it.scopedLive("a proxy on [::1], and the token endpoint behind it", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((socket, _, request) => socket.write(tokenResponse(request)), "::1")
      const { proxy, tunnels } = yield* makeProxyAt("::1")
      const { request } = yield* makeEndpoint(server.url, {}, { proxy: proxy.url })
      assert.strictEqual(yield* request, "token-1")
      deepStrictEqual(tunnels.map(({ target }) => target), [`[::1]:${server.port}`])
    }))
})
