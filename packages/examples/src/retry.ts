/**
 * alf's `Retry(total=5, status_forcelist=[500], backoff_factor=0.3)` for token
 * requests: up to five more attempts after a 500, none after anything else.
 */
import { AuthedHttpClient, RetryPolicy } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { pathToFileURL } from "node:url"

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  const order = yield* alf.get("/orders/1")
  yield* Console.log(yield* order.json)
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv({
  tokenRequest: {
    retry: RetryPolicy.exponential({ base: "300 millis", times: 5 }),
    retryWhile: RetryPolicy.statuses([500])
  }
})))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
