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

test("get returns a token, or fails with a TokenRequestError or a TokenProviderError", () => {
  expect(provider.get({ scope: "orders" })).type.toBe<Effect.Effect<AccessToken.AccessToken, NoToken>>()
})

test("warm fails with the errors of get, unless they are only logged", () => {
  expect(TokenProvider.warm()).type.toBe<Effect.Effect<void, NoToken, TokenProvider.TokenProvider>>()
  expect(TokenProvider.warm({ onFailure: "log" })).type.toBe<Effect.Effect<void, never, TokenProvider.TokenProvider>>()
  expect(TokenProvider.layerWarm()).type.toBe<Layer.Layer<never, NoToken, TokenProvider.TokenProvider>>()
})

test("durations are those of Effect", () => {
  expect(TokenProvider.layer).type.toBeCallableWith({ refreshAhead: "30 seconds", maxWait: 500 })
  expect(TokenProvider.layer).type.not.toBeCallableWith({ refreshAhead: "30s" })
})
