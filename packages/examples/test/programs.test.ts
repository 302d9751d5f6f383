import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Redacted } from "effect"
import { shared } from "../../core/test/support/shared.js"
import { AuthorizationServer } from "../src/AuthorizationServer.js"
import { main as client } from "../src/client.js"
import * as ProtectedApi from "../src/ProtectedApi.js"
import { main as storage } from "../src/storage.js"
import { main as sharedRedis } from "../src/tasks/shared-redis.js"
import * as Program from "./Program.js"
import * as Shop from "./Shop.js"

const run = (name: string, env: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const { tokenEndpoint } = yield* AuthorizationServer
    const { url } = yield* ProtectedApi.ProtectedApi
    const programs = yield* Program.Programs
    return yield* programs.run(name, {
      ALF_TOKEN_ENDPOINT: tokenEndpoint,
      ALF_CLIENT_ID: Shop.client.id,
      ALF_CLIENT_SECRET: Redacted.value(Shop.client.secret),
      ALF_BASE_URL: url,
      NO_PROXY: "127.0.0.1",
      ...env
    })
  })

/** What went over the wire so far. */
const seen = Effect.gen(function*() {
  const { tokenRequests } = yield* AuthorizationServer
  const { requests } = yield* ProtectedApi.ProtectedApi
  return {
    token: (yield* tokenRequests).map(({ status }) => status),
    api: (yield* requests).map(({ method, status }) => `${method} ${status}`)
  }
})

shared(Program.layer({ client, storage, "tasks/shared-redis": sharedRedis }))("programs", (it) => {
  describe.concurrent("client.ts", () => {
    it.live("puts, gets and deletes", () =>
      Effect.gen(function*() {
        const { exitCode, stderr, stdout } = yield* run("client")
        deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
        assert.include(stdout, "item: 'tea'")
        deepStrictEqual(yield* seen, { token: [200], api: ["PUT 201", "GET 200", "DELETE 204"] })
      }).pipe(Effect.provide(Shop.layer())))

    it.live("reports the token endpoint's error for a wrong secret", () =>
      Effect.gen(function*() {
        const { tokenEndpoint } = yield* AuthorizationServer
        const { exitCode, stdout } = yield* run("client", { ALF_CLIENT_SECRET: "not-the-secret" })
        assert.strictEqual(exitCode, 1)
        assert.include(stdout, `Token endpoint ${tokenEndpoint} answered 401 invalid_client`)
        assert.notInclude(stdout, "not-the-secret")
        deepStrictEqual(yield* seen, { token: [401], api: [] })
      }).pipe(Effect.provide(Shop.layer())))
  })

  describe.concurrent("storage.ts", () => {
    it.scopedLive("finds the token of the previous run", () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const env = { TOKEN_DIRECTORY: yield* files.makeTempDirectoryScoped() }
        for (const { exitCode, stderr } of [yield* run("storage", env), yield* run("storage", env)]) {
          deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
        }
        deepStrictEqual(yield* seen, { token: [200], api: ["GET 200", "GET 200"] })
      }).pipe(Effect.provide(Layer.merge(Shop.layer(), NodeContext.layer))))
  })

  describe.concurrent("tasks/shared-redis.ts", () => {
    it.live("two processes that start at the same time request one token, and a later one finds it", () =>
      Effect.gen(function*() {
        const { url } = yield* RedisServer.shared
        const start = run("tasks/shared-redis", { ALF_REDIS_URL: url })
        const both = yield* Effect.all([start, start], { concurrency: "unbounded" })
        for (const { exitCode, stderr } of [...both, yield* start]) {
          deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
        }
        deepStrictEqual(yield* seen, { token: [200], api: ["GET 200", "GET 200", "GET 200"] })
      }).pipe(Effect.scoped, Effect.provide(Shop.layer())))
  })
})
