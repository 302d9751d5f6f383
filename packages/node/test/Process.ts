/** An app's process over a store that it shares: its client, and what it says. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Effect, Layer, Logger, Redacted, Schedule } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as ClockAhead from "./ClockAhead.js"
import * as OAuthServer from "./OAuthServer.js"
import type { makeProxy } from "./StoreBench.js"

/** Hears what an effect logs. */
export const listen = () => {
  const messages: Array<string> = []
  const logger = Logger.make(({ message }) => messages.push(Arr.ensure(message).join(" ")))
  return { messages, log: Effect.provide(Logger.replace(Logger.defaultLogger, logger)) }
}

/** Its client waits for a token as long as it takes. */
export const make = (server: OAuthServer.OAuthServer, options: Partial<NodeAuthedHttpClient.Options>) =>
  Effect.map(
    Layer.build(NodeAuthedHttpClient.layer({
      tokenEndpoint: server.tokenEndpoint,
      clientId: "the-client",
      clientSecret: Redacted.make("the-client-secret"),
      baseUrl: server.url,
      maxWait: hang,
      tokenRequest: { timeout: hang },
      ...options
    })),
    Context.get(AuthedHttpClient.AuthedHttpClient)
  )

/** Two processes over one store. */
export const makeTwo = Effect.fnUntraced(function*(options: Partial<NodeAuthedHttpClient.Options>) {
  const server = yield* OAuthServer.make()
  const { log, messages } = listen()
  const clients = yield* Effect.replicateEffect(log(make(server, options)), 2)
  let scopes = 0
  /** A request of each, with a token that nobody has yet: how many token requests that costs. */
  const request = log(Effect.suspend(() => {
    const scope = `scope-${scopes++}`
    const before = server.tokenRequests.length
    return Effect.map(
      Effect.forEach(clients, (client) => client.get("/").pipe(AuthedHttpClient.withTokenScope(scope))),
      (responses) => {
        deepStrictEqual(responses.map(({ status }) => status), [200, 200])
        return server.tokenRequests.length - before
      }
    )
  }))
  return { log, messages, request, clients, server }
})

/** Repeats the request of two processes, over a store that is not left alone after a failure. */
export const repeat = <E>(
  request: Effect.Effect<number, E>,
  until: (requests: number) => boolean
): Effect.Effect<number, E> =>
  Effect.repeat(Effect.zipRight(ClockAhead.setForward("5 seconds"), request), {
    until,
    schedule: Schedule.spaced("20 millis")
  })

/** Until they share a token. */
export const untilShared = <E>(request: Effect.Effect<number, E>) => repeat(request, (requests) => requests === 1)

/** Says that tokens are not shared. */
export const isWarning = (message: string) => message.includes("tokens are cached in this process only")

/** While the network drops everything between two processes and their store, no request fails; then they share again. */
export const surviveDrops = Effect.fnUntraced(function*(
  proxy: Effect.Effect.Success<ReturnType<typeof makeProxy>>,
  { messages, request }: Effect.Effect.Success<ReturnType<typeof makeTwo>>
) {
  yield* untilShared(request)
  messages.splice(0)
  proxy.swallow()
  // Until the connections after these have been swallowed as well
  const before = proxy.connections()
  yield* repeat(request, () => proxy.connections() > before + 4)
  assert.isAtMost(messages.filter(isWarning).length, 2)
  proxy.pass()
  yield* untilShared(request)
})
