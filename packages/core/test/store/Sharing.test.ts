import { AccessToken, OAuthMetrics, RetryPolicy, TokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Deferred, Duration, Effect, Fiber, Option, Redacted } from "effect"
import { fingerprint } from "../../src/disclosure/Fingerprint.js"
import * as Fleet from "../../src/store/Fleet.js"
import * as Sharing from "../../src/store/Sharing.js"

const token = AccessToken.make({ value: Redacted.make("a"), obtainedAt: DateTime.unsafeMake(0) })

describe("Sharing", () => {
  it.effect("none: finds nothing, counts every write as done and has no notices", () =>
    Effect.gen(function*() {
      const { none } = Sharing
      assert.isFalse(none.isShared)
      assert.isFalse(none.isFailing())
      deepStrictEqual(yield* none.tokens.read("key"), Option.none())
      assert.isTrue(yield* none.tokens.write("key", token, Option.none()))
      yield* none.remove("key", "version")
      assert.isUndefined(none.others)
    }))

  it.scoped("fleet rule 10: a token is being written until the store responds or the write is interrupted", () =>
    Effect.gen(function*() {
      for (const end of ["answer", "interruption"]) {
        const called = yield* Deferred.make<void>()
        const answer = yield* Deferred.make<boolean>()
        const store = TokenStore.TokenStore.of({
          ...(yield* TokenStore.makeMemory()),
          set: () => Effect.zipRight(Deferred.succeed(called, undefined), Deferred.await(answer))
        })
        const fleet = yield* Fleet.make(true, (told) => () => told).join(store, {
          storeTimeout: Duration.seconds(1),
          leaseDuration: Duration.seconds(1),
          failureCooldown: Duration.seconds(1),
          defaultLifetime: Duration.hours(1),
          endpoint: { proofKey: undefined, retry: RetryPolicy.standard },
          fork: Effect.runFork,
          update: yield* OAuthMetrics.makeUpdate
        })
        const told = (fleet.others as () => Sharing.Told)()
        assert.isFalse(told.isWriting("key"))
        const write = yield* Effect.fork(fleet.tokens.write("key", token, Option.none()))
        yield* Deferred.await(called)
        assert.isTrue(told.isWriting("key"))
        assert.isFalse(told.isWriting("another key"))
        if (end === "answer") yield* Deferred.succeed(answer, true)
        else yield* Fiber.interruptFork(write)
        yield* Fiber.await(write)
        assert.isFalse(told.isWriting("key"), end)
      }
    }))

  it.effect("rule 9: a shared key is a digest, and a private one is shown as a short hash", () =>
    Effect.gen(function*() {
      const memory = Sharing.of(yield* TokenStore.makeMemory())
      const text = JSON.stringify(["https://auth.example.com/token", "app", ["tenant", "s3cr3t"]])
      for (const sharing of [TokenStore.byTurns, TokenStore.lastWriteWins]) {
        const { keyOf, nameOf } = Sharing.of({ sharing })
        assert.strictEqual(keyOf(text), fingerprint(text))
        assert.strictEqual(nameOf(keyOf(text)), fingerprint(text))
      }
      assert.strictEqual(memory.keyOf(text), text)
      assert.match(memory.nameOf(text), /^[0-9a-z]{1,7}$/)
      assert.strictEqual(memory.nameOf(text), memory.nameOf(`${text}`))
      assert.notStrictEqual(memory.nameOf(text), memory.nameOf(`${text}.`))
    }))

  it.effect("the store says whether its processes follow leases", () =>
    Effect.gen(function*() {
      const memory = yield* TokenStore.makeMemory()
      assert.isFalse(memory.sharing.isShared)
      assert.isFalse(TokenStore.lastWriteWins.isShared)
      assert.isTrue(TokenStore.byTurns.isShared)
      assert.strictEqual(TokenStore.make(new Map<string, string>()).sharing, TokenStore.lastWriteWins)
      const shared = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
      assert.strictEqual(shared.sharing, TokenStore.byTurns)
    }))
})
