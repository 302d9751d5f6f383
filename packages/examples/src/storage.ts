/**
 * A store of one's own: anything that gets and sets a string, here the files of
 * a directory. The next run finds the token of this one.
 */
import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const layerFiles = Layer.effect(
  TokenStore.TokenStore,
  Effect.gen(function*() {
    const directory = yield* Config.string("TOKEN_DIRECTORY")
    yield* Effect.promise(() => mkdir(directory, { recursive: true }))
    const file = (key: string) => join(directory, encodeURIComponent(key))
    return TokenStore.make({
      get: (key) => readFile(file(key), "utf8").catch(() => undefined),
      set: (key, value) => writeFile(file(key), value, { mode: 0o600 })
    })
  })
)

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/1")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv({ tokenStore: layerFiles })))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
