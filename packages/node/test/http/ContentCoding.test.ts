import { TokenEndpoint } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Deferred, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import type { Scope } from "effect"
import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import type { IncomingHttpHeaders, ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as zlib from "node:zlib"
import { brotliCompressSync, createGzip, deflateRawSync, deflateSync, gzipSync } from "node:zlib"
import { hang } from "../../../core/test/support/hang.js"
import { rowsEffect } from "../../../core/test/support/Rows.js"
import * as LocalServer from "../LocalServer.js"
import { giveUpWhen, settled, suspended, until } from "../until.js"

const unhurried: NodeHttp.Options = { proxy: false, connectTimeout: hang }

const makeClient = (options?: NodeHttp.Options) =>
  Effect.map(Layer.build(NodeHttp.layer({ ...unhurried, ...options })), Context.get(HttpClient.HttpClient))

/** A server that answers as it is told, and the headers of what it was asked. */
const makeServer = (answer: (response: ServerResponse) => void) => {
  const asked: Array<IncomingHttpHeaders> = []
  const server = LocalServer.make((request, response) => {
    asked.push(request.headers)
    request.resume().on("end", () => answer(response))
  })
  return Effect.map(server, (server) => ({ ...server, asked }))
}

const answering = (encoding: string | Array<string>, body: Uint8Array) =>
  makeServer((response) => {
    response.setHeader("content-encoding", encoding)
    response.writeHead(200, { "content-length": body.length, "content-type": "application/json" }).end(body)
  })

const value = { text: "Grüße ".repeat(20_000) }
const json = Buffer.from(JSON.stringify(value))
const gzipped = gzipSync(json)

describe("ContentCoding, decoding", () => {
  it.scopedLive("decodes every supported coding, and chains of them", () =>
    rowsEffect<readonly [string, string | Array<string>, Uint8Array], unknown, Scope.Scope>(
      [
        ["gzip", "gzip", gzipped],
        ["x-gzip", "x-gzip", gzipped],
        ["in any case, with space", " GZip ", gzipped],
        ["gzip of several members", "gzip", Buffer.concat([gzipSync(json.subarray(0, 7)), gzipSync(json.subarray(7))])],
        ["gzip with something after it", "gzip", Buffer.concat([gzipped, Buffer.alloc(100)])],
        ["br", "br", brotliCompressSync(json)],
        ["deflate", "deflate", deflateSync(json)],
        ["deflate without its header", "deflate", deflateRawSync(json)],
        ["identity", "identity", json],
        // Where Node has it
        ...("zstdCompressSync" in zlib
          ? [["zstd", "zstd", (zlib.zstdCompressSync as typeof gzipSync)(json)] as const]
          : []),
        ["a chain", "gzip, br", brotliCompressSync(gzipped)],
        ["a chain with identity and gaps", "identity,, deflate,gzip,", gzipSync(deflateSync(json))],
        ["a chain in two headers", ["gzip", "br"], brotliCompressSync(gzipped)]
      ],
      ([name]) => name,
      ([_, encoding, body]) =>
        Effect.gen(function*() {
          const server = yield* answering(encoding, body)
          const client = yield* makeClient({ connections: 1 })
          for (let request = 0; request < 3; request++) {
            const response = yield* client.get(server.url)
            if (encoding !== "identity") {
              assert.notProperty(response.headers, "content-encoding")
              assert.notProperty(response.headers, "content-length")
            }
            assert.strictEqual(response.headers["content-type"], "application/json")
            deepStrictEqual(yield* response.json, value)
          }
          assert.lengthOf(server.sockets, 1)
        })
    ))

  it.scopedLive("decodes text, bytes and streams alike, also byte by byte", () =>
    Effect.gen(function*() {
      const small = gzipSync("Grüße")
      const server = yield* makeServer((response) => {
        response.writeHead(200, { "content-encoding": "gzip" })
        Readable.from(Array.from(small, (byte) => Buffer.of(byte))).pipe(response)
      })
      const client = yield* makeClient()
      assert.strictEqual(yield* Effect.flatMap(client.get(server.url), (response) => response.text), "Grüße")
      const bytes = yield* Effect.flatMap(client.get(server.url), (response) => response.arrayBuffer)
      deepStrictEqual(Buffer.from(bytes), Buffer.from("Grüße"))
      const streamed = yield* client.get(server.url).pipe(
        Effect.map((response) => response.stream),
        Stream.unwrap,
        Stream.decodeText(),
        Stream.mkString
      )
      assert.strictEqual(streamed, "Grüße")
    }))

  it.scopedLive("decodes a response with an error status too", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) =>
        response.writeHead(503, { "content-encoding": "gzip" }).end(gzipSync(`{"error":"down"}`))
      )
      const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
      assert.strictEqual(response.status, 503)
      deepStrictEqual(yield* response.json, { error: "down" })
    }))

  it.scopedLive("leaves an unsupported coding as it is", () =>
    rowsEffect<readonly [string, string], unknown, Scope.Scope>(
      [
        ["a coding that is not known", "compress"],
        ["a chain with one that is not known", "compress, gzip"],
        ["a chain that is too long", "gzip, gzip, gzip, gzip"],
        ["a name that every object has", "constructor"]
      ],
      ([name]) => name,
      ([_, encoding]) =>
        Effect.gen(function*() {
          const server = yield* answering(encoding, gzipped)
          const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
          assert.strictEqual(response.headers["content-encoding"], encoding)
          assert.isTrue(Buffer.from(yield* response.arrayBuffer).equals(gzipped))
        })
    ))

  it.scopedLive("leaves a response without a body, or with a part of one, as it is", () =>
    rowsEffect<readonly [string, number, Uint8Array], unknown, Scope.Scope>(
      [
        ["204", 204, Buffer.of()],
        ["304", 304, Buffer.of()],
        ["206, a part", 206, gzipped.subarray(10, 20)]
      ],
      ([name]) => name,
      ([_, status, body]) =>
        Effect.gen(function*() {
          const server = yield* makeServer((response) =>
            response.writeHead(status, { "content-encoding": "gzip" }).end(body)
          )
          const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
          assert.strictEqual(response.headers["content-encoding"], "gzip")
          assert.isTrue(Buffer.from(yield* response.arrayBuffer).equals(body))
        })
    ))

  it.scopedLive("a response to HEAD keeps its headers, and an empty body is empty", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) =>
        response.writeHead(200, { "content-encoding": "gzip", "content-length": 0 }).end()
      )
      const client = yield* makeClient()
      const head = yield* client.head(server.url)
      assert.strictEqual(head.headers["content-encoding"], "gzip")
      assert.strictEqual(head.headers["content-length"], "0")
      const response = yield* client.get(server.url)
      assert.strictEqual(yield* response.text, "")
    }))
})

describe("DefaultHeaders", () => {
  it.scopedLive("sends its name and version, unless the app sets the user agent", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => response.end())
      const client = yield* makeClient()
      const request = HttpClientRequest.get(server.url)
      yield* client.execute(request)
      yield* client.execute(HttpClientRequest.setHeader(request, "User-Agent", "orders/2.0"))
      const { version } = JSON.parse(yield* Effect.promise(() => readFile(manifest, "utf8"))) as { version: string }
      deepStrictEqual(server.asked.map((headers) => headers["user-agent"]), [`effect-alf/${version}`, "orders/2.0"])
    }))

  it.scopedLive("accepts names of headers in any case", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => response.end())
      const dispatcher = yield* NodeHttp.makeDispatcher(unhurried)
      const headers = { "User-Agent": "orders/2.0", "Accept-Encoding": "identity" }
      const { body } = yield* Effect.promise(() =>
        dispatcher.request({ origin: new URL(server.url).origin, path: "/", method: "GET", headers })
      )
      yield* Effect.promise(() => body.dump())
      deepStrictEqual(
        server.asked.map((headers) => [headers["user-agent"], headers["accept-encoding"]]),
        [["orders/2.0", "identity"]]
      )
    }))

  it.scopedLive("accepts gzip and br, unless the request sets another header or a range", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => response.end())
      const client = yield* makeClient()
      const request = HttpClientRequest.get(server.url)
      yield* client.execute(request)
      yield* client.execute(HttpClientRequest.setHeader(request, "Accept-Encoding", "identity"))
      yield* client.execute(HttpClientRequest.setHeader(request, "Range", "bytes=0-1"))
      deepStrictEqual(server.asked.map((headers) => headers["accept-encoding"]), ["gzip, br", "identity", undefined])
    }))

  it.scopedLive("a token request asks for identity, and a compressed response is read all the same", () =>
    Effect.gen(function*() {
      const server = yield* answering("gzip", gzipSync(`{"access_token":"t","token_type":"Bearer"}`))
      const token = yield* requestToken(server.url)
      assert.strictEqual(Redacted.value(token.value), "t")
      assert.strictEqual(server.asked[0]["accept-encoding"], "identity")
    }))
})

const manifest = new URL("../../package.json", import.meta.url)

const requestToken = (url: string, options?: Partial<TokenEndpoint.Options>) =>
  TokenEndpoint.TokenEndpoint.pipe(
    Effect.flatMap((endpoint) => endpoint.attempt(endpoint.resolve())),
    Effect.provide(
      TokenEndpoint.layer({
        tokenEndpoint: url,
        clientId: "c",
        clientSecret: Redacted.make("the-secret"),
        timeout: hang,
        ...options
      })
        .pipe(
          Layer.provide(NodeHttp.layer(unhurried))
        )
    )
  )

const megabyte = 1024 * 1024

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")

/** Gzip of zeros without an end, made as it is read. */
const sendBomb = (response: ServerResponse) => {
  response.writeHead(200, { "content-encoding": "gzip", "content-type": "application/json" })
  const zeros = Buffer.alloc(megabyte)
  const source = Readable.from((function*() {
    while (true) yield zeros
  })())
  response.on("close", () => source.destroy())
  source.pipe(createGzip({ level: 9 })).pipe(response)
}

describe("ContentCoding, a bomb", () => {
  it.scopedLive("32 megabytes are decoded chunk by chunk, never all in memory", () =>
    Effect.gen(function*() {
      // Gzipped twice, a few kilobytes on the wire
      const bomb = gzipSync(gzipOf(32))
      const server = yield* answering("gzip, gzip", bomb)
      const before = memoryInUse()
      const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
      let bytes = 0
      let chunks = 0
      let largestChunk = 0
      // Here nobody takes anything, whatever is decoded in the meantime
      const held = Effect.map(settled(() => server.sockets[0].bytesWritten), () => memoryInUse() - before)
      const assertLittle = Effect.map(held, (held) => assert.isBelow(held, 8 * megabyte))
      yield* Stream.runForEach(response.stream, (chunk) => {
        bytes += chunk.length
        largestChunk = Math.max(largestChunk, chunk.length)
        return ++chunks === 5 ? assertLittle : Effect.void
      })
      assert.strictEqual(bytes, 32 * megabyte)
      assert.isAtMost(largestChunk, 64 * 1024)
    }))

  it.scopedLive("receives nothing while the reader does not read", () =>
    Effect.gen(function*() {
      // Members of gzip one after the other are one body, and what is random does not shrink
      const member = gzipSync(randomBytes(megabyte))
      const server = yield* makeServer((response) => {
        response.writeHead(200, { "content-encoding": "gzip" })
        const source = Readable.from((function*() {
          while (true) yield member
        })())
        response.on("close", () => source.destroy())
        source.pipe(response)
      })
      const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
      const [resume, fiber] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let chunks = 0
      const reader = yield* Effect.forkScoped(Stream.runForEach(response.stream, () =>
        ++chunks < 5
          ? Effect.void
          : chunks === 5
          ? Effect.zipRight(Deferred.succeed(fiber, void 0), Deferred.await(resume))
          : chunks < 500
          ? Effect.void
          : Effect.fail("enough")))
      yield* Deferred.await(fiber)
      const sent = () => server.sockets[0].bytesWritten
      yield* giveUpWhen(() => sent() >= 32 * megabyte)(settled(sent))
      assert.isBelow(sent(), 32 * megabyte)
      // And it goes on where it stopped
      yield* Deferred.succeed(resume, void 0)
      assert.strictEqual(yield* Effect.flip(Fiber.join(reader)), "enough")
      yield* until(() => server.sockets[0].destroyed)
    }))

  it.scopedLive("reads no more than maxResponseBytes from a token endpoint", () =>
    Effect.gen(function*() {
      const server = yield* makeServer(sendBomb)
      const error = yield* Effect.flip(requestToken(server.url))
      assert.strictEqual(error._tag, "TokenEndpointError")
      assert.include(error.message, "the body is larger than 262144 bytes")
      yield* until(() => server.sockets[0].destroyed)
    }))
})

describe("ContentCoding, failures", () => {
  const broken: ReadonlyArray<readonly [string, string, Uint8Array]> = [
    ["gzip that is none", "gzip", Buffer.from(`{"plain":true}`)],
    ["gzip that ends early", "gzip", gzipped.subarray(0, gzipped.length - 20)],
    ["gzip with a wrong sum", "gzip", Buffer.concat([gzipped.subarray(0, -8), Buffer.alloc(8)])],
    ["br that is none", "br", Buffer.alloc(100, 0xff)],
    ["br that ends early", "br", brotliCompressSync(json).subarray(0, 30)],
    ["deflate that ends early", "deflate", deflateSync(json).subarray(0, 30)],
    ["a chain of which the inner is none", "br, gzip", gzipped],
    ["a chain of which the outer is none", "gzip, br", gzipped]
  ]
  const read: ReadonlyArray<
    (
      response: HttpClientResponse.HttpClientResponse
    ) => Effect.Effect<unknown, { readonly _tag: string; reason: string }>
  > = [
    (response) => response.json,
    (response) => response.arrayBuffer,
    (response) => Stream.runDrain(response.stream)
  ]

  it.scopedLive("a broken body is a ResponseError, and the client works afterwards", () =>
    rowsEffect(broken, ([name]) => name, ([_, encoding, body]) =>
      Effect.gen(function*() {
        const server = yield* answering(encoding, body)
        const client = yield* makeClient()
        for (const readBody of read) {
          const error = yield* Effect.flip(Effect.flatMap(client.get(server.url), readBody))
          assert.strictEqual(error._tag, "ResponseError")
          assert.strictEqual(error.reason, "Decode")
        }
        const fine = yield* answering("gzip", gzipped)
        deepStrictEqual(yield* Effect.flatMap(client.get(fine.url), (response) => response.json), value)
      })))

  it.scopedLive("a failure before the first read is reported by that read", () =>
    Effect.gen(function*() {
      const bodies = [Buffer.from("nonsense"), gzipped]
      const server = yield* makeServer((response) =>
        response.writeHead(200, { "content-encoding": "gzip" }).end(bodies.shift())
      )
      const client = yield* makeClient({ connections: 1 })
      const response = yield* client.get(server.url)
      // Over the same connection, and so decoded after it
      deepStrictEqual(yield* Effect.flatMap(client.get(server.url), ({ json }) => json), value)
      const error = yield* Effect.flip(response.text)
      assert.strictEqual(error._tag, "ResponseError")
      assert.lengthOf(server.sockets, 1)
    }))

  it.scopedLive("reports a connection that is cut within the body", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => {
        response.writeHead(200, { "content-encoding": "gzip", "content-length": gzipped.length })
        response.write(gzipped.subarray(0, 50), () => response.destroy())
      })
      const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
      const error = yield* Effect.flip(response.text)
      assert.strictEqual(error._tag, "ResponseError")
    }))

  it.scopedLive("endless bytes after the end of the coding cut the connection", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => {
        response.writeHead(200, { "content-encoding": "gzip" })
        response.write(gzipped)
        const timer = setInterval(() => response.write(Buffer.alloc(1000)), 5)
        response.on("close", () => clearInterval(timer))
      })
      const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
      deepStrictEqual(yield* response.json, value)
      yield* until(() => server.sockets[0].destroyed)
    }))

  it.scopedLive("a body that stays open after the end of the coding keeps no connection", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => {
        response.writeHead(200, { "content-encoding": "gzip" }).write(Buffer.concat([gzipped, Buffer.alloc(100)]))
      })
      const client = yield* makeClient()
      deepStrictEqual(yield* Effect.flatMap(client.get(server.url), ({ json }) => json), value)
      yield* until(() => server.sockets[0].destroyed)
    }))

  it.scopedLive("interrupting the reader, or closing the layer, closes the connection", () =>
    Effect.gen(function*() {
      const server = yield* makeServer((response) => {
        response.writeHead(200, { "content-encoding": "gzip" })
        response.write(gzipped.subarray(0, 100))
      })
      const client = yield* makeClient()
      const fiber = yield* Effect.flatMap(
        client.get(server.url),
        (response) => Effect.fork(Stream.runDrain(response.stream))
      )
      yield* suspended(fiber)
      assert.isFalse(server.sockets[0].destroyed)
      yield* Fiber.interrupt(fiber)
      yield* until(() => server.sockets[0].destroyed)

      const error = yield* Effect.scoped(Effect.gen(function*() {
        const response = yield* Effect.flatMap(makeClient(), (client) => client.get(server.url))
        return Effect.flip(response.text)
      }))
      assert.strictEqual((yield* error)._tag, "ResponseError")
      yield* until(() => server.sockets[1].destroyed)
    }))

  it.scopedLive("a scope may close while a body that has arrived is decoded", () =>
    Effect.gen(function*() {
      const bomb = gzipOf(16)
      const server = yield* answering("gzip", bomb)
      const client = HttpClient.withScope(yield* makeClient({ connections: 1 }))
      for (const _ of Arr.range(1, 5)) {
        const first = yield* Effect.scoped(
          Effect.flatMap(client.get(server.url), (response) => Stream.runHead(response.stream))
        )
        assert.strictEqual(first._tag, "Some")
      }
      const whole = yield* Effect.scoped(Effect.flatMap(client.get(server.url), (response) => response.arrayBuffer))
      assert.strictEqual(whole.byteLength, 16 * megabyte)
    }))
})

/** So many megabytes of zeros, in as many members. */
const gzipOf = (megabytes: number): Buffer => Buffer.concat(Arr.replicate(gzipSync(Buffer.alloc(megabyte)), megabytes))

/** What is still held: of what others in this process leave behind, nothing counts. */
const memoryInUse = () => {
  gc()
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}
