import type { AuthedHttpClient, ClientCertificate, OAuthError, TokenProvider } from "@effect-alf/core"
import { ClientAuth, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { type FileSystem, HttpClient, type KeyValueStore } from "@effect/platform"
import { type ConfigError, Effect, type Layer, Redacted } from "effect"
import { describe, expect, test } from "tstyche"

interface Vault {
  readonly _: unique symbol
}

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

  test("provides its own HttpClient to the effect that reads the secret, and needs the rest of what that needs", () => {
    const secret = Effect.zipRight(HttpClient.get("https://vault.test"), fromVault)
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret: secret })).type.toBe<Client<Vault>>()
  })

  test("needs a FileSystem for a secret in a file", () => {
    const clientAuth = ClientAuth.clientSecretBasic(ClientAuth.secretFile("/run/secrets/client-secret"))
    expect(NodeAuthedHttpClient.layer({ ...client, clientAuth })).type.toBe<Client<FileSystem.FileSystem>>()
  })

  test("needs a certificate for mutual TLS, unless its own HTTP layer has one", () => {
    expect(NodeAuthedHttpClient.layer({ ...client, clientAuth: ClientAuth.tlsClientAuth, http: { certificate } }))
      .type.toBe<Client>()
    expect(NodeAuthedHttpClient.layer({ ...client, clientAuth: ClientAuth.tlsClientAuth }))
      .type.toBe<Client<ClientCertificate.ClientCertificate>>()
  })

  test("needs and fails as the store does that it is given", () => {
    expect(NodeAuthedHttpClient.layer({ ...client, clientSecret, tokenStore: TokenStore.layerKeyValueStore() }))
      .type.toBe<Client<KeyValueStore.KeyValueStore>>()
  })

  test("takes no secret in the clear", () => {
    expect(NodeAuthedHttpClient.layer).type.not.toBeCallableWith({ ...client, clientSecret: "secret" })
  })
})

describe("layerConfig", () => {
  test("needs nothing, and fails with what is wrong in the environment", () => {
    expect(NodeAuthedHttpClient.layerConfig()).type.toBe<Client<never, ConfigError.ConfigError>>()
    expect(NodeAuthedHttpClient.layerConfig({ redis: { prefix: "billing:" } }))
      .type.toBe<Client<never, ConfigError.ConfigError>>()
  })

  test("leaves to the environment what is read there", () => {
    expect(NodeAuthedHttpClient.layerConfig).type.not.toBeCallableWith({ clientId: "client" })
  })
})
