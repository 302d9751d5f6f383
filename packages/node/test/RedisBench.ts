import type { OAuthError, TokenStore } from "@effect-alf/core"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/redis-server"
import { assert, vi } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Layer, Option, Schedule, Stream } from "effect"
import { Redis, type RedisOptions } from "ioredis"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { createConnection, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"

export type Store = TokenStore.TokenStore["Type"]

/** A server, and a prefix that nobody else uses on it. */
export class Shared extends Context.Tag("Shared")<Shared, { readonly url: string; readonly prefix: string }>() {
  static readonly layer = Layer.scoped(Shared, RedisServer.shared)
}

export const makeStore = (options?: Partial<RedisTokenStore.Options>) =>
  Effect.flatMap(Shared, (shared) => RedisTokenStore.make({ ...shared, ...options }))

/** For the contract: its rows wait side by side, and a machine that is busy is late by some tenths of a second. */
export const shortTime = "2 seconds"

/** A plain client to look at what a store has done. */
export const makeClient = (url: string, options: RedisOptions = {}) =>
  Effect.acquireRelease(
    // Without a listener ioredis would print that the server is gone
    Effect.sync(() => new Redis(url, options).on("error", () => {})),
    (client) => Effect.sync(() => client.disconnect())
  )

export const sharedClient = Effect.flatMap(Shared, ({ url }) => makeClient(url))

let keys = 0
export const newKey = () => `key-${keys++}`

export const entry = (
  version: string,
  payload = `payload of ${version}`,
  timeToLive: Duration.DurationInput = "1 minute"
) => ({
  version,
  payload,
  timeToLive: Duration.decode(timeToLive)
})

export const versionIn = (store: Store, key: string) => Effect.map(store.get(key), Option.map((found) => found.version))

export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

/** Every text that an error could end up in a log with. */
const shown = (error: unknown) =>
  [
    inspect(error, { depth: null, showHidden: true }),
    JSON.stringify(error),
    String(error),
    error instanceof Error ? `${error.message}${error.stack}${inspect(error.cause)}` : "",
    Cause.pretty(Cause.fail(error))
  ].join("\n")

export const assertHides = (error: unknown, ...secrets: ReadonlyArray<string>) => {
  for (const secret of secrets) assert.notInclude(shown(error), secret)
}

/** Tries until the store works: it comes back by itself, at a moment that only it knows. */
export const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.retry(effect, Schedule.spaced("20 millis")).pipe(Effect.timeout("45 seconds"))

/** A server that listens on a socket as well. */
export const makeSocket = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "socket of ü-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const path = join(directory, "redis.sock")
  yield* RedisServer.make({ args: ["--unixsocket", path] })
  return { directory, path, url: `unix://${encodeURI(path)}` }
})

/** Keeps the event loop, as a long collection of garbage does. */
export const standStill = (millis: number) => {
  const end = performance.now() + millis
  while (performance.now() < end);
}

/** The ids of the connections to a server whose entry in its list matches. */
export const connectionsOf = (client: Redis, matching: RegExp) =>
  Effect.map(
    Effect.promise(() => client.client("LIST") as Promise<string>),
    (list) => list.split("\n").filter((line) => matching.test(line)).map((line) => /^id=(\d+)/.exec(line)![1])
  )

/** Whatever is printed past Effect's logger while the scope lasts. */
export const spyOnConsole = Effect.acquireRelease(
  Effect.sync(() => {
    const printed: Array<ReadonlyArray<unknown>> = []
    const spies = (["error", "warn", "log"] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args))
    )
    return { printed, spies }
  }),
  ({ spies }) => Effect.sync(() => spies.forEach((spy) => spy.mockRestore()))
).pipe(Effect.map(({ printed }) => printed))

/** Stands between a client and a server, and can stop to pass anything on without a word to either. */
export const makeProxy = (port: number) =>
  Effect.acquireRelease(
    Effect.async<{ readonly sockets: Set<Socket>; readonly server: ReturnType<typeof createServer> }>((resume) => {
      const sockets = new Set<Socket>()
      const server = createServer((inbound) => {
        const outbound = createConnection({ host: "127.0.0.1", port })
        for (const socket of [inbound, outbound]) socket.on("error", () => {})
        inbound.pipe(outbound)
        outbound.pipe(inbound)
        sockets.add(inbound).add(outbound)
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ sockets, server })))
    }),
    ({ server, sockets }) =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(({ server, sockets }) => ({
    port: (server.address() as { readonly port: number }).port,
    connections: () => sockets.size / 2,
    swallow: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    }
  })))

export const write = (store: Store, key: string) => store.set(key, entry("v1"), Option.none())

/** Collects what a store is told, from a moment on that only the server knows. */
export const tellsOf = (store: Store) =>
  Effect.gen(function*() {
    const told: Array<string> = []
    yield* Effect.forkScoped(Stream.runForEach(store.changes, (key) => Effect.sync(() => told.push(key))))
    return told
  })

/** The same from now on: the server has confirmed it. */
export const listen = (store: Store, client: Redis, channel: string) =>
  Effect.gen(function*() {
    const before = yield* subscribers(client, channel)
    const told: Array<string> = []
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(store.changes, (key) => Effect.sync(() => told.push(key)))
    )
    yield* Effect.repeat(subscribers(client, channel), {
      until: (count) => count > before,
      schedule: Schedule.spaced("5 millis")
    })
    return { told, fiber }
  })

/** How many connections are subscribed to a channel. */
export const subscribers = (client: Redis, channel: string) =>
  Effect.map(Effect.promise(() => client.pubsub("NUMSUB", channel)), ([_, count]) => Number(count))

/** Waits until something holds. */
export const becomes = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("5 millis") }),
    Effect.timeout("10 seconds")
  )

/** Waits until a store was told of a key. */
export const hears = (told: ReadonlyArray<string>, key: string) => becomes(() => told.includes(key))

/** Writes under a new key until it is heard of: a subscription comes back at a moment that only it knows. */
export const hearsAgain = (told: ReadonlyArray<string>, store: Store) =>
  eventually(Effect.suspend(() => {
    const key = newKey()
    return Effect.zipRight(write(store, key), Effect.timeout(hears(told, key), "200 millis"))
  }))

/** Waits until a store fails for a reason that its description names. */
export const failsWith = <A>(call: Effect.Effect<A, OAuthError.TokenStoreError>, reason: RegExp) =>
  eventually(Effect.filterOrFail(failureOf(call), ({ description }) => reason.test(description)))

/** What the guide lets a user do, on keys and channels with this prefix. */
export const documentedRights = (prefix = "effect-alf:") =>
  Effect.promise(async () => {
    const guide = await readFile(new URL("../../guides/stores-and-fleets.md", import.meta.url), "utf8")
    const [rights] = guide.match(/~effect-alf:\*[^`]+/)!
    return ["resetchannels", ...rights.replaceAll("effect-alf:", prefix).trim().split(/\s+/)]
  })
