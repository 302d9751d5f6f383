import * as Environment from "@effect-alf/core/Environment"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option, Redacted } from "effect"
import { Naming } from "../src/Naming.js"
import * as Settings from "../src/Settings.js"

const none: Settings.Overrides = {
  tokenEndpoint: Option.none(),
  issuer: Option.none(),
  clientId: Option.none(),
  scope: Option.none(),
  resource: Option.none(),
  audience: Option.none(),
  baseUrl: Option.none(),
  prefix: Option.none()
}

const environment = {
  ALF_TOKEN_ENDPOINT: "https://auth.example.com/token",
  ALF_CLIENT_ID: "shop",
  ALF_CLIENT_SECRET: "a, secret",
  ALF_SCOPE: "read",
  UNSET: undefined
}

const naming = Naming.make("ALF")

const read = (overrides: Partial<Settings.Overrides>) =>
  Effect.withConfigProvider(Environment.read, Settings.configProvider({ ...none, ...overrides }, environment, naming))

describe("Settings", () => {
  it.effect("reads the environment; options override its variables", () =>
    Effect.gen(function*() {
      const { clientId, clientSecret, scope, tokenEndpoint } = yield* read({ scope: Option.some("write") })
      deepStrictEqual([tokenEndpoint, clientId, scope], [environment.ALF_TOKEN_ENDPOINT, "shop", "write"])
      // A comma is a part of it
      assert.strictEqual(clientSecret && Redacted.value(clientSecret), "a, secret")
    }))

  it.effect("a server on the command line overrides both variables of the server", () =>
    Effect.gen(function*() {
      const { issuer, tokenEndpoint } = yield* read({ issuer: Option.some("https://other.example.com") })
      deepStrictEqual([issuer, tokenEndpoint], ["https://other.example.com", undefined])
    }))

  it("finds the prefix among the arguments of the process", () => {
    const find = (...args: ReadonlyArray<string>) => Settings.prefixOf(["/usr/bin/node", "/usr/bin/alf", ...args])
    deepStrictEqual(
      [find(), find("token", "--help"), find("--prefix", "A", "token"), find("token", "--prefix=B"), find("--prefix")],
      ["ALF", "ALF", "A", "B", "ALF"]
    )
  })

  it("names an option in place of the variable where it was given", () => {
    const { nameOptions, names } = Naming.make("BILLING", ["scope"])
    deepStrictEqual([names.scope, names.clientId], ["--scope", "BILLING_CLIENT_ID"])
    assert.strictEqual(nameOptions("BILLING_SCOPE"), "BILLING_SCOPE (--scope)")
  })

  it("names an option beside the variable that it overrides, and none for a secret", () => {
    assert.strictEqual(
      naming.nameOptions("ALF_TOKEN_ENDPOINT or ALF_ISSUER and ALF_CLIENT_SECRET"),
      "ALF_TOKEN_ENDPOINT (--token-endpoint) or ALF_ISSUER (--issuer) and ALF_CLIENT_SECRET"
    )
    assert.strictEqual(naming.nameOptions("ALF_CLIENT_ID_2"), "ALF_CLIENT_ID_2")
  })
})
