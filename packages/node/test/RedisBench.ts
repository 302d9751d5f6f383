import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { Context, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { Redis, type RedisOptions } from "ioredis"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import * as StoreBench from "./StoreBench.js"
import { becomes, eventually, makeDirectory, newKey, patient, type Store, tellsOf, write } from "./StoreBench.js"

export * from "./StoreBench.js"

/** A server, and a prefix that nobody else uses on it. */
export class Shared extends Context.Tag("Shared")<Shared, { readonly url: string; readonly prefix: string }>() {
  static readonly layer = Layer.scoped(Shared, RedisServer.shared)
}

export const open = (options: RedisTokenStore.Options) => RedisTokenStore.make({ ...patient, ...options })

export const makeStore = (options?: Partial<RedisTokenStore.Options>) =>
  Effect.flatMap(Shared, (shared) => open({ ...shared, ...options }))

/** A plain client to look at what a store has done. */
export const makeClient = (url: string, options: RedisOptions = {}) =>
  Effect.acquireRelease(
    // Without a listener ioredis would print that the server is gone
    Effect.sync(() => new Redis(url, options).on("error", () => {})),
    (client) => Effect.sync(() => client.disconnect())
  )

export const sharedClient = Effect.flatMap(Shared, ({ url }) => makeClient(url))

/** A server that listens on a socket as well. */
export const makeSocket = Effect.gen(function*() {
  const directory = yield* makeDirectory
  const path = join(directory, "redis.sock")
  yield* RedisServer.make({ args: ["--unixsocket", path] })
  return { directory, path, url: `unix://${encodeURI(path)}` }
})

/** The ids of the connections to a server whose entry in its list matches. */
export const connectionsOf = (client: Redis, matching: RegExp) =>
  Effect.map(
    Effect.promise(() => client.client("LIST") as Promise<string>),
    (list) => list.split("\n").filter((line) => matching.test(line)).map((line) => /^id=(\d+)/.exec(line)![1])
  )

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

/** Waits until a store was notified of a key. */
export const hears = (told: ReadonlyArray<string>, key: string) => becomes(() => told.includes(key))

/** Writes under new keys until one is heard of: a subscription comes back at a moment that only it knows. */
export const hearsAgain = (told: ReadonlyArray<string>, store: Store) =>
  Effect.suspend(() => {
    const written = new Set<string>()
    const writeNew = Effect.suspend(() => {
      const key = newKey()
      written.add(key)
      return write(store, key)
    })
    return Effect.repeat(eventually(writeNew), {
      until: () => told.some((key) => written.has(key)),
      schedule: Schedule.spaced("10 millis")
    })
  })

/** A server with so much to load that it takes longer than any test, until `key-load-delay` is set to 0. */
export const loadForLong = (server: RedisServer.RedisServer) =>
  Effect.gen(function*() {
    yield* RedisServer.ask(server.port, async (client) => {
      await client.eval("for n = 1, 12000 do redis.call('SET', 'filler-' .. n, string.rep('x', 1100)) end", 0)
      await client.config("SET", "rdbcompression", "no")
      await client.save()
    })
    yield* server.kill
    // 50 ms for each of the keys, with a look at the connections after each
    yield* server.start(["--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024"])
  })

/** What the guide lets a user do, on keys and channels with this prefix. */
export const documentedRights = (prefix = "effect-alf:") =>
  Effect.promise(async () => {
    const guide = await readFile(new URL("../../guides/redis.md", import.meta.url), "utf8")
    const [rights] = guide.match(/~effect-alf:\*[^`]+/)!
    return ["resetchannels", ...rights.replaceAll("effect-alf:", prefix).trim().split(/\s+/)]
  })

/** Shortens the lifetime of all keys under a prefix; the server itself removes those that expire. */
export const age = (client: Redis, prefix: string, duration: Duration.DurationInput) =>
  Effect.promise(async () => {
    const ageKey = async (key: string) => {
      const remaining = await client.pttl(key)
      if (remaining < 0) return
      const left = remaining - Duration.toMillis(duration)
      await client.pexpire(key, Math.max(1, Math.ceil(left)))
      while (left <= 0 && await client.exists(key) === 1);
    }
    await Promise.all((await client.keys(`${prefix}*`)).map(ageKey))
  })

/** The contract of a store, which another process sees as `other`: both with a prefix that nobody else uses. */
export const keepsContract = (
  { nodes, other, prefix, store }: {
    /** The servers that hold what is stored. */
    readonly nodes: ReadonlyArray<string>
    readonly prefix: string
    readonly store: Store
    readonly other: Store
  }
) =>
  Effect.gen(function*() {
    const clients = yield* Effect.forEach(nodes, (url) => makeClient(url))
    const told = yield* tellsOf(other)
    yield* hearsAgain(told, store)
    /** Whatever was sent before has arrived as well. */
    const delivered = Effect.forEach(clients, (client) => {
      const marker = newKey()
      return Effect.zipRight(
        Effect.promise(() => client.publish(`${prefix}changes`, `${crypto.randomUUID()} ${marker}`)),
        hears(told, marker)
      )
    }, { concurrency: "unbounded", discard: true })
    yield* StoreBench.keepsContract({
      store,
      other,
      advance: (duration) =>
        Effect.zipRight(
          Effect.forEach(clients, (client) => age(client, prefix, duration), { concurrency: "unbounded" }),
          delivered
        )
    })
  })
