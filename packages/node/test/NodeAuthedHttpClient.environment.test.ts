import type { Environment } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"

const from = (variables: Readonly<Record<string, string>>) =>
  ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" })

describe("NodeAuthedHttpClient.variables", () => {
  it("rule 9: values that may contain a secret are Redacted and marked as secret", () => {
    const variables: ReadonlyArray<Environment.Variable<unknown>> = Object.values(NodeAuthedHttpClient.variables)
    for (const { config, isSecret, name } of variables) {
      const value = Effect.runSync(Effect.either(from({ [name]: "1 second" }).load(config)))
      assert.strictEqual(value._tag === "Right" && Redacted.isRedacted(value.right), isSecret, name)
    }
  })

  it("the guide has the same description of each variable", () => {
    const guide = readFileSync(new URL("../../guides/configuration.md", import.meta.url), "utf8")
    const [, written] = /<!-- variables -->\n([^]*?)\n?<!-- \/variables -->/.exec(guide) ?? []
    const rows = Object.values(NodeAuthedHttpClient.variables).map(({ description, name }) =>
      `| \`${name}\` | ${description} |`
    )
    assert.strictEqual(written, ["| variable | meaning |", "| --- | --- |", ...rows].join("\n"))
  })
})

describe("NodeAuthedHttpClient.readEnvironment", () => {
  const read = (variables: Readonly<Record<string, string>>) =>
    Effect.withConfigProvider(NodeAuthedHttpClient.readEnvironment(), from(variables))

  it.effect("reads the variables of core and those of node, with their names", () =>
    Effect.gen(function*() {
      const environment = yield* read({
        ALF_CLIENT_ID: "shop",
        ALF_PROXY: "none",
        ALF_CONNECT_TIMEOUT: "500 millis",
        ALF_REDIS_PREFIX: "shop:"
      })
      assert.strictEqual(environment.clientId, "shop")
      assert.isFalse(environment.proxy)
      deepStrictEqual(environment.connectTimeout, Duration.millis(500))
      assert.strictEqual(environment.redisPrefix, "shop:")
      assert.isUndefined(environment.redisUrl)
      deepStrictEqual([environment.names.redisPrefix, environment.names.redisUrl], [
        { name: "ALF_REDIS_PREFIX", isSet: true },
        { name: "ALF_REDIS_URL", isSet: false }
      ])
    }))

  it.effect("the URL of a proxy is read without the line break of a file", () =>
    Effect.gen(function*() {
      const { proxy } = yield* read({ ALF_PROXY: "http://proxy.example.com:3128\n" })
      assert(Redacted.isRedacted(proxy))
      assert.strictEqual(Redacted.value(proxy), "http://proxy.example.com:3128")
    }))

  it.effect("an error names the variable of node that is wrong", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read({ ALF_CONNECT_TIMEOUT: "10" }))
      assert.strictEqual(
        error.message,
        "ALF_CONNECT_TIMEOUT is not a duration, such as \"10 seconds\" or \"500 millis\""
      )
    }))
})
