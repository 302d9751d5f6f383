import { type OAuthError, TokenStore } from "@effect-alf/core"
import { type Context, Effect, type Layer, Option } from "effect"
import { expect, test } from "tstyche"

interface Database {
  readonly _: unique symbol
}

declare const needsDatabase: Effect.Effect<string, never, Database>

test("make accepts methods that return values, promises or effects", () => {
  expect(TokenStore.make(new Map<string, string>()))
    .type.toBe<Context.Tag.Service<TokenStore.TokenStore>>()
  expect(TokenStore.make).type.toBeCallableWith({
    get: (key: string) => Promise.resolve(key),
    set: (_: string, value: string) => Promise.resolve(value.length)
  })
  expect(TokenStore.make).type.toBeCallableWith({
    get: (key: string) => Effect.fail(key),
    set: (_key: string, value: string) => Effect.log(value)
  })
  expect(TokenStore.make).type.toBeCallableWith({ get: () => Option.none(), set: () => {}, remove: () => true })
})

test("make rejects effects with requirements, values that are not strings, and a backend without set", () => {
  expect(TokenStore.make).type.not.toBeCallableWith({ get: () => needsDatabase, set: () => {} })
  expect(TokenStore.make).type.not.toBeCallableWith({ get: () => 1, set: () => {} })
  expect(TokenStore.make).type.not.toBeCallableWith({ get: () => undefined })
})

interface Items {
  get(key: string, callback?: (error: Error | null, value: { readonly value: Uint8Array | null }) => void): Promise<{
    readonly value: Uint8Array | null
  }>
  set(key: string, value: string, options: { readonly expires?: number }): Promise<boolean>
}

declare const items: Items

declare const callbacks: {
  get(key: string, callback: (error: Error | null, value: string) => void): void
  set(key: string, value: string, lifetime: number, callback: (error: Error | null) => void): void
}

declare const timed: { get(key: string): Promise<string | null>; set(key: string, value: string, ttl?: number): void }

test("layer accepts a client unchanged, and a unit of timeToLive only if the client's set has a parameter for it", () => {
  expect(TokenStore.layer(items)).type.toBe<Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions>>()
  expect(TokenStore.layer).type.toBeCallableWith(items, {
    timeToLive: (key: string, value: string) => items.set(key, value, { expires: 60 })
  })
  expect(TokenStore.layer).type.toBeCallableWith(timed, { timeToLive: "seconds" as const })
  expect(TokenStore.layer).type.not.toBeCallableWith(items, { timeToLive: "seconds" as const })
  expect(TokenStore.layer).type.not.toBeCallableWith(timed, { timeToLive: "minutes" as const })
})

test("layer rejects a client that only has callbacks", () => {
  expect(TokenStore.layer).type.not.toBeCallableWith(callbacks)
})

test("layerMemory can fail only if it has options", () => {
  expect(TokenStore.layerMemory()).type.toBe<Layer.Layer<TokenStore.TokenStore>>()
  expect(TokenStore.layerMemory({ capacity: 10 }))
    .type.toBe<Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions>>()
})

test("sharing must be one of the two exported values", () => {
  expect(TokenStore.layerMemory).type.toBeCallableWith({ sharing: TokenStore.byTurns })
  expect(TokenStore.layerMemory).type.not.toBeCallableWith({ sharing: { isShared: true } })
  expect(TokenStore.byTurns).type.toBe<Context.Tag.Service<TokenStore.TokenStore>["sharing"]>()
})
