/**
 * Every client authentication method, at every server that supports it: a token
 * is requested and used through effect-alf, and an API verifies it. The results
 * are printed as a table.
 */
import {
  AuthedHttpClient,
  ClientAuth,
  ClientCertificate,
  DPoP,
  Grant,
  RefreshTokenGrant,
  TokenEndpoint,
  TokenStore
} from "@effect-alf/core"
import type { TokenRequest } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import type { Verified } from "@effect-alf/servers/authorization/ProtectedApi"
import { afterAll, assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Effect, Layer, Redacted } from "effect"
import { rowsEffect } from "../../../core/test/support/Rows.js"
import { shared } from "../../../core/test/support/shared.js"
import { sign } from "./HandMadeClient.js"
import { OtherServers, plainSecret } from "./OtherServers.js"
import { algorithms, audience, opaqueAudience, secret, workloadIssuer, World } from "./World.js"

/** All the servers, and the API that trusts the one of a row. */
const serversFor = (row: Row) =>
  Effect.gen(function*() {
    const { api, opaqueApi, ...world } = yield* World
    const { api: otherApi, betterAuth, nodeOAuth, tsOAuth2 } = yield* OtherServers
    const ownApi = row.format === "opaque" ? opaqueApi : api
    return { ...world, nodeOAuth, tsOAuth2, betterAuth, api: row.server === "oidc" ? ownApi : otherApi }
  })

type Servers = Effect.Effect.Success<ReturnType<typeof serversFor>>

type Auth = ClientAuth.ClientAuth<ClientCertificate.ClientCertificate>

interface Row {
  readonly server: "oidc" | "betterAuth" | "nodeOAuth" | "tsOAuth2"
  /** As the server knows it. */
  readonly method: string
  readonly remark?: string
  readonly clientId: string
  readonly auth: (servers: Servers) => Auth | ReadonlyArray<Auth>
  /** The client knows nothing but the issuer; of several methods it takes the first that the server has. */
  readonly isDiscovered?: boolean
  readonly request?: (servers: Servers) => TokenRequest.TokenRequest
  readonly format: Verified["format"]
  readonly binding?: Verified["binding"]
  /** The key that tokens are bound to. */
  readonly dpop?: (servers: Servers) => Effect.Effect<DPoP.ProofKey, unknown>
  /** The certificate of the connections; without one they are not over TLS. */
  readonly certificate?: "vouched" | "selfSigned" | "stranger"
}

const both = (row: Omit<Row, "format">): ReadonlyArray<Row> => [
  { ...row, format: "JWT" },
  { ...row, format: "opaque" }
]

/** The row for both servers that support secrets only. */
const secretServers = (row: Omit<Row, "server" | "format">): ReadonlyArray<Row> => [
  { ...row, server: "nodeOAuth", format: "opaque" },
  { ...row, server: "tsOAuth2", format: "JWT" }
]

const rows: ReadonlyArray<Row> = [
  ...both({
    server: "oidc",
    method: "client_secret_basic",
    remark: "form-encoded",
    clientId: "id with +:&%/",
    auth: () => ClientAuth.clientSecretBasic(secret)
  }),
  {
    server: "betterAuth",
    method: "client_secret_basic",
    remark: "form-encoded",
    clientId: "basic",
    auth: () => ClientAuth.clientSecretBasic(secret),
    format: "JWT"
  },
  ...secretServers({
    method: "client_secret_basic",
    clientId: "basic",
    auth: () => ClientAuth.clientSecretBasic(plainSecret)
  }),
  ...secretServers({
    method: "client_secret_basic",
    remark: "raw",
    clientId: "raw",
    auth: () => ClientAuth.clientSecretBasic(secret, { raw: true })
  }),
  ...both({
    server: "oidc",
    method: "client_secret_post",
    clientId: "post",
    auth: () => ClientAuth.clientSecretPost(secret)
  }),
  {
    server: "betterAuth",
    method: "client_secret_post",
    clientId: "post",
    auth: () => ClientAuth.clientSecretPost(secret),
    format: "JWT"
  },
  ...secretServers({
    method: "client_secret_post",
    clientId: "post",
    auth: () => ClientAuth.clientSecretPost(secret)
  }),
  ...both({
    server: "oidc",
    method: "client_secret_jwt",
    clientId: "secret-jwt",
    auth: () => ClientAuth.clientSecretJwt(secret)
  }),
  ...algorithms.map((algorithm): Row => ({
    server: "oidc",
    method: "private_key_jwt",
    remark: algorithm,
    clientId: `key-${algorithm}`,
    auth: ({ keys }) => ClientAuth.privateKeyJwt({ key: keys.get(algorithm)!.jwk }),
    format: "JWT"
  })),
  {
    server: "betterAuth",
    method: "private_key_jwt",
    remark: "ES256",
    clientId: "key-ES256",
    auth: ({ keys }) => ClientAuth.privateKeyJwt({ key: keys.get("ES256")!.jwk }),
    format: "JWT"
  },
  {
    server: "oidc",
    method: "private_key_jwt",
    remark: "an assertion from elsewhere",
    clientId: "key-ES256",
    auth: ({ keys, oidc }) =>
      ClientAuth.assertion(Effect.promise(async () =>
        Redacted.make(
          await sign(keys.get("ES256")!, { iss: "key-ES256", sub: "key-ES256", aud: oidc.issuer })
        )
      )),
    format: "JWT"
  },
  ...both({
    server: "oidc",
    method: "tls_client_auth",
    clientId: "tls",
    auth: () => ClientAuth.tlsClientAuth,
    binding: "certificate",
    certificate: "vouched"
  }),
  ...both({
    server: "oidc",
    method: "self_signed_tls_client_auth",
    clientId: "self-signed-tls",
    auth: () => ClientAuth.selfSignedTlsClientAuth,
    binding: "certificate",
    certificate: "selfSigned"
  }),
  ...both({
    server: "oidc",
    method: "client_secret_basic",
    clientId: "bound-basic",
    auth: () => ClientAuth.certificateBound(ClientAuth.clientSecretBasic(secret)),
    binding: "certificate",
    certificate: "stranger"
  }),
  ...both({
    server: "oidc",
    method: "client_secret_basic",
    clientId: "dpop-basic",
    auth: () => ClientAuth.clientSecretBasic(secret),
    binding: "DPoP",
    dpop: () => DPoP.generate()
  }),
  ...(["RS256", "PS256", "ES384", "EdDSA"] as const).map((algorithm): Row => ({
    server: "oidc",
    method: "private_key_jwt",
    remark: `${algorithm}, proofs too`,
    clientId: `key-${algorithm}`,
    auth: ({ keys }) => ClientAuth.privateKeyJwt({ key: keys.get(algorithm)!.jwk }),
    format: "JWT",
    binding: "DPoP",
    dpop: ({ keys }) => DPoP.fromKey(keys.get(algorithm)!.jwk)
  })),
  {
    server: "oidc",
    method: "none",
    clientId: "none",
    auth: () => ClientAuth.none,
    format: "JWT",
    binding: "DPoP",
    dpop: () => DPoP.generate()
  },
  {
    server: "betterAuth",
    method: "client_secret_basic",
    clientId: "dpop-basic",
    auth: () => ClientAuth.clientSecretBasic(secret),
    format: "JWT",
    binding: "DPoP",
    dpop: () => DPoP.generate({ algorithm: "EdDSA" })
  },
  {
    server: "oidc",
    method: "tls_client_auth",
    remark: "by discovery",
    isDiscovered: true,
    clientId: "tls",
    auth: () => ClientAuth.tlsClientAuth,
    format: "JWT",
    binding: "certificate",
    certificate: "vouched"
  },
  {
    server: "oidc",
    method: "client_secret_post",
    remark: "by discovery",
    isDiscovered: true,
    clientId: "post",
    auth: () => ClientAuth.clientSecretPost(secret),
    format: "JWT"
  },
  {
    server: "betterAuth",
    method: "client_secret_post",
    remark: "by discovery",
    isDiscovered: true,
    clientId: "post",
    auth: () => [ClientAuth.clientSecretJwt(secret), ClientAuth.clientSecretPost(secret)],
    format: "JWT"
  },
  { server: "oidc", method: "none", clientId: "none", auth: () => ClientAuth.none, format: "JWT" },
  ...secretServers({ method: "none", clientId: "none", auth: () => ClientAuth.none }),
  {
    server: "oidc",
    method: "client_secret_basic",
    remark: "jwt-bearer",
    clientId: "basic",
    auth: () => ClientAuth.clientSecretBasic(secret),
    request: ({ oidc, workloadKey }) => ({
      grant: Grant.jwtBearer({
        id: "workload",
        read: () =>
          Effect.promise(async () =>
            Redacted.make(await sign(workloadKey, { iss: workloadIssuer, sub: "workload", aud: oidc.issuer }))
          )
      })
    }),
    format: "JWT"
  },
  ...both({
    server: "oidc",
    method: "client_secret_post",
    remark: "token exchange",
    clientId: "post",
    auth: () => ClientAuth.clientSecretPost(secret),
    request: ({ oidc, workloadKey }) => ({
      grant: Grant.tokenExchange({
        subjectTokenType: Grant.TokenType.jwt,
        subjectToken: {
          id: "workload",
          read: () =>
            Effect.promise(async () =>
              Redacted.make(await sign(workloadKey, { iss: workloadIssuer, sub: "workload", aud: oidc.issuer }))
            )
        }
      })
    })
  })
]

/** With refresh tokens that the server rotates, and revokes when one is reused. */
const refreshing: ReadonlyArray<Row> = [
  {
    server: "oidc",
    method: "client_secret_basic",
    remark: "refresh token",
    clientId: "basic",
    auth: () => ClientAuth.clientSecretBasic(secret),
    format: "JWT"
  },
  {
    server: "oidc",
    method: "client_secret_basic",
    remark: "refresh token",
    clientId: "dpop-basic",
    auth: () => ClientAuth.clientSecretBasic(secret),
    format: "JWT",
    binding: "DPoP",
    dpop: () => DPoP.generate()
  },
  {
    server: "oidc",
    method: "tls_client_auth",
    remark: "refresh token",
    clientId: "tls",
    auth: () => ClientAuth.tlsClientAuth,
    format: "JWT",
    binding: "certificate",
    certificate: "vouched"
  }
]

/** For rows without a certificate, which never use it. */
const noCertificate = Layer.succeed(ClientCertificate.ClientCertificate, {
  thumbprint: () => {
    throw new Error("There is no certificate")
  },
  refresh: Effect.dieMessage("There is no certificate")
})

/** What an app writes. */
const alf = (servers: Servers, row: Row) => {
  const { api: { tlsUrl, url }, authority, oidc } = servers
  const server = servers[row.server]
  const isTls = row.certificate !== undefined
  const isOpaqueOidc = row.server === "oidc" && row.format === "opaque"
  const resource = isOpaqueOidc ? opaqueAudience : row.server === "betterAuth" ? audience : undefined
  const { clientId } = row
  const auth = row.auth(servers)
  const request = { resource, ...row.request?.(servers) }
  const common = { clientId, dpop: row.dpop?.(servers), request }
  const endpoint = row.isDiscovered === true
    ? TokenEndpoint.layerDiscovery({ ...common, issuer: server.issuer, clientAuth: auth })
    : TokenEndpoint.layer({
      ...common,
      tokenEndpoint: isTls ? oidc.mtlsTokenEndpoint : server.tokenEndpoint,
      clientAuth: [auth].flat()[0]
    })
  const connections = isTls
    ? NodeHttp.layerMutualTls({ ca: authority.certificate, certificate: servers[row.certificate] })
    : Layer.merge(NodeHttp.layer(), noCertificate)
  return AuthedHttpClient.layer({ baseUrl: isTls ? tlsUrl : url }).pipe(
    Layer.provide(endpoint),
    Layer.provide(TokenStore.layerMemory()),
    Layer.provide(connections)
  )
}

const lines: Array<ReadonlyArray<string>> = []

afterAll(() => {
  const cells = [["server", "method", "binding", "token", "the API verified", ""], ...lines]
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)))
  const table = cells.map((line) => line.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd())
  process.stdout.write(`\n${table.join("\n")}\n\n`)
})

const nameOf = ({ method, remark }: Row) => remark === undefined ? method : `${method}, ${remark}`

const titleOf = (row: Row) => `${row.server}: ${nameOf(row)}, ${row.format}, bound to ${row.binding ?? "none"}`

shared(Layer.merge(World.layer, OtherServers.layer))("a token is issued, and the API accepts it", (it) => {
  it.live("with every authentication method, at every server that supports it", () =>
    rowsEffect(rows, titleOf, (row) =>
      Effect.gen(function*() {
        const { binding = "none", format, method } = row
        const servers = yield* serversFor(row)
        const { api, [row.server]: server } = servers
        const before = (yield* server.tokenRequests).length
        const callsBefore = (yield* api.requests).length
        const verified = yield* Effect.gen(function*() {
          const client = yield* AuthedHttpClient.AuthedHttpClient
          yield* client.get("/orders")
          const response = yield* client.get("/orders")
          assert.strictEqual(response.status, 200)
          return (yield* response.json) as Verified
        }).pipe(
          Effect.provide(alf(servers, row)),
          Effect.onError(() => Effect.sync(() => lines.push([server.name, nameOf(row), binding, format, "", "✘"])))
        )
        lines.push([server.name, nameOf(row), binding, format, verified.checks.join(", "), "✔"])
        const requests = (yield* server.tokenRequests).slice(before)
        const [request, ...others] = requests.filter(({ error }) => error !== "use_dpop_nonce")
        assert.isEmpty(others)
        assert.strictEqual(requests.length, row.server === "oidc" && binding === "DPoP" ? 2 : 1)
        deepStrictEqual(
          (yield* api.requests).slice(callsBefore).map(({ error, status }) => error ?? status),
          // The API sends its nonce to a client that does not have it
          binding === "DPoP" ? ["use_dpop_nonce", 200, 200] : [200, 200]
        )
        assert.strictEqual(request.method, method)
        assert.strictEqual(request.clientId, row.clientId)
        assert.strictEqual(verified.issuer, server.issuer)
        assert.strictEqual(verified.client, row.clientId)
        assert.strictEqual(verified.format, format)
        assert.strictEqual(verified.binding, binding)
      })))

  it.live("with refresh tokens, each of which is used once", () =>
    rowsEffect(refreshing, titleOf, (row) =>
      Effect.gen(function*() {
        const { binding = "none", clientId, format } = row
        const servers = yield* serversFor(row)
        const { api, oidc } = servers
        const grant = RefreshTokenGrant.make(yield* oidc.issueRefreshToken(clientId))
        const before = (yield* oidc.tokenRequests).length
        const verified = yield* Effect.gen(function*() {
          const client = yield* AuthedHttpClient.AuthedHttpClient
          yield* client.get("/orders")
          yield* api.denyAll
          yield* client.get("/orders")
          yield* api.denyAll
          const response = yield* client.get("/orders")
          assert.strictEqual(response.status, 200)
          return (yield* response.json) as Verified
        }).pipe(
          Effect.provide(alf(servers, { ...row, request: () => ({ grant }) })),
          Effect.onError(() => Effect.sync(() => lines.push([oidc.name, nameOf(row), binding, format, "", "✘"])))
        )
        lines.push([oidc.name, nameOf(row), binding, format, verified.checks.join(", "), "✔"])
        const requests = (yield* oidc.tokenRequests).slice(before).filter(({ error }) => error !== "use_dpop_nonce")
        deepStrictEqual(
          requests.map(({ grantType, status }) => ({ grantType, status })),
          Arr.replicate({ grantType: "refresh_token", status: 200 }, 3)
        )
        assert.strictEqual(verified.client, clientId)
        assert.strictEqual(verified.binding, binding)
      })))
})
