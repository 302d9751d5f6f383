import { NodeAuthedHttpClient } from "@effect-alf/node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Deferred, Effect, Fiber, Redacted, Runtime, Stream } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import { main, upload } from "../../src/integrations/streams.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

const readAll = (request: IncomingMessage) =>
  Effect.promise(async () => {
    let size = 0
    for await (const chunk of request) size += chunk.length
    return size
  })

const serve = (
  handler: (request: IncomingMessage, response: ServerResponse) => Effect.Effect<void, never, AuthorizationServer>
) =>
  Effect.flatMap(
    Effect.runtime<AuthorizationServer>(),
    (runtime) => Environment.serve((request, response) => Runtime.runFork(runtime)(handler(request, response)))
  )

describe("streams.ts", () => {
  it.scopedLive("sends a stream again after a 401, and reads only the needed part of an endless response", () =>
    Effect.gen(function*() {
      const { revoke } = yield* AuthorizationServer
      const uploads: Array<readonly [size: number, isAuthorized: boolean]> = []
      const closed = yield* Deferred.make<void>()
      let written = 0
      const url = yield* serve((request, response) =>
        Effect.gen(function*() {
          if (request.url === "/events") {
            const write = () => {
              while (
                !response.destroyed && response.write(`event ${++written}\n`.padStart(1024))
              ) { /* until it is full */ }
            }
            response.on("drain", write).on("close", () => Deferred.unsafeDone(closed, Effect.void))
            return write()
          }
          if (uploads.length === 0) { for (const token of yield* Environment.issued) yield* revoke(token) }
          const isAuthorized = yield* Environment.isAuthorized(request.headers.authorization)
          uploads.push([yield* readAll(request), isAuthorized])
          response.writeHead(isAuthorized ? 201 : 401).end()
        })
      )
      const { events, status } = yield* Environment.run(main, { ALF_BASE_URL: url })
      deepStrictEqual(events.map((event) => event.trim()), ["event 1", "event 2", "event 3"])
      assert.strictEqual(status, 201)
      const megabytes = 3 * 1024 * 1024
      deepStrictEqual(uploads, [[megabytes, false], [megabytes, true]])
      yield* Deferred.await(closed)
      assert.isBelow(written, 64 * 1024)
    }).pipe(Effect.provide(Shop.layer({ format: "opaque" }))))

  it.scopedLive("sends no faster than the server reads", () =>
    Effect.gen(function*() {
      const chunk = new Uint8Array(64 * 1024)
      const chunks = 1024
      const arrived = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      let produced = 0
      const report = Stream.range(1, chunks).pipe(
        Stream.rechunk(1),
        Stream.map(() => {
          produced++
          return chunk
        })
      )
      let received = 0
      const url = yield* serve((request, response) =>
        Effect.gen(function*() {
          yield* Deferred.succeed(arrived, undefined)
          yield* Deferred.await(goOn)
          received = yield* readAll(request)
          response.end()
        })
      )
      const sent = yield* Effect.fork(
        Environment.run(
          upload(report, chunks * chunk.byteLength).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv())),
          { ALF_BASE_URL: url }
        )
      )
      yield* Deferred.await(arrived)
      // Chunks are produced until all buffers on the way are full, and then no more, while other requests complete
      const { introspect } = yield* AuthorizationServer
      let before = -1
      while (before !== produced) {
        before = produced
        yield* Effect.repeatN(introspect(Redacted.make("none")), 10)
      }
      assert.isBelow(produced, chunks / 2)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Fiber.join(sent), 200)
      deepStrictEqual([produced, received], [chunks, chunks * chunk.byteLength])
    }).pipe(Effect.provide(Shop.layer())))
})
