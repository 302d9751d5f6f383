/**
 * A client that gets its tokens itself. The environment says for whom and
 * where: ALF_TOKEN_ENDPOINT, ALF_CLIENT_ID, ALF_CLIENT_SECRET, ALF_BASE_URL.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpBody } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { pathToFileURL } from "node:url"

export const main = Effect.gen(function*() {
  const alf = yield* AuthedHttpClient.AuthedHttpClient
  yield* alf.put("/orders/42", { body: HttpBody.unsafeJson({ item: "tea", quantity: 2 }) })
  const order = yield* alf.get("/orders/42")
  yield* Console.log(yield* order.json)
  yield* alf.del("/orders/42")
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv()))

if (import.meta.url === pathToFileURL(process.argv[1]).href) NodeRuntime.runMain(main)
