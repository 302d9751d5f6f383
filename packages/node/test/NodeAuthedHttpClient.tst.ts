import type { AuthedHttpClient, ClientCertificate, OAuthError, TokenProvider } from "@effect-alf/core"
import { ClientAuth, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { type FileSystem, HttpClient, type KeyValueStore } from "@effect/platform"
import { type ConfigError, Effect, type Layer, Redacted } from "effect"
import { describe, expect, test } from "tstyche"

interface Vault {
  readonly _: unique symbol
}

declare const isCloud: boolean
declare const fromVault: Effect.Effect<Redacted.Redacted, Error, Vault>

const clientSecret = Redacted.make("secret")
const client = { tokenEndpoint: "https://auth.test/token", clientId: "client", baseUrl: "https://api.test" }
const certificate = { certificateFile: "/run/tls/tls.crt", keyFile: "/run/tls/tls.key" }

type Client<R = never, E = never> = Layer.Layer<
  AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
  OAuthError.InvalidOptions | E,
  R
>

describe("layer", () => {
  test("needs nothing, with or without Redis", () => {
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret })).type.toBe<Client>()
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret, redis: { url: "redis://localhost" } }))
      .type.toBe<Client>()
  })

  test("provides its HttpClient to the effect that reads the secret, and has that effect's other requirements", () => {
    const secret = Effect.zipRight(HttpClient.get("https://vault.test"), fromVault)
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret: secret })).type.toBe<Client<Vault>>()
  })

  test("needs a FileSystem for a secret in a file", () => {
    const clientAuth = ClientAuth.clientSecretBasic(ClientAuth.secretFile("/run/secrets/client-secret"))
    expect(NodeAuthedHttpClient.layer({ ...client, clientAuth })).type.toBe<Client<FileSystem.FileSystem>>()
  })

  test("needs a certificate for mutual TLS, unless its own HTTP layer has one", () => {
    expect(
      NodeAuthedHttpClient.layerMutualTls({ ...client, clientAuth: ClientAuth.tlsClientAuth, http: { certificate } })
    ).type.toBe<Client>()
    expect(NodeAuthedHttpClient.layer({ ...client, clientAuth: ClientAuth.tlsClientAuth }))
      .type.toBe<Client<ClientCertificate.ClientCertificate>>()
  })

  test("has the requirements and errors of the given store", () => {
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret, tokenStore: TokenStore.layerKeyValueStore() }))
      .type.toBe<Client<KeyValueStore.KeyValueStore>>()
  })

  test("rejects a secret that is not redacted", () => {
    expect(NodeAuthedHttpClient.layer).type.not.toBeCallableWith({ ...client, clientSecret: "secret" })
  })
})

describe("the options of layer", () => {
  test("have one type, so that they can be made beforehand", () => {
    const options: Parameters<typeof NodeAuthedHttpClient.layer>[0] = { ...client, clientSecret }
    const own: NodeAuthedHttpClient.Options = { ...client, clientSecret }
    const some: Partial<NodeAuthedHttpClient.Options> = {}
    expect(NodeAuthedHttpClient.layer).type.toBeCallableWith(options)
    expect(NodeAuthedHttpClient.layer(own)).type.toBe<Client>()
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret, ...some })).type.toBe<Client>()
  })

  test("may contain one alternative or the other", () => {
    const { baseUrl, clientId, tokenEndpoint } = client
    const endpoint = isCloud ? { issuer: "https://auth.test" } : { tokenEndpoint }
    const store = isCloud ? { redis: {} } : { tokenStore: TokenStore.layerMemory() }
    expect(NodeAuthedHttpClient.layer({ clientId, clientSecret, baseUrl, ...endpoint, ...store })).type.toBe<Client>()
  })

  test("may contain both the issuer and the token endpoint", () => {
    expect(NodeAuthedHttpClient.layer).type.toBeCallableWith({ ...client, issuer: "https://auth.test", clientSecret })
  })
})

describe("layerHttpClient", () => {
  test("provides platform's HttpClient and the provider", () => {
    expect(NodeAuthedHttpClient.layerHttpClient({ ...client, clientSecret })).type.toBe<
      Layer.Layer<HttpClient.HttpClient | TokenProvider.TokenProvider, OAuthError.InvalidOptions>
    >()
  })
})

describe("layerEnv", () => {
  test("needs nothing, and can fail with a ConfigError", () => {
    expect(NodeAuthedHttpClient.layerEnv()).type.toBe<Client<never, ConfigError.ConfigError>>()
    expect(NodeAuthedHttpClient.layerEnv({ redis: { prefix: "billing:" } }))
      .type.toBe<Client<never, ConfigError.ConfigError>>()
  })

  test("rejects options that are read from the environment", () => {
    expect(NodeAuthedHttpClient.layerEnv).type.not.toBeCallableWith({ clientId: "client" })
  })
})
