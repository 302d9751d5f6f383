import { RefreshTokenGrant, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { NodeHttpClient } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Redacted, TestClock } from "effect"
import * as RefreshTokens from "../../core/src/store/RefreshTokens.js"
import { hang } from "../../core/test/support/hang.js"
import { shared } from "../../core/test/support/shared.js"
import * as OAuthServer from "./OAuthServer.js"
import { age, makeStore, Shared, sharedClient } from "./RedisBench.js"
import { timePasses } from "./timePasses.js"

/** A server that replaces each refresh token when it is used, and ends all when one is used again (RFC 9700 §4.14.2). */
const makeServer = Effect.gen(function*() {
  const unique = crypto.randomUUID()
  const unused = new Set([`refresh-0-${unique}`])
  let issued = 0
  let isLockedOut = false
  const server = yield* OAuthServer.make({
    onTokenRequest: ({ form }, response) => {
      isLockedOut ||= !unused.delete(form.refresh_token)
      const next = `refresh-${++issued}-${unique}`
      unused.add(next)
      const [status, body] = isLockedOut
        ? [400, { error: "invalid_grant" }] as const
        : [200, { access_token: `access-${issued}`, expires_in: 3600, refresh_token: next }] as const
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
    }
  })
  return {
    server,
    initial: Redacted.make(`refresh-0-${unique}`),
    issued: () => issued,
    isLockedOut: () => isLockedOut
  }
})

shared(Shared.layer)("Refresh tokens in Redis", (it) => {
  it.scoped("two processes refresh in turn and concurrently, and use no refresh token twice", () =>
    Effect.gen(function*() {
      const { initial, isLockedOut, issued, server } = yield* makeServer
      const launch = Effect.gen(function*() {
        const context = yield* TokenProvider.layer({ leaseDuration: hang, maxWait: hang, storeTimeout: "1 day" }).pipe(
          Layer.provide(TokenEndpoint.layer({
            tokenEndpoint: server.tokenEndpoint,
            clientId: "the-client",
            clientSecret: Redacted.make("the-client-secret"),
            timeout: hang,
            request: { grant: RefreshTokenGrant.make(initial) }
          })),
          Layer.provide(NodeHttpClient.layerUndici),
          Layer.provide(Layer.succeed(TokenStore.TokenStore, yield* makeStore())),
          Layer.build
        )
        return Context.get(context, TokenProvider.TokenProvider)
      })
      const client = yield* sharedClient
      const { prefix } = yield* Shared
      const one = yield* launch
      const two = yield* launch
      for (const provider of [one, two, one, two]) {
        yield* provider.get()
        // All that it does is done
        yield* Effect.repeat(Effect.promise(() => client.keys(`${prefix}*#lease`)), {
          until: ({ length }) => length === 0
        })
        yield* TestClock.adjust("1 hour")
        yield* age(client, prefix, "1 hour")
      }
      assert.strictEqual(issued(), 4)
      const scopes = ["a", "b", "c", "d"]
      yield* Effect.forEach(
        scopes.flatMap((scope) => [one.get({ scope }), two.get({ scope })]),
        (get) => get,
        { concurrency: "unbounded" }
      ).pipe(
        // A process that waits for another looks now and then
        Effect.raceFirst(timePasses("100 millis"))
      )
      assert.isAtLeast(issued(), 8)
      assert.isFalse(isLockedOut())
      const sent = server.tokenRequests.map(({ form }) => form.refresh_token)
      assert.strictEqual(new Set(sent).size, sent.length)

      deepStrictEqual(yield* Effect.promise(() => client.pttl(`${prefix}{${RefreshTokens.storeKey(initial)}}`)), -1)
    }))
})
