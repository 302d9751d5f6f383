import { OAuthError } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted, TestClock } from "effect"
import { main, statusFor, Tenants } from "../../src/integrations/tenants.js"
import { ProtectedApi } from "../../src/ProtectedApi.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

const tenants = ["acme", "initech"].map((id) => ({
  id,
  secret: Redacted.make(`${id}-secret-0123456789abcdef`),
  scope: "read"
}))

const variables = Object.fromEntries(tenants.flatMap(({ id, secret }) => [
  [`${id.toUpperCase()}_CLIENT_ID`, id],
  [`${id.toUpperCase()}_CLIENT_SECRET`, Redacted.value(secret)]
]))

describe("tenants.ts", () => {
  it.live("builds a client for each tenant, once", () =>
    Effect.gen(function*() {
      const { requests } = yield* ProtectedApi
      deepStrictEqual(yield* Environment.run(main, variables), [200, 200, 200])
      const [acme, initech, again] = (yield* requests).map(({ sentToken }) => sentToken)
      assert.notStrictEqual(acme, initech)
      assert.strictEqual(acme, again)
      deepStrictEqual((yield* Environment.seen).token, [200, 200])
    }).pipe(Effect.provide(Shop.layer({ clients: tenants }))))

  it.effect("closes an idle client, and builds a new one for the next call", () =>
    Effect.gen(function*() {
      yield* Environment.run(
        Effect.gen(function*() {
          yield* statusFor("ACME")
          yield* TestClock.adjust("9 minutes")
          yield* statusFor("ACME")
          deepStrictEqual((yield* Environment.seen).token, [200])
          yield* TestClock.adjust("11 minutes")
          yield* statusFor("ACME")
          deepStrictEqual((yield* Environment.seen).token, [200, 200])
        }).pipe(Effect.provide(Tenants.Default)),
        variables
      )
    }).pipe(Effect.provide(Shop.layer({ clients: tenants }))))

  it.live("one tenant's wrong secret does not affect another tenant", () =>
    Effect.gen(function*() {
      const [acme, initech] = yield* Environment.run(
        Effect.all([Effect.either(statusFor("ACME")), Effect.either(statusFor("INITECH"))]).pipe(
          Effect.provide(Tenants.Default)
        ),
        { ...variables, ACME_CLIENT_SECRET: "wrong" }
      )
      assert.isTrue(acme._tag === "Left" && OAuthError.isOAuthError(acme.left))
      deepStrictEqual(initech._tag === "Right" && initech.right, 200)
    }).pipe(Effect.provide(Shop.layer({ clients: tenants }))))
})
