import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import { FileSystem, KeyValueStore } from "@effect/platform"
import { NodeFileSystem, NodeKeyValueStore } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, TestClock } from "effect"
import { readdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { shared } from "../../core/test/support/shared.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Outage from "./Outage.js"
import * as Process from "./Process.js"
import { makeDirectory } from "./StoreBench.js"
import { timePasses } from "./timePasses.js"

const inFiles = Layer.unwrapScoped(Effect.gen(function*() {
  const { makeTempDirectoryScoped } = yield* FileSystem.FileSystem
  const files = NodeKeyValueStore.layerFileSystem(yield* makeTempDirectoryScoped({ prefix: "tokens-" }))
  return Layer.provide(TokenStore.layerKeyValueStore(), files)
})).pipe(Layer.provide(NodeFileSystem.layer))

shared(inFiles)("TokenStore.layerKeyValueStore, in files", (it) => {
  it.effect("keeps the contract of a token store", () =>
    rowsEffect(
      TokenStoreContract.make({ advance: TestClock.adjust, leases: false, notices: false }),
      ({ name }) => name,
      ({ effect }) => effect
    ))
})

interface Stage extends Outage.Stage {
  readonly folder: string
  readonly setHanging: (isHanging: boolean) => Effect.Effect<void>
}

/** In a folder of files. */
const makeStage = Effect.gen(function*() {
  const folder = join(yield* makeDirectory, "tokens")
  const context = yield* Effect.orDie(Layer.build(NodeKeyValueStore.layerFileSystem(folder)))
  const store = Context.get(context, KeyValueStore.KeyValueStore)
  let isHanging = false
  const answered = <A, E>(answer: Effect.Effect<A, E>) => Effect.suspend(() => isHanging ? Effect.never : answer)
  const stage: Stage = {
    folder,
    setHanging: (hangs) => Effect.sync(() => void (isHanging = hangs)),
    tokenStore: Layer.effect(
      TokenStore.TokenStore,
      TokenStore.makeKeyValueStore({
        ...store,
        get: (key) => answered(store.get(key)),
        set: (key, value) => answered(store.set(key, value)),
        remove: (key) => answered(store.remove(key))
      })
    ),
    stored: Effect.promise(async () => {
      const names = await readdir(folder)
      return (await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")))).join("\n")
    }),
    answered: Effect.void
  }
  return stage
})

const outages: Record<string, Outage.Outage<Stage>> = {
  "its folder is gone": {
    begin: ({ folder }) => Effect.promise(() => rename(folder, `${folder}.old`)),
    end: ({ folder }) => Effect.promise(() => rename(`${folder}.old`, folder)),
    cause: /^Token store, set: .*NotFound/
  },
  "it hangs": {
    begin: ({ setHanging }) => setHanging(true),
    end: ({ setHanging }) => setHanging(false),
    cause: /^Token store, get: no answer within 500ms/,
    meanwhile: timePasses("100 millis")
  }
}

describe("While a KeyValueStore fails, requests are answered, and one warning says why", () => {
  for (const [name, outage] of Object.entries(outages)) {
    it.scoped(name, () => Effect.flatMap(makeStage, (stage) => Outage.play(stage, outage)))
  }

  it.scoped("it returns garbage, and a new token replaces it", () =>
    Effect.gen(function*() {
      const { folder, tokenStore } = yield* makeStage
      const server = yield* OAuthServer.make()
      const { log, messages } = Process.listen()
      /** Of a process of its own. */
      const request = Effect.gen(function*() {
        const client = yield* Process.make(server, { tokenStore })
        const { status } = yield* client.get("/resource").pipe(AuthedHttpClient.withTokenScope("scope"))
        assert.strictEqual(status, 200)
        return server.tokenRequests.length
      }).pipe(Effect.scoped, log)
      deepStrictEqual([yield* request, yield* request], [1, 1])
      const names = yield* Effect.promise(() => readdir(folder))
      for (const name of names) yield* Effect.promise(() => writeFile(join(folder, name), "garbage"))
      deepStrictEqual([yield* request, yield* request], [2, 2])
      assert.lengthOf(messages, 1)
      assert.match(messages[0], /^Token store entry .*: the entry was not written by this library; it will be replaced/)
    }))
})
