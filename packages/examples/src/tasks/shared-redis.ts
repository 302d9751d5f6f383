/**
 * Processes share a token in Redis: a later one finds it, and when several need one at the same time, one requests it.
 * Redis is at this address, unless ALF_REDIS_URL names another.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { pathToFileURL } from "node:url"

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/1")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv({ redis: { url: "redis://localhost:6379" } })))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
