import { AuthedFetch, AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import { once } from "node:events"
import type { IncomingMessage, ServerResponse } from "node:http"
import { hang } from "../../core/test/support/hang.js"
import * as LocalServer from "./LocalServer.js"

const transports: Record<string, Layer.Layer<HttpClient.HttpClient, unknown>> = {
  "NodeHttp.layer": NodeHttp.layer({ proxy: false, connectTimeout: hang }),
  "NodeHttpClient.layer": NodeHttpClient.layer,
  "FetchHttpClient.layer": FetchHttpClient.layer
}

/** What a test needs of both sides; the layer stays until its end. */
const world = (
  transport: Layer.Layer<HttpClient.HttpClient, unknown>,
  answer: (request: IncomingMessage, response: ServerResponse) => void
) =>
  Effect.gen(function*() {
    const server = yield* LocalServer.make(answer)
    const context = yield* Layer.build(
      AuthedHttpClient.layer({ baseUrl: server.url }).pipe(
        Layer.provide(TokenStore.layerMemory()),
        Layer.provide(TestTokenEndpoint.layer()),
        Layer.provide(transport)
      )
    )
    return { ...server, fetch: yield* Effect.provide(AuthedFetch.make, context) }
  })

const form = () => {
  const form = new FormData()
  form.set("file", new Blob(["the file"], { type: "text/css" }), "file.css")
  return form
}

for (const [name, transport] of Object.entries(transports)) {
  describe(`AuthedFetch over ${name}`, () => {
    it.scopedLive("rule 5: bodies arrive unchanged, and again after a 401", () =>
      Effect.gen(function*() {
        const arrived: Array<string> = []
        const { fetch } = yield* world(transport, (request, response) => {
          LocalServer.readBody(request).then((body) => {
            arrived.push(/the \w+/.exec(body.toString())?.[0] ?? "")
            response.writeHead(request.headers.authorization === "Bearer token-1" ? 401 : 200).end()
          }, () => response.destroy())
        })
        const bodies = ["the text", new TextEncoder().encode("the bytes"), new Blob(["the blob"]), form()]
        const statuses = yield* Effect.forEach(bodies, (body) =>
          Effect.promise(async () => (await fetch("/", { method: "POST", body })).status))
        deepStrictEqual(statuses, [200, 200, 200, 200])
        deepStrictEqual(arrived, ["the text", "the text", "the bytes", "the blob", "the file"])
      }))

    it.scopedLive("a body has its content-length, and a stream of unknown length is chunked", () =>
      Effect.gen(function*() {
        const { fetch } = yield* world(transport, (request, response) => {
          LocalServer.readBody(request).then((body) => {
            const { "content-length": length, "transfer-encoding": encoding } = request.headers
            response.end(JSON.stringify([length, encoding, body.length]))
          }, () => response.destroy())
        })
        const request = (body: BodyInit) =>
          Effect.promise(async () => (await fetch("/", { method: "POST", body })).json())
        deepStrictEqual(yield* request("a".repeat(100)), ["100", null, 100])
        const init = { method: "POST", body: new Blob(["stream"]).stream(), duplex: "half" }
        deepStrictEqual(yield* Effect.promise(async () => (await fetch("/", init)).json()), [null, "chunked", 6])
      }))

    it.scopedLive("aborting or cancelling a body closes its connection", () =>
      Effect.gen(function*() {
        const closed: Array<Promise<unknown>> = []
        const { fetch } = yield* world(transport, (_, response) => {
          closed.push(once(response, "close"))
          const write = () => {
            while (!response.destroyed && response.write("x".repeat(1024))) continue
          }
          response.on("drain", write)
          write()
        })
        const controller = new AbortController()
        const first = yield* Effect.promise(() => fetch("/", { signal: controller.signal }))
        const text = first.text()
        controller.abort()
        const error = yield* Effect.flip(Effect.tryPromise({ try: () => text, catch: (error) => error }))
        assert.propertyVal(error, "name", "AbortError")
        const second = yield* Effect.promise(() => fetch("/"))
        const reader = second.body!.getReader()
        yield* Effect.promise(() => reader.read())
        yield* Effect.promise(() => reader.cancel())
        yield* Effect.promise(() => Promise.all(closed))
      }))

    it.scopedLive("aborting a request before its response closes its connection", () =>
      Effect.gen(function*() {
        let arrive: (request: IncomingMessage) => void = () => {}
        const arrived = new Promise<IncomingMessage>((resolve) => {
          arrive = resolve
        })
        const { fetch } = yield* world(transport, (request) => arrive(request))
        const controller = new AbortController()
        const response = fetch("/", { signal: controller.signal })
        const request = yield* Effect.promise(() => arrived)
        controller.abort()
        assert.propertyVal(
          yield* Effect.flip(Effect.tryPromise({ try: () => response, catch: (error) => error })),
          "name",
          "AbortError"
        )
        if (!request.socket.destroyed) yield* Effect.promise(() => once(request.socket, "close"))
      }))
  })
}
