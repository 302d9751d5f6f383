import type { OAuthError } from "@effect-alf/core"
import { LayerOptions } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Config, ConfigProvider, Context, Effect, Layer, Option, Redacted } from "effect"
import { rowsEffect } from "./support/Rows.js"

class Greeter extends Context.Tag("Greeter")<Greeter, GreeterOptions>() {}

interface GreeterOptions {
  readonly name: string
  readonly greeting?: string | undefined
}

const layer = (options: GreeterOptions): Layer.Layer<Greeter, OAuthError.InvalidOptions> =>
  options.name === "nobody"
    ? Layer.fail(LayerOptions.error("Greeter.name", "is nobody"))
    : Layer.succeed(Greeter, options)

const from = (variables: Readonly<Record<string, string>>) =>
  ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" })

const build = (config: Config.Config.Wrap<GreeterOptions>, provider: ConfigProvider.ConfigProvider) =>
  Greeter.pipe(
    Effect.provide(LayerOptions.make(config, layer)),
    Effect.withConfigProvider(provider)
  )

const config = { name: Config.string("NAME"), greeting: Config.withDefault(Config.string("GREETING"), undefined) }

describe("LayerOptions.make", () => {
  it.live("contains what is configured, and nothing else", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* build(config, from({ NAME: "Ada", GREETING: "Hi" })), { name: "Ada", greeting: "Hi" })
      deepStrictEqual(yield* build(config, from({ NAME: "Ada" })), { name: "Ada" })
    }))

  it.live("an undefined member is left out", () =>
    Effect.gen(function*() {
      // As TypeScript allows it without exactOptionalPropertyTypes
      const loose: any = { ...config, greeting: undefined }
      deepStrictEqual(yield* build(loose, from({ NAME: "Ada" })), { name: "Ada" })
    }))

  it.live("accepts one Config for all options", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* build(Config.all(config), from({ NAME: "Ada", GREETING: "Hi" })), {
        name: "Ada",
        greeting: "Hi"
      })
    }))

  const named: ReadonlyArray<readonly [name: string, ConfigProvider.ConfigProvider]> = [
    ["NAME", from({ NAME: "nobody" })],
    ["BILLING_NAME", ConfigProvider.nested(from({ BILLING_NAME: "nobody" }), "BILLING")],
    ["name", ConfigProvider.mapInputPath(from({ name: "nobody" }), (name) => name.toLowerCase())],
    ["NAME", ConfigProvider.orElse(ConfigProvider.nested(from({}), "BILLING"), () => from({ NAME: "nobody" }))]
  ]
  it.live("an invalid option is reported by the name of its variable", () =>
    rowsEffect(named, ([name]) => name, ([name, provider]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(build(config, provider))
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(error.message, `${name} is nobody`)
      })))

  it.live("an invalid option without a variable is reported by its own name", () =>
    Effect.gen(function*() {
      for (const name of [Config.succeed("nobody"), Config.withDefault(Config.string("NAME"), "nobody")]) {
        assert.strictEqual((yield* Effect.flip(build({ name }, from({})))).message, "Greeter.name is nobody")
      }
    }))

  it.live("a missing variable is Effect's ConfigError", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(build(config, from({})))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(String(error), "Missing data at NAME")
    }))
})

describe("LayerOptions.load", () => {
  const secret = Config.redacted("SECRET")

  it.live("rule 9: a secret with a comma is read completely or is an error", () =>
    Effect.gen(function*() {
      const value = "first,second"
      const load = (provider: ConfigProvider.ConfigProvider) =>
        Effect.withConfigProvider(LayerOptions.load(secret), provider)
      const plain = from({ SECRET: value, A_SECRET: value })
      assert.strictEqual(Redacted.value(yield* load(plain)), value)
      assert.strictEqual(
        Redacted.value(yield* load(ConfigProvider.mapInputPath(plain, (name) => `A_${name}`))),
        value
      )
      const error = yield* Effect.flip(load(ConfigProvider.nested(plain, "A")))
      assert.include(String(error), "Invalid data at A.SECRET")
      assert.notInclude(String(error), "first")
    }))

  it.live("a list may contain commas", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.nested(from({ A_NAMES: "b, c" }), "A")
      const names = yield* Effect.withConfigProvider(
        LayerOptions.load(Config.array(Config.string(), "NAMES")),
        provider
      )
      deepStrictEqual(names, ["b", "c"])
    }))
})

describe("LayerOptions.nameOf", () => {
  const nameOf = (config: Config.Config<unknown>, provider: ConfigProvider.ConfigProvider) =>
    Effect.withConfigProvider(LayerOptions.nameOf(config), provider)

  it.live("returns the first variable that is set", () =>
    Effect.gen(function*() {
      const config = Config.orElse(Config.string("A"), () => Config.redacted("B"))
      deepStrictEqual(yield* nameOf(config, from({ B: "" })), Option.some({ name: "B", isSet: true }))
      deepStrictEqual(yield* nameOf(config, from({ A: "1", B: "2" })), Option.some({ name: "A", isSet: true }))
      deepStrictEqual(yield* nameOf(config, from({})), Option.some({ name: "A", isSet: false }))
    }))

  it.live("a constant has no name", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* nameOf(Config.succeed(1), from({})), Option.none())
    }))
})
