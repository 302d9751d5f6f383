import {
  AuthedHttpClient,
  AuthorizationServer,
  RefreshTokenGrant,
  TokenEndpoint,
  TokenIntrospection,
  TokenProvider,
  TokenRevocation,
  TokenStore
} from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { HttpBody, HttpClient, UrlParams } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Option, Redacted, TestClock } from "effect"

const { apiUrl, clientId, clientSecret, introspectionEndpoint, issuer, revocationEndpoint, tokenEndpoint } =
  TestAuthorizationServer

const client = { clientId, clientSecret }

const provided = (options?: TestAuthorizationServer.Options) =>
  Effect.provide(
    TokenEndpoint.layer({ tokenEndpoint, ...client }).pipe(
      Layer.provideMerge(TestAuthorizationServer.layer(options))
    )
  )

const aToken = (request?: Parameters<TokenEndpoint.TokenEndpoint["Type"]["resolve"]>[0]) =>
  Effect.flatMap(TokenEndpoint.TokenEndpoint, (endpoint) => endpoint.attempt(endpoint.resolve(request)))

describe("TestAuthorizationServer, queries of tokens", () => {
  it.effect("RFC 7662 §2.2: describes a valid token", () =>
    Effect.gen(function*() {
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      const introspect = yield* TokenIntrospection.make({ introspectionEndpoint, ...client })
      yield* TestClock.adjust("10 seconds")
      const token = yield* aToken({ scope: "orders:read", resource: "https://api.test" })
      const found = yield* introspect(token, "access_token")
      assert.isTrue(found.active)
      deepStrictEqual([found.scope, found.aud, found.iat, found.exp, found.client_id, found.iss], [
        Option.some("orders:read"),
        Option.some(["https://api.test"]),
        Option.some(10),
        Option.some(310),
        Option.some(clientId),
        Option.some(issuer)
      ])
      yield* TestClock.adjust("5 minutes")
      assert.isFalse((yield* introspect(token)).active)
      assert.isFalse((yield* introspect(Redacted.make("unknown"))).active)
      const [first] = yield* server.introspectionRequests
      assert.include(first, {
        token: "token-1",
        tokenTypeHint: "access_token",
        clientId,
        clientAuth: "client_secret_basic",
        status: 200
      })
    }).pipe(provided({ lifetime: "5 minutes" })))

  it.effect("RFC 7009 §2.2: revokes a token; an unknown token is not an error", () =>
    Effect.gen(function*() {
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      const revoke = yield* TokenRevocation.make({ revocationEndpoint, ...client })
      yield* revoke(yield* aToken())
      yield* revoke(Redacted.make("unknown"))
      deepStrictEqual((yield* server.issued).map(({ revoked }) => revoked), [true])
      deepStrictEqual((yield* server.revocationRequests).map(({ token }) => token), ["token-1", "unknown"])
    }).pipe(provided()))

  it.effect("RFC 7009 §2.1: a refresh token is revoked with its access tokens", () =>
    Effect.gen(function*() {
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      const first = yield* server.issueRefreshToken
      const { refreshToken } = yield* aToken({ grant: RefreshTokenGrant.make(first) })
      assert.isDefined(refreshToken)
      const introspect = yield* TokenIntrospection.make({ introspectionEndpoint, ...client })
      assert.isTrue((yield* introspect(refreshToken)).active)
      assert.isFalse((yield* introspect(first)).active)
      const revoke = yield* TokenRevocation.make({ revocationEndpoint, ...client })
      yield* revoke(refreshToken, "refresh_token")
      assert.isFalse((yield* introspect(refreshToken)).active)
      deepStrictEqual((yield* server.issued).map(({ revoked }) => revoked), [true])
    }).pipe(provided()))

  it.effect("a refresh token that was replaced is active while it can be used, and can be revoked", () =>
    Effect.gen(function*() {
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      const first = yield* server.issueRefreshToken
      yield* aToken({ grant: RefreshTokenGrant.make(first) })
      const introspect = yield* TokenIntrospection.make({ introspectionEndpoint, ...client })
      assert.isTrue((yield* introspect(first)).active)
      const revoke = yield* TokenRevocation.make({ revocationEndpoint, ...client })
      yield* revoke(first, "refresh_token")
      assert.isFalse((yield* introspect(first)).active)
      deepStrictEqual((yield* server.refreshTokens).map(({ revoked }) => revoked), [true, true])
    }).pipe(provided({ refreshGracePeriod: "10 seconds" })))

  it.effect("rejects unknown clients, and requests without a token", () =>
    Effect.gen(function*() {
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      const revoke = yield* TokenRevocation.make({ revocationEndpoint, clientId, clientSecret: Redacted.make("wrong") })
      const token = yield* aToken()
      const error = yield* Effect.flip(revoke(token))
      assert.include(error, { _tag: "TokenRevocationError", status: 401, error: "invalid_client" })
      deepStrictEqual((yield* server.revocationRequests).map(({ error }) => error), ["invalid_client"])
      deepStrictEqual((yield* server.issued).map(({ revoked }) => revoked), [false])
      yield* server.fail("reset")
      const introspect = yield* TokenIntrospection.make({ introspectionEndpoint, ...client })
      assert.strictEqual((yield* Effect.flip(introspect(token))).reason, "Transport")
    }).pipe(provided()))

  it.effect("RFC 6749 §3.2: an empty token counts as missing", () =>
    Effect.gen(function*() {
      const http = yield* HttpClient.HttpClient
      for (const url of [revocationEndpoint, introspectionEndpoint]) {
        const urlParams = { client_id: clientId, client_secret: Redacted.value(clientSecret), token: "" }
        const response = yield* http.post(url, { body: HttpBody.urlParams(UrlParams.fromInput(urlParams)) })
        assert.strictEqual(response.status, 400)
        assert.propertyVal(yield* response.json, "error", "invalid_request")
      }
    }).pipe(provided()))

  it.effect("the metadata names both endpoints; a provider revokes its tokens when it closes", () =>
    Effect.gen(function*() {
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      yield* Effect.scoped(Effect.gen(function*() {
        const metadata = yield* AuthorizationServer.make({ issuer })
        const revoke = yield* TokenRevocation.make({
          revocationEndpoint: metadata.endpoint("revocation_endpoint"),
          ...client
        })
        assert.strictEqual((yield* metadata.endpoint("introspection_endpoint")).href, introspectionEndpoint)
        const api = yield* Layer.build(
          AuthedHttpClient.layer({ baseUrl: apiUrl, revocation: TokenRevocation.onClose(revoke) }).pipe(
            Layer.provide(TokenStore.layerMemory())
          )
        )
        yield* Effect.provide(Effect.flatMap(TokenProvider.TokenProvider, (provider) => provider.get()), api)
        deepStrictEqual((yield* server.issued).map(({ revoked }) => revoked), [false])
      }))
      deepStrictEqual((yield* server.issued).map(({ revoked }) => revoked), [true])
    }).pipe(provided()))
})
