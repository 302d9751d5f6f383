import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Chunk, Effect, Exit, Stream } from "effect"
import * as UndiciExchange from "../../src/http/UndiciExchange.js"
import * as UndiciResponse from "../../src/http/UndiciResponse.js"

const controller = { aborted: false, reason: null, paused: false, abort: () => {}, pause: () => {}, resume: () => {} }

const make = (...chunks: ReadonlyArray<string>) => {
  const exchange = new UndiciExchange.UndiciExchange({ method: "GET", path: "/" }, () => {})
  exchange.onResponseStart(controller, 200, { "content-type": "application/json" })
  for (const chunk of chunks) exchange.onResponseData(controller, Buffer.from(chunk))
  return { exchange, response: UndiciResponse.make(HttpClientRequest.get("http://a.test/"), exchange, false) }
}

// How responses are read over connections is in UndiciHttpClient.test.ts
describe("UndiciResponse", () => {
  it("a body that has arrived is read without waiting", () => {
    const { exchange, response } = make("{\"a\":", "1}")
    exchange.onResponseEnd()
    assert.strictEqual(Effect.runSync(response.text), "{\"a\":1}")
    deepStrictEqual(Effect.runSync(response.json), { a: 1 })
  })

  it.live("a body that has not arrived is awaited, and a stream emits what arrived before its failure", () =>
    Effect.gen(function*() {
      const { exchange, response } = make("a")
      const seen: Array<string> = []
      const exit = yield* Stream.decodeText(response.stream).pipe(
        Stream.runForEach((text) =>
          Effect.sync(() => {
            seen.push(text)
            exchange.onResponseError(undefined, new Error("cut"))
          })
        ),
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(seen.join(""), "a")
    }))

  it.live("a stream that was read to its end emits nothing more", () =>
    Effect.gen(function*() {
      const { exchange, response } = make("a")
      exchange.onResponseEnd()
      assert.lengthOf(Chunk.toReadonlyArray(yield* Stream.runCollect(response.stream)), 1)
      assert.lengthOf(Chunk.toReadonlyArray(yield* Stream.runCollect(response.stream)), 0)
    }))
})
