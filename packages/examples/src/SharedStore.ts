/**
 * The stores that the demo and the fleet can keep their tokens in: how each is
 * started, and the layer that an app has over it. A further one is an entry of
 * the table.
 */
import type { OAuthError, TokenStore } from "@effect-alf/core"
import { MemcachedTokenStore, RedisTokenStore } from "@effect-alf/node"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import type { ServerError } from "@effect-alf/servers/ServerError"
import { Effect, Either } from "effect"
import type { Layer, Scope } from "effect"

export interface Address {
  readonly url: string
  /** What every key begins with. */
  readonly prefix?: string
}

/** A server that runs. */
export interface Running {
  readonly address: Address
  /** What it is and where. */
  readonly name: string
  /** How often it was given each command so far, without this question. */
  readonly commands: Effect.Effect<ReadonlyMap<string, number>, ServerError>
}

export interface SharedStore {
  /** What people call it. */
  readonly title: string
  /** Starts a server of its own, installed if it must be. */
  readonly start: Effect.Effect<Running, ServerError, Scope.Scope>
  readonly layer: (address: Address) => Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions>
}

const redis: SharedStore = {
  title: "Redis",
  start: Effect.map(Effect.zipRight(RedisServer.install, RedisServer.make()), ({ name, port, url }) => ({
    address: { url },
    name: `${name} on 127.0.0.1:${port}`,
    commands: RedisServer.commands(port)
  })),
  layer: RedisTokenStore.layer
}

const memcached: SharedStore = {
  title: "Memcached",
  start: Effect.map(Effect.zipRight(MemcachedServer.install, MemcachedServer.make()), ({ address, port }) => ({
    address: { url: `memcached://${address}` },
    name: `memcached on ${address}`,
    commands: MemcachedServer.commands(port)
  })),
  layer: ({ url, ...options }) => MemcachedTokenStore.layer({ servers: url, ...options })
}

export const all = { redis, memcached }

export type Name = keyof typeof all

export const names = Object.keys(all) as ReadonlyArray<Name>

/** Takes `--store NAME` out of the arguments of a command; says what is wrong. */
export const fromArgs = (
  args: ReadonlyArray<string>
): Either.Either<{ readonly store: Name | undefined; readonly rest: ReadonlyArray<string> }, string> => {
  const index = args.indexOf("--store")
  if (index < 0) return Either.right({ store: undefined, rest: args })
  const store = names.find((name) => name === args[index + 1])
  return store === undefined
    ? Either.left(`--store takes ${names.join(" or ")}.`)
    : Either.right({ store, rest: args.filter((_, at) => at !== index && at !== index + 1) })
}
