import { TokenStore } from "@effect-alf/core"
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as OAuthServer from "./OAuthServer.js"
import { assertHides } from "./StoreBench.js"
import { complete, run, variablesFor } from "./StoreUrl.js"

describe("NodeAuthedHttpClient.layerEnv, ALF_STORE_URL", () => {
  const servers = {
    memcached: Effect.map(MemcachedServer.make(), ({ address }) => `memcached://${address}`),
    redis: Effect.map(RedisServer.make(), ({ url }) => url)
  }

  it.scopedLive("processes share a token through its store", () =>
    rowsEffect(
      Object.entries(servers),
      ([name]) => name,
      ([_, store]) =>
        Effect.gen(function*() {
          const server = yield* OAuthServer.make()
          const variables = { ...variablesFor(server), ALF_STORE_URL: yield* store }
          for (let process = 0; process < 2; process++) assert.strictEqual(yield* run(variables), 200)
          assert.lengthOf(server.tokenRequests, 1)
          // Another prefix means another store
          yield* run({ ...variables, ALF_STORE_PREFIX: "other:" })
          assert.lengthOf(server.tokenRequests, 2)
        }).pipe(Effect.scoped)
    ))

  it.scopedLive("is ignored if the options contain a store, and used if they contain a Redis", () =>
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

  const must = "must begin with one of redis:, rediss:, unix:, memcached:, postgres:, postgresql:, mysql:, sqlite:"

  it.live("errors name the variable", () =>
    rowsEffect(
      [
        [{ ALF_STORE_URL: "nonsense" }, `ALF_STORE_URL ${must}`],
        [{ ALF_STORE_URL: "http://:hunter2@redis" }, `ALF_STORE_URL ${must}`],
        [
          { ALF_STORE_URL: "redis://:hunter2@redis/x" },
          "ALF_STORE_URL has a path that is not the number of a database"
        ],
        [{ ALF_STORE_URL: "memcached://:hunter2@x" }, "ALF_STORE_URL must be a text without spaces"],
        [{ ALF_STORE_URL: "memcached://x:0" }, "ALF_STORE_URL has a port that is not between 1 and 65535"],
        [
          { ALF_STORE_URL: "memcached://x", ALF_STORE_PREFIX: "a b" },
          "ALF_STORE_PREFIX must be at most 194 ASCII characters, without spaces"
        ],
        [
          { ALF_STORE_URL: "sqlite:x", ALF_SQL_TABLE: "a b" },
          "ALF_SQL_TABLE is not the name of a table: letters, digits and _, perhaps with a schema before a dot, at " +
          "most 63 characters"
        ],
        [
          { ALF_STORE_URL: "postgres://app:hunter2@x/app", ALF_STORE_PREFIX: "a" },
          "ALF_STORE_PREFIX does not apply to a database: name a table"
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

  it.live("errors name the package that is not installed", () =>
    rowsEffect(
      [
        ["memcached://x", "memcache", /^ALF_STORE_URL needs the package memcache, .*\(npm install memcache\)/],
        [
          "postgres://app:hunter2@x/app",
          "@effect/sql-pg",
          /^ALF_STORE_URL needs the packages @effect\/sql and @effect\/sql-pg, .*\(npm install @effect\/sql @effect\/sql-pg\)/
        ],
        ["mysql://app:hunter2@x/app", "@effect/sql-mysql2", /\(npm install @effect\/sql @effect\/sql-mysql2\)/],
        ["sqlite:tokens.db", "@effect/sql-libsql", /\(npm install @effect\/sql @effect\/sql-libsql\)/]
      ] as const,
      ([_, name]) => name,
      ([url, name, message]) =>
        Effect.gen(function*() {
          vi.doMock(name, () => {
            throw new Error(`Cannot find package '${name}'`)
          })
          const error = yield* Effect.ensuring(
            Effect.flip(run({ ...complete, ALF_STORE_URL: url })),
            Effect.sync(() => vi.doUnmock(name))
          )
          assert.match(error.message, message)
          assertHides(error, "hunter2")
        })
    ))
})
