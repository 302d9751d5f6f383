/** Processes share a refresh token through Redis; the server revokes all refresh tokens when one is reused. */
import { type AccessToken, AuthedHttpClient, RefreshTokenGrant, TokenEndpoint, TokenProvider } from "@effect-alf/core"
import { NodeHttp, RedisTokenStore } from "@effect-alf/node"
import * as OidcProvider from "@effect-alf/servers/authorization/OidcProvider"
import * as ProtectedApi from "@effect-alf/servers/authorization/ProtectedApi"
import * as Certificate from "@effect-alf/servers/Certificate"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Effect, Equal, Layer, Redacted, Schedule } from "effect"
import { hang } from "../../core/test/support/hang.js"

const audience = "urn:api"
const secret = Redacted.make("a-secret-of-letters-and-digits-01")

const make = Effect.gen(function*() {
  const authority = yield* Certificate.make
  const oidc = yield* OidcProvider.make({
    authority,
    clients: [{ id: "client", authentication: { method: "client_secret_basic", secret } }],
    resources: { [audience]: { format: "JWT", lifetime: "1 hour" } },
    defaultResource: audience,
    scope: "read"
  })
  const api = yield* ProtectedApi.make({ trusted: [oidc], audience, authority })
  const redis = yield* RedisServer.make()
  const initial = yield* oidc.issueRefreshToken("client")
  const launch = Effect.map(
    Layer.build(
      AuthedHttpClient.layer({ baseUrl: api.url, maxWait: hang, storeTimeout: hang }).pipe(
        Layer.provide(TokenEndpoint.layer({
          tokenEndpoint: oidc.tokenEndpoint,
          clientId: "client",
          clientSecret: secret,
          timeout: hang,
          request: { grant: RefreshTokenGrant.make(initial) }
        })),
        Layer.provide(RedisTokenStore.layer({ url: redis.url, commandTimeout: hang })),
        Layer.provide(NodeHttp.layer({ connectTimeout: hang }))
      )
    ),
    (context) => ({
      call: Effect.map(Context.get(context, AuthedHttpClient.AuthedHttpClient).get("/orders"), (it) => it.status),
      token: () => Context.get(context, TokenProvider.TokenProvider).peek()
    })
  )
  const refreshes = Effect.map(oidc.tokenRequests, Arr.map(({ status }) => status))
  return { api, launch, refreshes }
})

const isLike = (one: AccessToken.AccessToken | undefined, other: AccessToken.AccessToken | undefined) =>
  one === undefined || other === undefined || Equal.equals(one.value, other.value)

describe.concurrent("refresh tokens of oidc-provider, shared through Redis", () => {
  it.scopedLive("pass from process to process, and none is used twice", () =>
    Effect.gen(function*() {
      const { api, launch, refreshes } = yield* make
      const [one, two] = yield* Effect.all([launch, launch])
      for (const { call, token } of [one, two, two, one]) {
        assert.strictEqual(yield* call, 200)
        // Both processes must have the new token: a replay with a token that was denied meanwhile would return its 401
        yield* Effect.sync(() => [one, two].every((other) => isLike(other.token(), token()))).pipe(
          Effect.repeat({ until: (areLike) => areLike, schedule: Schedule.spaced("1 millis") })
        )
        yield* api.denyAll
      }
      deepStrictEqual(yield* refreshes, [200, 200, 200, 200])
    }))

  it.scopedLive("are not used twice when concurrent calls are rejected, or when a process is replaced", () =>
    Effect.gen(function*() {
      const { api, launch, refreshes } = yield* make
      const { call: lasting } = yield* launch
      for (let round = 1; round <= 3; round++) {
        yield* Effect.gen(function*() {
          const { call: other } = yield* launch
          const calls = [lasting, other, lasting, other]
          const statuses = yield* Effect.all(calls, { concurrency: "unbounded" })
          deepStrictEqual(statuses, [200, 200, 200, 200])
          yield* api.denyAll
        }).pipe(Effect.scoped)
        assert.lengthOf(yield* refreshes, round)
      }
      deepStrictEqual(yield* refreshes, [200, 200, 200])
    }))
})
