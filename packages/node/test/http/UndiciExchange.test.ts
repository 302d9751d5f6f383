import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Readable } from "node:stream"
import * as UndiciExchange from "../../src/http/UndiciExchange.js"

const make = (options?: { readonly highWaterMark?: number; readonly body?: Readable }) => {
  const told: Array<Error | undefined> = []
  const controller = {
    aborted: false,
    reason: null,
    paused: false,
    abort() {
      controller.aborted = true
    },
    pause() {
      controller.paused = true
    },
    resume() {
      controller.paused = false
    }
  }
  const exchange = new UndiciExchange.UndiciExchange(
    { method: "GET", path: "/", ...options },
    (error) => told.push(error)
  )
  return { exchange, controller, told }
}

const text = (chunks: ReadonlyArray<Buffer>) => Buffer.concat(chunks).toString()

describe("UndiciExchange", () => {
  it("reports the start of the response once, and ignores informational ones", () => {
    const { controller, exchange, told } = make()
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 103, {})
    deepStrictEqual(told, [])
    exchange.onResponseStart(controller, 200, { a: "b" })
    exchange.onResponseEnd()
    deepStrictEqual(told, [undefined])
    deepStrictEqual([exchange.status, exchange.headers, exchange.ended], [200, { a: "b" }, true])
  })

  it("pauses when much has arrived, and resumes when it is read", () => {
    const { controller, exchange } = make({ highWaterMark: 4 })
    exchange.onResponseStart(controller, 200, {})
    exchange.onResponseData(controller, Buffer.from("ab"))
    assert.isFalse(controller.paused)
    exchange.onResponseData(controller, Buffer.from("cd"))
    assert.isTrue(controller.paused)
    assert.strictEqual(text(exchange.take()), "abcd")
    assert.isFalse(controller.paused)
    deepStrictEqual(exchange.take(), [])
  })

  it("does not pause when the whole body is awaited, and calls back at its end", () => {
    const { controller, exchange } = make({ highWaterMark: 1 })
    let called = 0
    exchange.onResponseStart(controller, 200, {})
    exchange.onResponseData(controller, Buffer.from("ab"))
    exchange.awaitWhole()
    exchange.listen(() => called++)
    exchange.listen(() => called++)()
    exchange.onResponseData(controller, Buffer.from("cd"))
    deepStrictEqual([controller.paused, called], [false, 0])
    exchange.onResponseEnd()
    deepStrictEqual([text(exchange.take()), called], ["abcd", 1])
  })

  it("calls back once for what arrives in pieces", () => {
    const { controller, exchange } = make()
    let called = 0
    exchange.onResponseStart(controller, 200, {})
    exchange.listen(() => called++)
    exchange.onResponseData(controller, Buffer.from("a"))
    exchange.onResponseData(controller, Buffer.from("b"))
    assert.strictEqual(called, 1)
  })

  it("an exchange that is aborted without a connection fails at once, and its later start is aborted", () => {
    const body = Readable.from(["a"])
    const { controller, exchange, told } = make({ body })
    exchange.abort(new Error("enough"))
    assert.strictEqual(told[0]?.message, "enough")
    assert.isTrue(body.destroyed)
    exchange.onRequestStart(controller)
    assert.isTrue(controller.aborted)
    assert.lengthOf(told, 1)
  })

  it("an abort after the end changes nothing", () => {
    const { controller, exchange } = make()
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 200, {})
    exchange.onResponseEnd()
    exchange.abort()
    exchange.onResponseError(controller, new Error("late"))
    deepStrictEqual([controller.aborted, exchange.error], [false, undefined])
  })
})
