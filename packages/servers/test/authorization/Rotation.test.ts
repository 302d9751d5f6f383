/**
 * A secret, a key and a certificate change at the server, then at the client,
 * while the app keeps calling: no call fails, and the server receives at most
 * one additional token request.
 */
import { AuthedHttpClient, ClientAuth, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import type * as OidcProvider from "@effect-alf/servers/authorization/OidcProvider"
import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Redacted, TestClock, TestServices } from "effect"
import { shared } from "../../../core/test/support/shared.js"
import { type Certificate, World } from "./World.js"

type Servers = World["Type"]

/** Until no renewal is under way. */
const atRest = Effect.flatMap(TokenProvider.TokenProvider, (provider) => TokenProvider.status(provider)).pipe(
  Effect.zipLeft(TestServices.provideLive(Effect.sleep("5 millis"))),
  Effect.repeat({ while: ({ isRenewing }) => isRenewing })
)

/** Credentials of one kind: how to make two, how the server knows them and how the client uses them. */
interface Kind<Credentials> {
  readonly name: string
  readonly make: (servers: Servers) => readonly [Effect.Effect<Credentials>, Effect.Effect<Credentials>]
  readonly authentication: (credentials: Credentials) => OidcProvider.Client["authentication"]
  readonly client: (
    servers: Servers,
    clientId: string,
    current: Effect.Effect<Credentials>
  ) => Layer.Layer<AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider, unknown>
}

const newSecret = Effect.sync(() => Redacted.make(crypto.randomUUID()))

const secrets: Kind<Redacted.Redacted> = {
  name: "secret",
  make: () => [newSecret, newSecret],
  authentication: (secret) => ({ method: "client_secret_basic", secret }),
  client: ({ api, oidc }, clientId, clientSecret) =>
    AuthedHttpClient.layer({ baseUrl: api.url }).pipe(
      Layer.provide(TokenEndpoint.layer({ tokenEndpoint: oidc.tokenEndpoint, clientId, clientSecret })),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(NodeHttp.layer())
    )
}

const keys: Kind<SigningKey.SigningKey> = {
  name: "key",
  make: () => [SigningKey.make("ES256"), SigningKey.make("ES256")],
  authentication: ({ publicJwk }) => ({ method: "private_key_jwt", keys: [publicJwk] }),
  client: ({ api, oidc }, clientId, key) =>
    AuthedHttpClient.layer({ baseUrl: api.url }).pipe(
      Layer.provide(TokenEndpoint.layer({
        tokenEndpoint: oidc.tokenEndpoint,
        clientId,
        clientAuth: ClientAuth.privateKeyJwt({ key: Effect.map(key, ({ jwk }) => jwk) })
      })),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(NodeHttp.layer())
    )
}

const certificates: Kind<Certificate> = {
  name: "certificate",
  make: ({ first, second }) => [Effect.succeed(first), Effect.succeed(second)],
  authentication: (certificate) => ({ method: "self_signed_tls_client_auth", certificates: [certificate] }),
  client: ({ api, authority, oidc }, clientId, certificate) =>
    AuthedHttpClient.layer({ baseUrl: api.tlsUrl }).pipe(
      Layer.provide(
        TokenEndpoint.layer({
          tokenEndpoint: oidc.mtlsTokenEndpoint,
          clientId,
          clientAuth: ClientAuth.selfSignedTlsClientAuth
        })
      ),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(NodeHttp.layerMutualTls({ ca: authority.certificate, certificate }))
    )
}

shared(World.layer)("credentials change while the app goes on calling", (it) => {
  const scenarios = <Credentials>(kind: Kind<Credentials>) => {
    const start = Effect.fnUntraced(function*(clientId: string) {
      const servers = yield* World
      const [first, second] = yield* Effect.all(kind.make(servers))
      const register = (credentials: Credentials) =>
        servers.oidc.register({
          id: clientId,
          authentication: kind.authentication(credentials),
          ...(kind.name === "certificate" ? { binding: "certificate" } : {})
        })
      const statuses = Effect.map(
        servers.oidc.tokenRequests,
        (requests) => requests.filter((request) => request.clientId === clientId).map(({ status }) => status)
      )
      yield* register(first)
      return { servers, first, second, register, statuses }
    })

    const call = Effect.gen(function*() {
      const client = yield* AuthedHttpClient.AuthedHttpClient
      return (yield* client.get("/orders")).status
    })

    it.scoped(`${kind.name}: replaced at the client before its next token request: no additional request`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.now())
        const clientId = `${kind.name}-in-time`
        const { first, register, second, servers, statuses } = yield* start(clientId)
        let current = first
        const app = yield* Layer.build(kind.client(servers, clientId, Effect.sync(() => current)))
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        yield* register(second)
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        current = second
        yield* servers.api.denyAll
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        deepStrictEqual(yield* statuses, [200, 200])
      }))

    it.scoped(`${kind.name}: replaced at the client during a request with the old one: one additional request`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.now())
        const clientId = `${kind.name}-at-once`
        const { first, register, second, servers, statuses } = yield* start(clientId)
        const current = Effect.map(statuses, (statuses) => statuses.includes(401) ? second : first)
        const app = yield* Layer.build(kind.client(servers, clientId, current))
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        yield* register(second)
        yield* servers.api.denyAll
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        deepStrictEqual(yield* statuses, [200, 401, 200])
      }))

    it.scoped(`${kind.name}: replaced at the client after a failed renewal: one additional request`, () =>
      Effect.gen(function*() {
        // So that no assertion is from the future when its clock is set forward
        yield* TestClock.setTime(Date.now() - 57_000)
        const clientId = `${kind.name}-late`
        const { first, register, second, servers, statuses } = yield* start(clientId)
        let current = first
        const app = yield* Layer.build(kind.client(servers, clientId, Effect.sync(() => current)))
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        yield* register(second)
        const callEverySecondUntil = (requests: number) =>
          Effect.iterate(1, {
            while: (count) => count < requests,
            body: () =>
              Effect.gen(function*() {
                yield* TestClock.adjust("1 second")
                assert.strictEqual(yield* Effect.provide(call, app), 200)
                // A renewal in the background takes real time
                yield* Effect.provide(atRest, app)
                return (yield* statuses).length
              })
          })
        // A token of a minute is renewed in the background in its last 12 seconds
        yield* TestClock.adjust("47 seconds")
        yield* callEverySecondUntil(2)
        current = second
        yield* callEverySecondUntil(3)
        assert.strictEqual(yield* Effect.provide(call, app), 200)
        const [issued, refused, ...renewed] = yield* statuses
        deepStrictEqual([issued, refused], [200, 401])
        // A certificate that changes under a renewal may cost one more: the token is bound to the one before, or not
        const isOneMore = kind.name === "certificate" && renewed.length === 2
        deepStrictEqual(renewed, isOneMore ? [200, 200] : [200])
      }))
  }

  scenarios(secrets)
  scenarios(keys)
  scenarios(certificates)
})
