/** Introspection (RFC 7662) and revocation (RFC 7009) at a real server, found by its metadata. */
import {
  AuthedHttpClient,
  AuthorizationServer,
  ClientAuth,
  TokenEndpoint,
  TokenIntrospection,
  TokenProvider,
  TokenRevocation,
  TokenStore
} from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Option } from "effect"
import { shared } from "../../../core/test/support/shared.js"
import { opaqueAudience, secret, World } from "./World.js"

const clientId = "secret-jwt"
const clientAuth = ClientAuth.clientSecretJwt(secret)

shared(World.layer)("the other endpoints of oidc-provider", (it) => {
  it.scopedLive("a token is active until it is revoked; then the app requests a new one", () =>
    Effect.gen(function*() {
      const { oidc, opaqueApi } = yield* World
      const { issuer } = oidc
      const app = AuthedHttpClient.layer({ baseUrl: opaqueApi.url }).pipe(
        Layer.provide(
          TokenEndpoint.layerDiscovery({ issuer, clientId, clientAuth, request: { resource: opaqueAudience } })
        ),
        Layer.provide(TokenStore.layerMemory()),
        Layer.merge(AuthorizationServer.layer({ issuer })),
        Layer.provideMerge(NodeHttp.layer())
      )
      yield* Effect.gen(function*() {
        const { endpoint } = yield* AuthorizationServer.AuthorizationServer
        const client = yield* AuthedHttpClient.AuthedHttpClient
        const provider = yield* TokenProvider.TokenProvider
        const introspect = yield* TokenIntrospection.make({
          introspectionEndpoint: endpoint("introspection_endpoint"),
          issuer,
          clientId,
          clientAuth
        })
        const revoke = yield* TokenRevocation.make({
          revocationEndpoint: endpoint("revocation_endpoint"),
          issuer,
          clientId,
          clientAuth
        })

        assert.strictEqual((yield* client.get("/orders")).status, 200)
        const token = yield* provider.get()
        const active = yield* introspect(token)
        assert.isTrue(active.active)
        deepStrictEqual([active.client_id, active.aud], [Option.some(clientId), Option.some(opaqueAudience)])
        yield* revoke(token, "access_token")
        assert.isFalse((yield* introspect(token)).active)
        assert.strictEqual((yield* client.get("/orders")).status, 200)
        assert.isTrue((yield* introspect(yield* provider.get())).active)
      }).pipe(Effect.provide(app))
    }))
})
