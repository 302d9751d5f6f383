import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect, type LookupFunction, type Socket } from "node:net"
import { Worker } from "node:worker_threads"
import { hang } from "../../../core/test/support/hang.js"
import * as Connector from "../../src/http/Connector.js"

/** Listens in a thread that takes no connection before it is told to: the system takes two, and lets others wait. */
const server = `
  const { parentPort, workerData } = require("node:worker_threads")
  const { createServer } = require("node:net")
  const server = createServer((socket) => socket.on("error", () => {}))
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    setImmediate(() => Atomics.wait(workerData, 0, 0))
  })
`

const makeBusyServer = Effect.gen(function*() {
  const gate = new Int32Array(new SharedArrayBuffer(4))
  const open = () => {
    Atomics.store(gate, 0, 1)
    Atomics.notify(gate, 0)
  }
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(server, { eval: true, workerData: gate })),
    (worker) =>
      Effect.promise(() => {
        open()
        return worker.terminate()
      })
  )
  const port = yield* Effect.promise(() => new Promise<number>((resolve) => worker.once("message", resolve)))
  const sockets: Array<Socket> = []
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
  for (const _ of ["first", "second"]) {
    const socket = connect(port, "127.0.0.1")
    sockets.push(socket.on("error", () => {}))
    yield* Effect.promise(() => new Promise((resolve) => socket.once("connect", resolve)))
  }
  return { port, open }
})

/** A name with these addresses, and how often it was looked up. */
const makeName = (...addresses: ReadonlyArray<string>) => {
  let lookups = 0
  const lookup: LookupFunction = (_, __, callback) => {
    lookups++
    callback(null, addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })))
  }
  return { lookup, lookups: () => lookups }
}

const connectTo = (connector: ReturnType<typeof Connector.make>, port: number) =>
  Effect.async<string>((resume) =>
    connector(
      { hostname: "api.test", host: "api.test", protocol: "http:", port: String(port) },
      (error, socket) => {
        socket?.destroy()
        resume(Effect.succeed(error === null ? "connected" : (error as NodeJS.ErrnoException).code ?? error.message))
      }
    )
  )

describe("Connector", () => {
  it.scopedLive("an address that is slower than Node's limit is tried again if no other accepts the connection", () =>
    Effect.gen(function*() {
      const { open, port } = yield* makeBusyServer
      const name = makeName("127.0.0.1", "::1")
      const lookup: LookupFunction = (...args) => {
        // The first attempts have failed
        if (name.lookups() === 1) open()
        name.lookup(...args)
      }
      const connector = Connector.make({ lookup, timeout: hang, autoSelectFamily: true })
      assert.strictEqual(yield* connectTo(connector, port), "connected")
      assert.strictEqual(name.lookups(), 2)
    }))

  it.live("abandoned addresses share the remaining time", () =>
    Effect.gen(function*() {
      const failure = (code: string) => Object.assign(new Error(code), { code, syscall: "connect" })
      const failures = ["ETIMEDOUT", "ECONNREFUSED", "ETIMEDOUT", "ETIMEDOUT"].map(failure)
      const built: Array<Parameters<typeof Connector.make>[0]> = []
      const connector = Connector.make({ timeout: hang }, (options) => {
        built.push(options)
        return (_, callback) => callback(new AggregateError(failures, "none took it"), null)
      })
      assert.strictEqual(yield* connectTo(connector, 1), "none took it")
      assert.lengthOf(built, 2)
      const [, second] = built
      assert.isAtMost(second.timeout, hang)
      assert.strictEqual(Reflect.get(second, "autoSelectFamilyAttemptTimeout"), Math.ceil(second.timeout / 3))
    }))

  it.live("addresses that all refuse are tried once only", () =>
    Effect.gen(function*() {
      const name = makeName("127.0.0.1", "::1")
      const connector = Connector.make({ lookup: name.lookup, timeout: hang, autoSelectFamily: true })
      // Port 1, on which no server listens
      assert.match(yield* connectTo(connector, 1), /^E/)
      assert.strictEqual(name.lookups(), 1)
    }))
})
