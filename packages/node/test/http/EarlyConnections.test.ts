import type { Undici } from "@effect/platform-node"
import { assert, describe, it, onTestFinished, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr } from "effect"
import { Socket } from "node:net"
import { setImmediate } from "node:timers/promises"
import * as EarlyConnections from "../../src/http/EarlyConnections.js"

type Callback = Undici.buildConnector.Callback

const origin = "https://api.test"
const target = { protocol: "https:", host: "api.test", hostname: "api.test", port: "" }

/** Early connections over a connector that waits for the test. */
const setUp = (options: Partial<EarlyConnections.Options> = {}) => {
  const attempts: Array<Callback> = []
  const early = EarlyConnections.make((_, callback) => attempts.push(callback), {
    limit: 2,
    unusedFor: 1000,
    ...options
  })
  const connected: Array<Socket | Error> = []
  return {
    early,
    attempts,
    connected,
    /** The attempt succeeds. */
    succeed: (index: number) => {
      const socket = new Socket()
      attempts[index](null, socket)
      return socket
    },
    /** undici connects. */
    connect: (own: Partial<Undici.buildConnector.Options> = {}) =>
      early.connector({ ...target, ...own }, (...result) => connected.push(result[0] ?? result[1]))
  }
}

describe("EarlyConnections", () => {
  it("undici gets a connection that was opened before, after its call has returned", async () => {
    const { attempts, connect, connected, early, succeed } = setUp()
    early.open(origin)
    const socket = succeed(0)
    connect()
    assert.lengthOf(connected, 0)
    await setImmediate()
    deepStrictEqual(connected, [socket])
    assert.lengthOf(attempts, 1)
    assert.isFalse(socket.destroyed)
    deepStrictEqual(["error", "close", "readable"].map((event) => socket.listenerCount(event)), [0, 1, 0])
  })

  it("undici waits for a connection that is being opened, and gets its error", () => {
    const { attempts, connect, connected, early, succeed } = setUp()
    early.open(origin)
    early.open(origin)
    connect()
    connect()
    const socket = succeed(0)
    const refused = new Error("refused")
    attempts[1](refused, null)
    deepStrictEqual(connected, [socket, refused])
  })

  it("further connections are opened as usual", () => {
    const { attempts, connect, connected, early, succeed } = setUp()
    early.open(origin)
    connect()
    connect()
    assert.lengthOf(attempts, 2)
    const socket = succeed(1)
    deepStrictEqual(connected, [socket])
  })

  it("a failure before a request is nobody's error", () => {
    const { attempts, connect, connected, early, succeed } = setUp()
    early.open(origin)
    attempts[0](new Error("refused"), null)
    connect()
    const socket = succeed(1)
    deepStrictEqual(connected, [socket])
  })

  for (
    const [what, end] of [
      ["that the server has closed", (socket) => socket.push(null)],
      ["on which the server speaks first", (socket) => socket.push("220 welcome")],
      ["that was reset", (socket) => socket.destroy(new Error("ECONNRESET"))]
    ] as ReadonlyArray<readonly [string, (socket: Socket) => unknown]>
  ) {
    it(`a connection ${what} is not used`, async () => {
      const { attempts, connect, early, succeed } = setUp()
      early.open(origin)
      const socket = succeed(0)
      end(socket)
      await setImmediate()
      assert.isTrue(socket.destroyed)
      connect()
      assert.lengthOf(attempts, 2)
    })
  }

  it("a connection without a request is closed after a time", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const { connect, early, succeed } = setUp()
    early.open(origin)
    early.open(origin)
    const [used, unused] = [succeed(0), succeed(1)]
    connect()
    await vi.advanceTimersByTimeAsync(999)
    assert.isFalse(unused.destroyed)
    await vi.advanceTimersByTimeAsync(1)
    deepStrictEqual([used.destroyed, unused.destroyed], [false, true])
  })

  it("opens at most so many for an origin, and none while undici has one there", async () => {
    const { attempts, connect, connected, early, succeed } = setUp()
    early.open("https://other.test")
    Arr.makeBy(4, () => early.open(origin))
    assert.lengthOf(attempts, 3)
    const socket = succeed(1)
    connect()
    await setImmediate()
    deepStrictEqual(connected, [socket])
    early.open(origin)
    assert.lengthOf(attempts, 3)
    socket.destroy()
    await setImmediate()
    early.open(origin)
    assert.lengthOf(attempts, 4)
  })

  it("a request with a Host header of its own, or within a tunnel, has another connection", () => {
    const { attempts, connect, early, succeed } = setUp()
    early.open(origin)
    succeed(0)
    connect({ servername: "other.test" })
    connect({ httpSocket: new Socket() })
    assert.lengthOf(attempts, 3)
  })

  it("connects to an IPv6 address as undici does", () => {
    const targets: Array<Undici.buildConnector.Options> = []
    const early = EarlyConnections.make((target) => targets.push(target), { limit: 1, unusedFor: 1000 })
    early.open("http://[::1]:8080")
    deepStrictEqual(targets, [{ protocol: "http:", host: "[::1]:8080", hostname: "::1", port: "8080" }])
  })

  it("closes those without a request, also those that are being opened", () => {
    const { early, succeed } = setUp()
    early.open(origin)
    early.open(origin)
    const open = succeed(0)
    early.close()
    const opened = succeed(1)
    deepStrictEqual([open.destroyed, opened.destroyed], [true, true])
  })
})
