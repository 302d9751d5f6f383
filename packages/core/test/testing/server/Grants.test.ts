import type { TestExchange } from "@effect-alf/core/testing"
import { HttpBody, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import * as Grants from "../../../src/testing/server/Grants.js"
import * as Proofs from "../../../src/testing/server/Proofs.js"
import * as Requests from "../../../src/testing/server/Requests.js"
import * as Tokens from "../../../src/testing/server/Tokens.js"

const url = "https://auth.test/token"

const make = (options: Partial<Grants.Options> = {}) => {
  const tokens = Tokens.make({
    lifetime: "1 minute",
    tokenPrefix: "token-",
    rotatesRefreshTokens: true,
    refreshGracePeriod: 0
  })
  const grants = Grants.make(
    {
      clientId: "app",
      clientSecret: Redacted.make("secret"),
      clientKey: undefined,
      methods: ["client_secret_post"],
      audiences: [],
      grantTypes: ["client_credentials", "refresh_token"],
      scopes: undefined,
      dpop: "optional",
      ...options
    },
    tokens,
    Proofs.make()
  )
  const ask = Effect.fnUntraced(function*(form: string, headers: Record<string, string> = {}) {
    const body = HttpBody.text(form, "application/x-www-form-urlencoded")
    const record = Grants.read(yield* Requests.read(HttpClientRequest.post(url, { headers, body }), url))
    const reply = yield* grants.answer(record, 0)
    return { record, status: reply.status ?? 200, body: reply.body as Record<string, unknown> }
  })
  return { grants, tokens, ask }
}

const client = "client_id=app&client_secret=secret"
const plain = `${client}&grant_type=client_credentials`

describe("Grants", () => {
  it.effect("a record contains the request, the client, its authentication method and the result", () =>
    Effect.gen(function*() {
      const { ask } = make()
      const { record } = yield* ask(`${plain}&scope=a+b&resource=r1&resource=r2&audience=c`)
      const { clientAuth, clientId, grantType, scope } = record
      deepStrictEqual([clientAuth, clientId, grantType, scope], [
        "client_secret_post",
        "app",
        "client_credentials",
        "a b"
      ])
      deepStrictEqual([record.resources, record.audiences], [["r1", "r2"], ["c"]])
      deepStrictEqual([record.token, record.error, record.proof], ["token-1", undefined, undefined])
      const refused = yield* ask("client_id=app&client_secret=wrong&grant_type=client_credentials")
      deepStrictEqual([refused.record.token, refused.record.error], [undefined, "invalid_client"])
    }))

  it.effect("denies clients, grants, scopes and resources on demand, and allows them again", () =>
    Effect.gen(function*() {
      const { ask, grants } = make()
      const cases: ReadonlyArray<readonly [TestExchange.Denial, string, number, string]> = [
        [{ client: "app" }, plain, 403, "access_denied"],
        [{ grant: "client_credentials" }, plain, 400, "unauthorized_client"],
        [{ scope: "b" }, `${plain}&scope=a+b`, 400, "invalid_scope"],
        [{ resource: "r" }, `${plain}&resource=r`, 400, "invalid_target"],
        [{ resource: "r" }, `${plain}&audience=r`, 400, "invalid_target"]
      ]
      for (const [denial, form, status, error] of cases) {
        grants.deny(denial)
        const refused = yield* ask(form)
        deepStrictEqual([refused.status, refused.body.error, refused.record.error], [status, error, error])
        grants.allow(denial)
        assert.strictEqual((yield* ask(form)).status, 200)
      }
    }))

  it.effect("grants a request without a scope all known scopes that are not denied", () =>
    Effect.gen(function*() {
      const { ask, grants } = make({ scopes: ["a", "b", "c"] })
      grants.deny({ scope: "b" })
      assert.strictEqual((yield* ask(plain)).body.scope, "a c")
      grants.deny({ scope: "a" })
      grants.deny({ scope: "c" })
      assert.notProperty((yield* ask(plain)).body, "scope")
    }))

  it.effect("another grant type is accepted if it is configured, whatever its parameters", () =>
    Effect.gen(function*() {
      const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
      const form = `${client}&grant_type=${encodeURIComponent(grantType)}&assertion=x`
      assert.strictEqual((yield* make().ask(form)).body.error, "unsupported_grant_type")
      assert.strictEqual((yield* make({ grantTypes: [grantType] }).ask(form)).body.access_token, "token-1")
    }))

  it.effect("RFC 9449 §5: a proof can be invalid, missing although required, or ignored", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* make().ask(plain, { dpop: "garbage" })).body.error, "invalid_dpop_proof")
      assert.strictEqual((yield* make({ dpop: "required" }).ask(plain)).body.error, "invalid_dpop_proof")
      assert.strictEqual(
        (yield* make({ dpop: "ignored" }).ask(plain, { dpop: "garbage" })).body.token_type,
        "Bearer"
      )
    }))
})
