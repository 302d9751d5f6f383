import { Grant, RefreshTokens, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { NodeHttpClient } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Redacted } from "effect"
import { shared } from "../../core/test/support/shared.js"
import * as OAuthServer from "./OAuthServer.js"
import { makeStore, Shared, sharedClient } from "./RedisBench.js"

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
        : [200, { access_token: `access-${issued}`, expires_in: 1, refresh_token: next }] as const
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
  it.scopedLive("two processes refresh in turn and side by side, and use no token twice", () =>
    Effect.gen(function*() {
      const { initial, isLockedOut, issued, server } = yield* makeServer
      const launch = Effect.gen(function*() {
        const context = yield* TokenProvider.layer().pipe(
          Layer.provide(TokenEndpoint.layer({
            url: server.tokenEndpoint,
            clientId: "the-client",
            clientSecret: Redacted.make("the-client-secret"),
            request: { grant: Grant.refreshToken(initial) }
          })),
          Layer.provide(NodeHttpClient.layerUndici),
          Layer.provide(Layer.succeed(TokenStore.TokenStore, yield* makeStore())),
          Layer.build
        )
        return Context.get(context, TokenProvider.TokenProvider)
      })
      const one = yield* launch
      const two = yield* launch
      for (const provider of [one, two, one, two]) {
        yield* provider.get()
        yield* Effect.sleep("1100 millis")
      }
      assert.strictEqual(issued(), 4)
      const scopes = ["a", "b", "c", "d"]
      yield* Effect.forEach(
        scopes.flatMap((scope) => [one.get({ scope }), two.get({ scope })]),
        (get) => get,
        { concurrency: "unbounded" }
      )
      assert.isAtLeast(issued(), 8)
      assert.isFalse(isLockedOut())
      const sent = server.tokenRequests.map(({ form }) => form.refresh_token)
      assert.strictEqual(new Set(sent).size, sent.length)

      const client = yield* sharedClient
      const { prefix } = yield* Shared
      deepStrictEqual(yield* Effect.promise(() => client.pttl(`${prefix}{${RefreshTokens.storeKey(initial)}}`)), -1)
    }))
})
