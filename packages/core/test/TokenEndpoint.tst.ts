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
  test("needs an HttpClient, and nothing for a secret that is there", () => {
    expect(TokenEndpoint.layer({ ...client, clientSecret })).type.toBe<Endpoint>()
  })

  test("needs what the effect needs that reads the secret, whose failure is not that of the layer", () => {
    expect(TokenEndpoint.layer({ ...client, clientSecret: fromVault })).type.toBe<Endpoint<Vault>>()
  })

  test("needs what the client authentication needs", () => {
    const key = ClientAuth.secretFile("/run/secrets/client.pem")
    expect(TokenEndpoint.layer({ ...client, clientAuth: ClientAuth.privateKeyJwt({ key }) }))
      .type.toBe<Endpoint<FileSystem.FileSystem>>()
    expect(TokenEndpoint.layer({ ...client, clientAuth: ClientAuth.tlsClientAuth }))
      .type.toBe<Endpoint<ClientCertificate.ClientCertificate>>()
    expect(TokenEndpoint.layer({ ...client, clientAuth: ClientAuth.clientSecretPost(fromVault) }))
      .type.toBe<Endpoint<Vault>>()
  })

  test("takes any schedule over its error, and no other", () => {
    const layer = (retry: TokenEndpoint.Options["retry"]) => TokenEndpoint.layer({ ...client, clientSecret, retry })
    expect(layer).type.toBeCallableWith(Schedule.intersect(RetryPolicy.standard, Schedule.recurs(3)))
    expect(layer).type.toBeCallableWith(Schedule.exponential("1 second"))
    expect(layer).type.not.toBeCallableWith(
      Schedule.recurWhile((error: { readonly code: number }) => error.code === 503)
    )
  })

  test("takes no secret in the clear, and no client without an id", () => {
    expect(TokenEndpoint.layer).type.not.toBeCallableWith({ ...client, clientSecret: "secret" })
    expect(TokenEndpoint.layer).type.not.toBeCallableWith({ ...client, clientSecret: Effect.succeed("secret") })
    expect(TokenEndpoint.layer).type.not.toBeCallableWith({ tokenEndpoint: client.tokenEndpoint, clientSecret })
  })
})

describe("layerDiscovery", () => {
  const server = { issuer: "https://auth.test", clientId: "client" }

  test("needs what any of its ways to authenticate needs, but no scope", () => {
    expect(TokenEndpoint.layerDiscovery({ ...server, clientSecret })).type.toBe<Endpoint>()
    expect(
      TokenEndpoint.layerDiscovery({
        ...server,
        clientAuth: [ClientAuth.clientSecretPost(fromVault), ClientAuth.clientSecretBasic(clientSecret)]
      })
    ).type.toBe<Endpoint<Vault>>()
  })

  test("finds the address itself", () => {
    expect(TokenEndpoint.layerDiscovery).type.not.toBeCallableWith({
      ...server,
      clientSecret,
      tokenEndpoint: client.tokenEndpoint
    })
  })
})

describe("layerConfig", () => {
  const config = { tokenEndpoint: Config.string("TOKEN_ENDPOINT"), clientId: Config.string("CLIENT_ID") }

  test("fails with what is wrong in the configuration", () => {
    expect(TokenEndpoint.layerConfig({ ...config, clientSecret: Config.redacted("CLIENT_SECRET") }))
      .type.toBe<Endpoint<never, ConfigError.ConfigError>>()
  })

  test("reads no secret in the clear", () => {
    expect(TokenEndpoint.layerConfig)
      .type.not.toBeCallableWith({ ...config, clientSecret: Config.string("CLIENT_SECRET") })
  })
})
