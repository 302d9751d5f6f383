/** Two processes of an app over one Memcached. */
import { AuthedHttpClient } from "@effect-alf/core"
import { MemcachedTokenStore, type NodeAuthedHttpClient } from "@effect-alf/node"
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { patient } from "./MemcachedBench.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Process from "./Process.js"

export const make = Effect.fnUntraced(function*(
  store: MemcachedTokenStore.Options,
  options?: Pick<NodeAuthedHttpClient.Options, "storeTimeout">
) {
  const server = yield* OAuthServer.make()
  const start = Effect.gen(function*() {
    const { log, messages } = Process.listen()
    const tokenStore = Layer.orDie(MemcachedTokenStore.layer({ ...patient, ...store }))
    const client = yield* log(Process.make(server, { ...options, tokenStore }))
    /** With the token of a scope. */
    const get = (scope: string) =>
      log(Effect.map(client.get("/resource").pipe(AuthedHttpClient.withTokenScope(scope)), ({ status }) => {
        assert.strictEqual(status, 200)
      }))
    return { messages, get }
  })
  const processes = [yield* start, yield* start] as const
  let scopes = 0
  /** Each asks with a token that nobody has yet: how many token requests that costs. */
  const request = Effect.suspend(() => {
    const scope = `scope-${scopes++}`
    const before = server.tokenRequests.length
    return Effect.map(
      Effect.forEach(processes, ({ get }) => get(scope)),
      () => server.tokenRequests.length - before
    )
  })
  /** What all of them have logged. */
  const messages = () => processes.flatMap(({ messages }) => messages)
  return { server, start, processes, request, messages }
})
