// An app of its own, for the test in which two processes share a token: it asks for a resource, and says how that went.
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Effect } from "effect"
import { unhurried, unhurriedRedis } from "./unhurried.js"

const program = Effect.gen(function*() {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  const response = yield* client.get("/resource")
  process.stdout.write(`${response.status} ${yield* response.text}`)
})

const layer = NodeAuthedHttpClient.layerEnv({
  ...unhurried,
  redis: { prefix: process.env.REDIS_PREFIX, ...unhurriedRedis }
})

await Effect.runPromise(Effect.provide(program, layer))
