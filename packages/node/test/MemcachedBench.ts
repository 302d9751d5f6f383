import { MemcachedTokenStore } from "@effect-alf/node"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import { Context, Duration, Effect, Layer } from "effect"
import * as StoreBench from "./StoreBench.js"
import { patient, type Store } from "./StoreBench.js"

export * from "./StoreBench.js"

let prefixes = 0
export const newPrefix = () => `test-${prefixes++}:`

/** A server that a file's tests share. */
export class Shared extends Context.Tag("Shared")<Shared, MemcachedServer.MemcachedServer>() {
  static readonly layer = Layer.scoped(Shared, MemcachedServer.make())
}

export const open = (options: MemcachedTokenStore.Options) => MemcachedTokenStore.make({ ...patient, ...options })

export const makeStore = (options?: Partial<MemcachedTokenStore.Options>) =>
  Effect.flatMap(Shared, ({ address }) => open({ servers: address, ...options }))

/** Sends lines to the shared server. */
export const ask = (...lines: ReadonlyArray<string>) =>
  Effect.flatMap(Shared, ({ port }) => Effect.orDie(MemcachedServer.ask(port, ...lines)))

/** Takes time from what a server keeps under a prefix. */
const age = (port: number, prefix: string, duration: Duration.Duration) =>
  Effect.flatMap(MemcachedServer.items(port), (items) => {
    const lines = items.filter(({ key, seconds }) => key.startsWith(prefix) && Number.isFinite(seconds)).map(
      ({ key, seconds }) => {
        const left = Math.ceil(seconds - Duration.toSeconds(duration))
        return left > 0 ? `mg ${key} T${left}` : `md ${key}`
      }
    )
    return MemcachedServer.ask(port, ...lines)
  })

/** The contract of a store, which another process sees as `other`: both with a prefix that nobody else uses. */
export const keepsContract = ({ ports, prefix, ...stores }: {
  /** Of the servers that hold what is stored. */
  readonly ports: ReadonlyArray<number>
  readonly prefix: string
  readonly store: Store
  readonly other: Store
}) =>
  StoreBench.keepsContract({
    ...stores,
    notices: false,
    advance: (duration) => Effect.orDie(Effect.forEach(ports, (port) => age(port, prefix, duration), { discard: true }))
  })
