/** An app does not notice nonces and keys (RFC 9449), even if the server and the API require them. */
import { AuthedHttpClient, ClientAuth, DPoP, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import { shared } from "../../../core/test/support/shared.js"
import { secret, World } from "./World.js"

const app = ({ api, oidc }: World["Type"]) =>
  AuthedHttpClient.layer({ baseUrl: api.url }).pipe(
    Layer.provide(TokenEndpoint.layer({
      tokenEndpoint: oidc.tokenEndpoint,
      clientId: "dpop-basic",
      clientAuth: ClientAuth.clientSecretBasic(secret),
      dpop: DPoP.generate()
    })),
    Layer.provide(TokenStore.layerMemory()),
    Layer.provide(NodeHttp.layer())
  )

shared(World.layer)("an app whose tokens are bound to a key", (it) => {
  const test = (
    name: string,
    change: (servers: World["Type"]) => Effect.Effect<void>,
    expected: { readonly calls: ReadonlyArray<string | number>; readonly tokenRequests: ReadonlyArray<string | number> }
  ) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const servers = yield* World
        const { api, oidc } = servers
        yield* Effect.gen(function*() {
          const client = yield* AuthedHttpClient.AuthedHttpClient
          yield* client.get("/orders")
          yield* change(servers)
          const calls = (yield* api.requests).length
          const tokenRequests = (yield* oidc.tokenRequests).length
          assert.strictEqual((yield* client.get("/orders")).status, 200)
          assert.strictEqual((yield* client.get("/orders")).status, 200)
          const outcome = ({ error, status }: { readonly error: string | undefined; readonly status: number }) =>
            error ?? status
          deepStrictEqual((yield* api.requests).slice(calls).map(outcome), expected.calls)
          deepStrictEqual((yield* oidc.tokenRequests).slice(tokenRequests).map(outcome), expected.tokenRequests)
        }).pipe(Effect.provide(app(servers)))
      }))

  test("uses a new nonce from a response", ({ api }) => api.rotateNonce, { calls: [200, 200], tokenRequests: [] })

  test(
    "sends a request again if its nonce has expired, and needs no new token",
    ({ api }) => api.expireNonces,
    { calls: ["use_dpop_nonce", 200, 200], tokenRequests: [] }
  )

  test(
    "requests a new token, with the nonce of the token endpoint, if its token is rejected",
    ({ api }) => api.denyAll,
    { calls: ["invalid_token", 200, 200], tokenRequests: [200] }
  )

  test(
    "uses a new nonce from a response that rejects its token too",
    ({ api }) => Effect.zipRight(api.denyAll, api.expireNonces),
    { calls: ["invalid_token", 200, 200], tokenRequests: [200] }
  )
})
