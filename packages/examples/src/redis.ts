/**
 * Tokens in Redis, where all processes of an app find them: at this address,
 * unless ALF_REDIS_URL names another.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"

const program = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/1")
  yield* Console.log(yield* order.json)
})

program.pipe(
  Effect.provide(NodeAuthedHttpClient.layerConfig({ redis: { url: "redis://localhost:6379" } })),
  NodeRuntime.runMain
)
