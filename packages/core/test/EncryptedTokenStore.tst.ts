import { EncryptedTokenStore, type OAuthError, TokenStore } from "@effect-alf/core"
import type { KeyValueStore } from "@effect/platform"
import { Layer, Redacted } from "effect"
import { expect, test } from "tstyche"

const options = { keys: [{ id: "1", key: Redacted.make("key") }] }

test("layer keeps the errors and requirements of the given layer, data first and last", () => {
  type Encrypted = Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions, KeyValueStore.KeyValueStore>
  expect(TokenStore.layerKeyValueStore().pipe(EncryptedTokenStore.layer(options))).type.toBe<Encrypted>()
  expect(EncryptedTokenStore.layer(TokenStore.layerKeyValueStore(), options)).type.toBe<Encrypted>()
})

test("layer rejects a key that is not redacted, and any other layer", () => {
  expect(EncryptedTokenStore.layer).type.not.toBeCallableWith({ keys: [{ id: "1", key: "key" }] })
  expect(EncryptedTokenStore.layer(options)).type.not.toBeCallableWith(Layer.empty)
})
