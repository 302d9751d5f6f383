import type { ClientCertificate, OAuthError } from "@effect-alf/core"
import { ClientAuth, RetryPolicy, TokenEndpoint } from "@effect-alf/core"
import type { FileSystem, HttpClient } from "@effect/platform"
import { Config, type ConfigError, Effect, type Layer, Redacted, Schedule } from "effect"
import { describe, expect, test } from "tstyche"

interface Vault {
  readonly _: unique symbol
}

declare const fromVault: Effect.Effect<Redacted.Redacted, Error, Vault>
const clientSecret = Redacted.make("secret")
const client = { tokenEndpoint: "https://auth.test/token", clientId: "client" }

type Endpoint<R = never, E = never> = Layer.Layer<
  TokenEndpoint.TokenEndpoint,
  OAuthError.InvalidOptions | E,
  HttpClient.HttpClient | R
>

describe("layer", () => {
  test("needs only an HttpClient if the secret is a value", () => {
    expect(TokenEndpoint.layer({ ...client, clientSecret })).type.toBe<Endpoint>()
  })

  test("has the requirements of the effect that reads the secret, but not its error", () => {
    expect(TokenEndpoint.layer({ ...client, clientSecret: fromVault })).type.toBe<Endpoint<Vault>>()
  })

  test("has the requirements of the client authentication", () => {
    const key = ClientAuth.secretFile("/run/secrets/client.pem")
    expect(TokenEndpoint.layer({ ...client, clientAuth: ClientAuth.privateKeyJwt({ key }) }))
      .type.toBe<Endpoint<FileSystem.FileSystem>>()
    expect(TokenEndpoint.layer({ ...client, clientAuth: ClientAuth.tlsClientAuth }))
      .type.toBe<Endpoint<ClientCertificate.ClientCertificate>>()
    expect(TokenEndpoint.layer({ ...client, clientAuth: ClientAuth.clientSecretPost(fromVault) }))
      .type.toBe<Endpoint<Vault>>()
  })

  test("accepts any schedule over its error, and no other", () => {
    const layer = (retry: TokenEndpoint.Options["retry"]) => TokenEndpoint.layer({ ...client, clientSecret, retry })
    expect(layer).type.toBeCallableWith(Schedule.intersect(RetryPolicy.standard, Schedule.recurs(3)))
    expect(layer).type.toBeCallableWith(Schedule.exponential("1 second"))
    expect(layer).type.not.toBeCallableWith(
      Schedule.recurWhile((error: { readonly code: number }) => error.code === 503)
    )
  })

  test("rejects a secret that is not redacted, and a client without an id", () => {
    expect(TokenEndpoint.layer).type.not.toBeCallableWith({ ...client, clientSecret: "secret" })
    expect(TokenEndpoint.layer).type.not.toBeCallableWith({ ...client, clientSecret: Effect.succeed("secret") })
    expect(TokenEndpoint.layer).type.not.toBeCallableWith({ tokenEndpoint: client.tokenEndpoint, clientSecret })
  })
})

describe("layerDiscovery", () => {
  const server = { issuer: "https://auth.test", clientId: "client" }

  test("has the requirements of all its authentication methods, but needs no Scope", () => {
    expect(TokenEndpoint.layerDiscovery({ ...server, clientSecret })).type.toBe<Endpoint>()
    expect(
      TokenEndpoint.layerDiscovery({
        ...server,
        clientAuth: [ClientAuth.clientSecretPost(fromVault), ClientAuth.clientSecretBasic(clientSecret)]
      })
    ).type.toBe<Endpoint<Vault>>()
  })

  test("rejects a tokenEndpoint", () => {
    expect(TokenEndpoint.layerDiscovery).type.not.toBeCallableWith({
      ...server,
      clientSecret,
      tokenEndpoint: client.tokenEndpoint
    })
  })
})

describe("layerConfig", () => {
  const config = { tokenEndpoint: Config.string("TOKEN_ENDPOINT"), clientId: Config.string("CLIENT_ID") }

  test("can fail with a ConfigError", () => {
    expect(TokenEndpoint.layerConfig({ ...config, clientSecret: Config.redacted("CLIENT_SECRET") }))
      .type.toBe<Endpoint<never, ConfigError.ConfigError>>()
  })

  test("rejects a Config of a secret that is not redacted", () => {
    expect(TokenEndpoint.layerConfig)
      .type.not.toBeCallableWith({ ...config, clientSecret: Config.string("CLIENT_SECRET") })
  })
})
