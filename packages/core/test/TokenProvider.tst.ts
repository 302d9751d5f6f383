import type { TokenEndpoint, TokenStore } from "@effect-alf/core"
import { type AccessToken, type OAuthError, TokenProvider } from "@effect-alf/core"
import { type Context, type Effect, type Layer } from "effect"
import { expect, test } from "tstyche"

declare const provider: Context.Tag.Service<TokenProvider.TokenProvider>
type NoToken = OAuthError.TokenRequestError | OAuthError.TokenProviderError

test("layer is a function that needs an endpoint and a store", () => {
  expect(TokenProvider.layer()).type.toBe<
    Layer.Layer<
      TokenProvider.TokenProvider,
      OAuthError.InvalidOptions,
      TokenEndpoint.TokenEndpoint | TokenStore.TokenStore
    >
  >()
})

test("a token is there, or one of two errors says why not", () => {
  expect(provider.get({ scope: "orders" })).type.toBe<Effect.Effect<AccessToken.AccessToken, NoToken>>()
})

test("warm fails with why there is no token, unless that is only logged", () => {
  expect(TokenProvider.warm()).type.toBe<Effect.Effect<void, NoToken, TokenProvider.TokenProvider>>()
  expect(TokenProvider.warm({ onFailure: "log" })).type.toBe<Effect.Effect<void, never, TokenProvider.TokenProvider>>()
  expect(TokenProvider.layerWarm()).type.toBe<Layer.Layer<never, NoToken, TokenProvider.TokenProvider>>()
})

test("durations are Effect's", () => {
  expect(TokenProvider.layer).type.toBeCallableWith({ refreshAhead: "30 seconds", maxWait: 500 })
  expect(TokenProvider.layer).type.not.toBeCallableWith({ refreshAhead: "30s" })
})
