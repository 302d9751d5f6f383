import { TokenStore } from "@effect-alf/core"
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it, vi } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as OAuthServer from "./OAuthServer.js"
import { assertHides } from "./StoreBench.js"
import { unhurried } from "./unhurried.js"

type Variables = Readonly<Record<string, string>>

const complete = {
  ALF_TOKEN_ENDPOINT: "https://auth.example.com/token",
  ALF_CLIENT_ID: "the-client",
  ALF_CLIENT_SECRET: "the-client-secret",
  ALF_BASE_URL: "https://api.example.com"
}

const variablesFor = (server: OAuthServer.OAuthServer) => ({
  ...complete,
  ALF_TOKEN_ENDPOINT: server.tokenEndpoint,
  ALF_BASE_URL: server.url
})

/** A process of its own that asks for a resource once. */
const run = (variables: Variables, options: NodeAuthedHttpClient.EnvOptions = {}) =>
  Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => client.get("/resource")).pipe(
    Effect.map(({ status }) => status),
    Effect.scoped,
    Effect.provide(
      Layer.provide(
        NodeAuthedHttpClient.layerEnv({ ...unhurried, ...options }),
        Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }))
      )
    )
  )

describe("NodeAuthedHttpClient.layerEnv, ALF_STORE_URL", () => {
  const servers = {
    memcached: Effect.map(MemcachedServer.make(), ({ address }) => `memcached://${address}`),
    redis: Effect.map(RedisServer.make(), ({ url }) => url)
  }

  it.scopedLive("processes share a token through the store that it names", () =>
    rowsEffect(
      Object.entries(servers),
      ([name]) => name,
      ([_, store]) =>
        Effect.gen(function*() {
          const server = yield* OAuthServer.make()
          const variables = { ...variablesFor(server), ALF_STORE_URL: yield* store }
          for (let process = 0; process < 2; process++) assert.strictEqual(yield* run(variables), 200)
          assert.lengthOf(server.tokenRequests, 1)
          // Another prefix is another store
          yield* run({ ...variables, ALF_STORE_PREFIX: "other:" })
          assert.lengthOf(server.tokenRequests, 2)
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("is not read where the options give a store, and counts where they give a Redis", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const variables = variablesFor(server)
      yield* run({ ...variables, ALF_STORE_URL: "nonsense" }, { tokenStore: TokenStore.layerMemory() })
      const ALF_STORE_URL = yield* servers.memcached
      for (let process = 0; process < 2; process++) {
        yield* run({ ...variables, ALF_STORE_URL }, { redis: { url: "redis://127.0.0.1:1" } })
      }
      assert.lengthOf(server.tokenRequests, 2)
    }))

  const must = "must begin with one of redis:, rediss:, unix:, memcached:"

  it.live("what is wrong is named as it is written", () =>
    rowsEffect(
      [
        [{ ALF_STORE_URL: "nonsense" }, `ALF_STORE_URL ${must}`],
        [{ ALF_STORE_URL: "http://:hunter2@redis" }, `ALF_STORE_URL ${must}`],
        [
          { ALF_STORE_URL: "redis://:hunter2@redis/x" },
          "ALF_STORE_URL has a path that is not the number of a database"
        ],
        [{ ALF_STORE_URL: "memcached://:hunter2@x" }, "ALF_STORE_URL must be a text without spaces"],
        [{ ALF_STORE_URL: "memcached://x:0" }, "ALF_STORE_URL has a port that there is not"],
        [
          { ALF_STORE_URL: "memcached://x", ALF_STORE_PREFIX: "a b" },
          "ALF_STORE_PREFIX must be at most 200 characters of ASCII, and none of them a space"
        ],
        [
          { ALF_STORE_URL: "memcached://x", ALF_REDIS_URL: "redis://:hunter2@x" },
          "ALF_STORE_URL and ALF_REDIS_URL are both set: one store holds the tokens"
        ]
      ] as const,
      ([_, message]) => message,
      ([wrong, message]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run({ ...complete, ...wrong }))
          assert.strictEqual(error.message, message)
          assertHides(error, "hunter2")
        })
    ))

  it.live("the package that it needs is named when it is not installed", () =>
    Effect.gen(function*() {
      vi.doMock("memcache", () => {
        throw new Error("Cannot find package 'memcache'")
      })
      const error = yield* Effect.ensuring(
        Effect.flip(run({ ...complete, ALF_STORE_URL: "memcached://x" })),
        Effect.sync(() => vi.doUnmock("memcache"))
      )
      assert.match(error.message, /^ALF_STORE_URL needs the package memcache, .*\(npm install memcache\)/)
    }))
})
