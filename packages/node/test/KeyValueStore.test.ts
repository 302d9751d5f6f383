import { TokenStore, TokenStoreContract } from "@effect-alf/core"
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeKeyValueStore } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { shared } from "../../core/test/support/shared.js"

const inFiles = Layer.unwrapScoped(Effect.gen(function*() {
  const { makeTempDirectoryScoped } = yield* FileSystem.FileSystem
  const files = NodeKeyValueStore.layerFileSystem(yield* makeTempDirectoryScoped({ prefix: "tokens-" }))
  return Layer.provide(TokenStore.layerKeyValueStore(), files)
})).pipe(Layer.provide(NodeFileSystem.layer))

shared(inFiles)("TokenStore.layerKeyValueStore, in files", (it) => {
  for (
    const row of TokenStoreContract.make({
      advance: Effect.sleep,
      leases: false,
      notices: false,
      shortTime: "300 millis"
    })
  ) {
    it.live(row.name, () => row.effect)
  }
})
