import type { TokenProvider, TokenStatus } from "@effect-alf/core"
import { AuthedHttpClient, type OAuthError, TokenEndpoint, TokenStore } from "@effect-alf/core"
import type { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import type { Effect } from "effect"
import { Config, type Context, Layer, Redacted } from "effect"
import { describe, expect, test } from "tstyche"

interface Database {
  readonly _: unique symbol
}

declare const client: Context.Tag.Service<AuthedHttpClient.AuthedHttpClient>
declare const effect: Effect.Effect<number, TypeError, Database>
const options = { baseUrl: "https://api.test" }

describe("layers", () => {
  test("layer makes the provider, and its type names what is missing", () => {
    expect(AuthedHttpClient.layer(options)).type.toBe<
      Layer.Layer<
        AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
        OAuthError.InvalidOptions,
        TokenEndpoint.TokenEndpoint | TokenStore.TokenStore | HttpClient.HttpClient
      >
    >()
  })

  test("layerFromProvider needs a provider, and no endpoint or store", () => {
    expect(AuthedHttpClient.layerFromProvider(options)).type.toBe<
      Layer.Layer<
        AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
        OAuthError.InvalidOptions,
        TokenProvider.TokenProvider | HttpClient.HttpClient
      >
    >()
  })

  test("with an endpoint and a store only an HttpClient is missing", () => {
    const endpoint = TokenEndpoint.layer({
      tokenEndpoint: "https://auth.test/token",
      clientId: "client",
      clientSecret: Redacted.make("secret")
    })
    expect(AuthedHttpClient.layer(options).pipe(Layer.provide(endpoint), Layer.provide(TokenStore.layerMemory())))
      .type.toBe<
      Layer.Layer<
        AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
        OAuthError.InvalidOptions,
        HttpClient.HttpClient
      >
    >()
  })

  test("layerHttpClient provides the HttpClient that existing code requires", () => {
    expect<Layer.Layer.Success<ReturnType<typeof AuthedHttpClient.layerHttpClient>>>()
      .type.toBe<HttpClient.HttpClient | TokenProvider.TokenProvider>()
  })

  test("layerTest needs nothing", () => {
    expect(AuthedHttpClient.layerTest(() => new Response()))
      .type.toBe<Layer.Layer<AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider>>()
  })

  test("origins are a list or any", () => {
    expect(AuthedHttpClient.layer).type.toBeCallableWith({ origins: "any" })
    expect(AuthedHttpClient.layer).type.toBeCallableWith({ origins: ["https://api.test", new URL("https://b.test")] })
    expect(AuthedHttpClient.layer).type.not.toBeCallableWith({ origins: "all" })
    expect(AuthedHttpClient.layer).type.not.toBeCallableWith()
  })

  test("baseUrl or origins are required, unless they are configured", () => {
    expect(AuthedHttpClient.layer).type.not.toBeCallableWith({})
    expect(AuthedHttpClient.layer).type.not.toBeCallableWith({ baseUrl: undefined })
    expect(AuthedHttpClient.make).type.not.toBeCallableWith({ retryOn401: false })
    expect(AuthedHttpClient.layerConfig).type.toBeCallableWith({ baseUrl: Config.string("API") }, { retryOn401: false })
  })
})

describe("the client", () => {
  test("fails with the errors of requests and with those of tokens", () => {
    expect(client.get("/orders")).type.toBe<
      Effect.Effect<
        HttpClientResponse.HttpClientResponse,
        HttpClientError.HttpClientError | OAuthError.OAuthError
      >
    >()
  })

  test("is not an HttpClient itself, as it has more errors", () => {
    expect(client).type.not.toBeAssignableTo<HttpClient.HttpClient>()
    expect(AuthedHttpClient.toHttpClient(client)).type.toBe<HttpClient.HttpClient>()
  })

  test("can fail with a RedirectError only if it follows redirects", () => {
    type Following = HttpClient.HttpClient.With<AuthedHttpClient.ClientError | OAuthError.RedirectError>
    expect(AuthedHttpClient.followRedirects(client)).type.toBe<Following>()
    expect(client.pipe(AuthedHttpClient.followRedirects(3))).type.toBe<Following>()
    expect<Effect.Effect.Error<ReturnType<typeof client.get>>>().type.not.toBeAssignableFrom<OAuthError.RedirectError>()
    expect(AuthedHttpClient.manualRedirects(client)).type.toBe<typeof client>()
    expect(AuthedHttpClient.toHttpClient(AuthedHttpClient.followRedirects(client))).type.toBe<HttpClient.HttpClient>()
  })

  test("keeps its errors when it replays streams", () => {
    expect(AuthedHttpClient.withReplayableBodies(client)).type.toBe<typeof client>()
  })
})

class Payments extends AuthedHttpClient.Tag("Payments")<Payments>() {}

describe("Tag", () => {
  test("is a client, with its provider and its status", () => {
    expect<Context.Tag.Service<typeof Payments>>().type.toBe<typeof client>()
    expect(Payments.provider).type.toBe<Context.Tag<Payments, Context.Tag.Service<TokenProvider.TokenProvider>>>()
    expect(Payments.status()).type.toBe<Effect.Effect<TokenStatus.TokenStatus, never, Payments>>()
  })

  test("layer provides the tag alone, with the requirements and errors of the given layer", () => {
    expect(Payments.layer(AuthedHttpClient.layer(options))).type.toBe<
      Layer.Layer<
        Payments,
        OAuthError.InvalidOptions,
        TokenEndpoint.TokenEndpoint | TokenStore.TokenStore | HttpClient.HttpClient
      >
    >()
    expect(Payments.layer(AuthedHttpClient.layerTest(() => new Response()))).type.toBe<Layer.Layer<Payments>>()
  })

  test("layer rejects a layer of another service", () => {
    expect(Payments.layer).type.not.toBeCallableWith(TokenStore.layerMemory())
  })
})

describe("combinators", () => {
  test("keep the result, the error and the requirements, data first and last", () => {
    expect(AuthedHttpClient.withTokenScope(effect, "admin")).type.toBe<typeof effect>()
    expect(effect.pipe(AuthedHttpClient.withTokenScope(["admin"]))).type.toBe<typeof effect>()
    expect(AuthedHttpClient.withTokenResource(effect, "urn:orders")).type.toBe<typeof effect>()
    expect(effect.pipe(AuthedHttpClient.withTokenResource(["urn:orders"]))).type.toBe<typeof effect>()
    expect(AuthedHttpClient.withTokenRequest(effect, { audience: "orders" })).type.toBe<typeof effect>()
    expect(effect.pipe(AuthedHttpClient.withTokenRequest({ audience: "orders" }))).type.toBe<typeof effect>()
    expect(effect.pipe(AuthedHttpClient.withoutToken)).type.toBe<typeof effect>()
  })

  test("reject a misspelt request", () => {
    expect(AuthedHttpClient.withTokenRequest).type.not.toBeCallableWith({ scopes: "admin" })
  })
})
