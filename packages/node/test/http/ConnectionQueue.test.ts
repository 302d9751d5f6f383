import { Undici } from "@effect/platform-node"
import { assert, describe, it, onTestFinished, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr } from "effect"
import { setImmediate } from "node:timers/promises"
import * as ConnectionQueue from "../../src/http/ConnectionQueue.js"
import * as UndiciExchange from "../../src/http/UndiciExchange.js"

const limit = 64

const controller: Undici.Dispatcher.DispatchController = {
  aborted: false,
  reason: null,
  paused: false,
  abort: () => {},
  pause: () => {},
  resume: () => {}
}

/** A queue before connections that open and end when the test says so. */
const setUp = (
  dispatch: (options: Undici.Dispatcher.DispatchOptions) => void = () => {},
  connections?: number,
  inNextTurn?: (task: () => void) => void
) => {
  const given: Array<UndiciExchange.UndiciExchange> = []
  class Connections extends Undici.Dispatcher {
    override dispatch(
      options: Undici.Dispatcher.DispatchOptions,
      exchange: Undici.Dispatcher.DispatchHandler
    ): boolean {
      given.push(exchange as UndiciExchange.UndiciExchange)
      dispatch(options)
      return true
    }
  }
  const queue = new ConnectionQueue.ConnectionQueue(new Connections(), connections, inNextTurn)
  const send = (origin = "http://one"): UndiciExchange.UndiciExchange => {
    const exchange = new UndiciExchange.UndiciExchange({ method: "GET", path: "/", origin }, () => {})
    queue.dispatch(exchange)
    return exchange
  }
  return { given, send, sendAll: (count: number) => Arr.makeBy(count, () => send()) }
}

/** Until the connections that were left are taken. */
const settled = async () => {
  for (let turn = 0; turn < 3; turn++) await setImmediate()
}

describe("ConnectionQueue", () => {
  it("lets 64 requests connect at once, and one more for each that has connected, in order", async () => {
    const { given, sendAll } = setUp()
    const exchanges = sendAll(limit + 5)
    await settled()
    deepStrictEqual(given, exchanges.slice(0, limit))
    exchanges[7].onRequestStart(controller)
    exchanges[3].onRequestStart(controller)
    await settled()
    deepStrictEqual(given, exchanges.slice(0, limit + 2))
  })

  it("each request that ends passes its connection on, however many are connecting", async () => {
    const { given, sendAll } = setUp()
    const [first, ...others] = sendAll(limit + 5)
    first.onRequestStart(controller)
    await settled()
    assert.lengthOf(given, limit + 1)
    first.onResponseStart(controller, 200, {})
    await settled()
    assert.lengthOf(given, limit + 1)
    first.onResponseEnd()
    await settled()
    assert.lengthOf(given, limit + 2)
    // That one has connected at once: it had the connection that was left
    others[limit].onRequestStart(controller)
    others[limit].onResponseEnd()
    others[0].onResponseError(controller, new Error("refused"))
    await settled()
    assert.lengthOf(given, limit + 4)
  })

  it("a closed or broken connection is not passed on", async () => {
    const { given, sendAll } = setUp()
    const [closed, broken, ...others] = sendAll(limit + 5)
    closed.onRequestStart(controller)
    broken.onRequestStart(controller)
    await settled()
    assert.lengthOf(given, limit + 2)
    closed.onResponseStart(controller, 200, { connection: "Close" })
    closed.onResponseEnd()
    broken.onResponseError(controller, new Error("reset"))
    await settled()
    assert.lengthOf(given, limit + 2)
    for (const other of others.slice(0, 3)) other.onRequestStart(controller)
    await settled()
    assert.lengthOf(given, limit + 5)
  })

  it("a later request does not overtake an earlier one", async () => {
    const { given, send, sendAll } = setUp()
    const exchanges = sendAll(limit + 1)
    exchanges[0].onRequestStart(controller)
    const last = send()
    await settled()
    assert.strictEqual(given.at(-1), exchanges[limit])
    exchanges[1].onRequestStart(controller)
    await settled()
    assert.strictEqual(given.at(-1), last)
  })

  it("a request that is aborted while it waits is never sent, and blocks no other", async () => {
    const { given, sendAll } = setUp()
    const exchanges = sendAll(limit + 3)
    const reason = new Error("aborted")
    exchanges[limit].abort(reason)
    assert.strictEqual(exchanges[limit].error, reason)
    await settled()
    assert.lengthOf(given, limit)
    exchanges[0].abort()
    exchanges[1].abort()
    await settled()
    deepStrictEqual(given.slice(limit), exchanges.slice(limit + 1))
  })

  it("origins do not wait for each other", () => {
    const { given, send, sendAll } = setUp()
    sendAll(limit + 1)
    const other = send("http://other")
    assert.strictEqual(given.at(-1), other)
  })

  it("when all requests have ended, as many may connect as at the start", async () => {
    const { given, sendAll } = setUp()
    for (let burst = 1; burst <= 3; burst++) {
      const exchanges = sendAll(2 * limit)
      for (const exchange of exchanges.slice(0, limit)) exchange.onRequestStart(controller)
      for (const exchange of exchanges.slice(0, limit)) exchange.onResponseEnd()
      await settled()
      for (const exchange of exchanges.slice(limit)) exchange.onResponseError(controller, new Error("reset"))
      await settled()
      assert.lengthOf(given, burst * 2 * limit)
    }
  })

  it("a dispatcher that throws fails the request, and delays no other", async () => {
    const { send, sendAll } = setUp(({ origin }) => {
      if (origin === "http://thrown") throw new Error("no such body")
      if (origin === "http://odd") throw "text"
    })
    sendAll(1)
    assert.strictEqual(send("http://thrown").error?.message, "no such body")
    assert.strictEqual(send("http://odd").error?.message, "undici refused the request")
    const failed = Arr.makeBy(2 * limit, () => send("http://thrown"))
    await settled()
    assert.isTrue(failed.every(({ ended }) => ended))
  })

  it("a request right after the abort of all others is sent", async () => {
    const { given, sendAll } = setUp()
    for (const exchange of sendAll(limit + 1)) exchange.abort()
    const exchanges = sendAll(limit + 1)
    await settled()
    for (const exchange of exchanges.slice(0, limit)) exchange.onRequestStart(controller)
    await settled()
    assert.strictEqual(given.at(-1), exchanges[limit])
  })

  it("schedules nothing while nothing happens", async () => {
    let turns = 0
    const { sendAll } = setUp(undefined, undefined, (task) => {
      turns++
      globalThis.setImmediate(task)
    })
    const [first] = sendAll(limit + 3)
    first.onRequestStart(controller)
    await settled()
    assert.strictEqual(turns, 2)
    for (let turn = 0; turn < 10; turn++) await settled()
    assert.strictEqual(turns, 2)
  })

  it("requests that ended before a burst do not raise its limit of simultaneous connects", async () => {
    const { given, send, sendAll } = setUp()
    send()
    for (let count = 0; count < 2 * limit; count++) {
      const exchange = send()
      exchange.onRequestStart(controller)
      exchange.onResponseEnd()
    }
    const before = given.length
    const [first] = sendAll(3 * limit)
    first.onRequestStart(controller)
    await settled()
    assert.lengthOf(given, before + limit)
  })

  it("if the server does not answer, requests do not wait for each other's attempts", async () => {
    const now = vi.spyOn(performance, "now")
    onTestFinished(() => now.mockRestore())
    const { given, sendAll } = setUp()
    const timeout = new Error("Connect Timeout Error")
    const [first, ...others] = sendAll(4 * limit)
    first.onResponseError(controller, timeout)
    await settled()
    // It ended at once, and so will they
    assert.lengthOf(given, limit + 1)
    now.mockReturnValue(performance.now() + 5000)
    for (const exchange of others.slice(0, limit - 1)) exchange.onResponseError(controller, timeout)
    await settled()
    assert.lengthOf(given, 4 * limit)
  })

  it("a later request gets a connection that became free while no request waited, however many are connecting", async () => {
    const { given, send, sendAll } = setUp()
    const [first] = sendAll(limit + 1)
    first.onRequestStart(controller)
    await settled()
    first.onResponseEnd()
    await settled()
    const exchange = send()
    send()
    await settled()
    assert.strictEqual(given.at(-1), exchange)
  })

  it("an unread body is dropped for a request that waits for its connection, not for one that may connect", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const { send } = setUp(() => {}, 2)
    const unread = send()
    unread.onRequestStart(controller)
    unread.onResponseStart(controller, 200, {})
    const opening = send()
    await vi.advanceTimersByTimeAsync(10_000)
    assert.isFalse(unread.ended)
    opening.onRequestStart(controller)
    send()
    await vi.advanceTimersByTimeAsync(300)
    assert.match(String(unread.error), /the body was not read/)
    // Who waits for an answer, or reads it, keeps his
    assert.isFalse(opening.ended)
  })

  it("a request that was aborted while it connected does not count as one with a connection", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const { send } = setUp(() => {}, 2)
    const aborted = send()
    aborted.abort()
    aborted.onRequestStart(controller)
    const unread = send()
    unread.onRequestStart(controller)
    unread.onResponseStart(controller, 200, {})
    send()
    await vi.advanceTimersByTimeAsync(10_000)
    assert.isFalse(unread.ended)
  })
})
