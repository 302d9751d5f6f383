import { TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeKeyValueStore } from "@effect/platform-node"
import { Effect, Layer, TestClock } from "effect"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { shared } from "../../core/test/support/shared.js"

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
