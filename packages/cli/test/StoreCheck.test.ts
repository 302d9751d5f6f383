import { TokenStoreError } from "@effect-alf/core/OAuthError"
import * as TokenStore from "@effect-alf/core/TokenStore"
import { RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Fiber, Option, Redacted, TestClock } from "effect"
import { hang } from "../../core/test/support/hang.js"
import { Problem } from "../src/Problem.js"
import type { StoreAddress } from "../src/StoreAddress.js"
import * as StoreCheck from "../src/StoreCheck.js"

const address: StoreAddress = { variable: "ALF_STORE_URL", scheme: "redis" }

const memory = Effect.provide(TokenStore.TokenStore, TokenStore.layerMemory())

describe("StoreCheck", () => {
  it.effect("makes a round trip, and removes its entry and its lease", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const { concern, says } = yield* StoreCheck.check(store, address, "key")
      assert.strictEqual(concern, undefined)
      assert.strictEqual(says, "write, read, compare-and-set and lease work, in 1 ms each")
      assert.isTrue(Option.isNone(yield* store.get("key")))
      assert.isTrue(yield* store.acquireLease("key", "somebody", Duration.seconds(1)))
    }))

  it.effect("distinguishes the errors of a store", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const saying = (description: string, reason: TokenStoreError["reason"] = "Unavailable") =>
        Effect.flip(StoreCheck.check(
          {
            ...store,
            set: () => Effect.fail(new TokenStoreError({ method: "set", reason, description }))
          },
          address,
          "key"
        ))
      const tags = yield* Effect.forEach([
        saying("WRONGPASS invalid username-password pair or user is disabled."),
        saying("NOAUTH Authentication required."),
        saying("READONLY You can't write against a read only replica."),
        saying("MISCONF Redis is configured to save RDB snapshots"),
        saying("CLIENT_ERROR unauthenticated"),
        saying("SERVER_ERROR out of memory storing object"),
        saying("Redis is not connected: connect ECONNREFUSED 127.0.0.1:1"),
        saying("Redis gave no answer within 1s", "Timeout"),
        saying("the database fails: connect ECONNREFUSED 127.0.0.1:1"),
        saying("words that no store has said before"),
        saying("the database fails: password authentication failed for user \"app\""),
        saying("the database fails: Access denied for user 'app'@'localhost' (using password: <redacted>"),
        saying("the database fails: cannot execute INSERT in a read-only transaction"),
        saying("the database fails: 53100 could not extend file: No space left on device"),
        saying("the database fails: permission denied for table effect_alf_tokens"),
        saying("the database fails: no such table: t; SqlTokenStore.migration or the option createTable creates it"),
        saying("NOPERM this user has no permissions"),
        saying("the entry was not written by this library", "InvalidEntry")
      ], Effect.map(({ _tag }) => _tag))
      deepStrictEqual(tags, [
        "StorePassword",
        "StorePassword",
        "StoreReadOnly",
        "StoreReadOnly",
        "StorePassword",
        "StoreReadOnly",
        "StoreDown",
        "StoreDown",
        "StoreDown",
        "StoreDown",
        "StorePassword",
        "StorePassword",
        "StoreReadOnly",
        "StoreReadOnly",
        "StoreRefuses",
        "StoreRefuses",
        "StoreRefuses",
        "StoreBroken"
      ])
    }))

  it.effect("reports a store without compare-and-set, and a slow store", () =>
    Effect.gen(function*() {
      const lastWins = TokenStore.make(new Map<string, string>())
      deepStrictEqual(
        yield* Effect.flip(StoreCheck.check(lastWins, address, "key")),
        Problem.StoreBroken({ step: "a write that comes too late", description: "the answer is not what was written" })
      )
      const store = yield* memory
      const slow = {
        ...store,
        get: (key: string) => Effect.delay(store.get(key), "200 millis"),
        set: (...args: Parameters<typeof store.set>) => Effect.delay(store.set(...args), "200 millis")
      }
      const fiber = yield* Effect.fork(StoreCheck.check(slow, address, "key"))
      yield* TestClock.adjust("5 seconds")
      deepStrictEqual((yield* Fiber.join(fiber)).concern, Problem.StoreSlow({ store: address, millis: 200 }))
    }))

  it.live("reports a password that Redis rejects, and a read-only replica", () =>
    Effect.scoped(Effect.gen(function*() {
      const redis = yield* RedisServer.make({ args: ["--requirepass", "right"] })
      const open = (password: string) =>
        RedisTokenStore.make({
          url: Redacted.make(redis.url.replace("//", `//:${password}@`)),
          commandTimeout: hang
        })
      const wrong = yield* Effect.flip(StoreCheck.check(yield* open("wrong"), address, "key"))
      assert.strictEqual(wrong._tag, "StorePassword")
      yield* RedisServer.ask(redis.port, (client) => client.replicaof("127.0.0.1", 1), { password: "right" })
      const replica = yield* Effect.flip(StoreCheck.check(yield* open("right"), address, "key"))
      assert.strictEqual(replica._tag, "StoreReadOnly")
    })))
})
