import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import * as Jose from "jose"
import { shared } from "../../../core/test/support/shared.js"
import { ask, assertion, basic, proof, send } from "./HandMadeClient.js"
import { OtherServers } from "./OtherServers.js"
import { audience, secret } from "./World.js"

const wrong = Redacted.make("a secret of 32 characters or more, wrong")

const resource = { resource: audience }

shared(OtherServers.layer)("BetterAuthServer", (it) => {
  it.live("client_secret_basic: accepts only the form-encoded secret", () =>
    Effect.gen(function*() {
      const { betterAuth: { issuer, tokenEndpoint } } = yield* OtherServers
      const answer = yield* ask(tokenEndpoint, { headers: basic("basic", secret), form: resource })
      assert.strictEqual(answer.status, 200)
      const { aud, iss } = Jose.decodeJwt(answer.body.access_token)
      deepStrictEqual([iss, aud], [issuer, audience])
      for (const headers of [basic("basic", wrong), basic("nobody", secret), basic("post", secret)]) {
        const { body, status } = yield* ask(tokenEndpoint, { headers, form: resource })
        deepStrictEqual([status, body.error], [401, "invalid_client"])
      }
    }))

  it.live("client_secret_post: accepts only the correct secret", () =>
    Effect.gen(function*() {
      const { betterAuth: { tokenEndpoint } } = yield* OtherServers
      const withSecret = (secret: Redacted.Redacted) =>
        ask(tokenEndpoint, { form: { client_id: "post", client_secret: Redacted.value(secret), ...resource } })
      assert.strictEqual((yield* withSecret(secret)).status, 200)
      const { body, status } = yield* withSecret(wrong)
      deepStrictEqual([status, body.error], [400, "invalid_client"])
      const { body: without } = yield* ask(tokenEndpoint, { form: { client_id: "post", ...resource } })
      assert.strictEqual(without.error, "invalid_client")
    }))

  it.live("private_key_jwt: accepts an assertion once, and none signed with another key or for another server", () =>
    Effect.gen(function*() {
      const { betterAuth: { issuer, tokenEndpoint }, es256: key } = yield* OtherServers
      const withForm = (form: Record<string, string>) => ask(tokenEndpoint, { form: { ...form, ...resource } })
      const good = yield* assertion(key, "key-ES256", issuer)
      assert.strictEqual((yield* withForm(good)).status, 200)
      const other = yield* SigningKey.make("ES256")
      for (
        const bad of [
          good,
          yield* assertion({ ...other, id: key.id }, "key-ES256", issuer),
          yield* assertion(key, "key-ES256", "https://elsewhere.example"),
          yield* assertion(key, "key-ES256", issuer, { exp: 1 })
        ]
      ) {
        const { body, status } = yield* withForm(bad)
        assert.isAtLeast(status, 400)
        assert.strictEqual(body.error, "invalid_client")
      }
    }))

  it.live("DPoP: binds the token to the key, and accepts each proof once", () =>
    Effect.gen(function*() {
      const { betterAuth: { tokenEndpoint } } = yield* OtherServers
      const key = yield* SigningKey.make("ES256")
      const withProof = (dpop: Record<string, string>) =>
        ask(tokenEndpoint, { headers: { ...basic("dpop-basic", secret), ...dpop }, form: resource })
      const good = { dpop: yield* proof(key, { method: "POST", url: tokenEndpoint }) }
      const answer = yield* withProof(good)
      assert.strictEqual(answer.body.token_type, "DPoP")
      deepStrictEqual(Jose.decodeJwt(answer.body.access_token).cnf, {
        jkt: yield* Effect.promise(() => Jose.calculateJwkThumbprint(key.publicJwk))
      })
      const elsewhere = { dpop: yield* proof(key, { method: "POST", url: "https://elsewhere.example/token" }) }
      for (const bad of [good, elsewhere, {}]) {
        const { body, status } = yield* withProof(bad)
        deepStrictEqual([status, body.error], [400, "invalid_dpop_proof"])
      }
    }))

  it.live("accepts only the new secret or key as soon as it is registered", () =>
    Effect.gen(function*() {
      const { betterAuth: { issuer, register, tokenEndpoint } } = yield* OtherServers
      for (const [known, other] of [[secret, wrong], [wrong, secret]]) {
        yield* register({ id: "rotating", authentication: { method: "client_secret_basic", secret: known } })
        assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("rotating", known) })).status, 200)
        assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("rotating", other) })).status, 401)
      }
      const [first, second] = yield* Effect.all([SigningKey.make("ES256"), SigningKey.make("ES256")])
      for (const [known, other] of [[first, second], [second, first]]) {
        yield* register({ id: "rotating", authentication: { method: "private_key_jwt", keys: [known.publicJwk] } })
        const withKey = (key: SigningKey.SigningKey) =>
          Effect.flatMap(assertion(key, "rotating", issuer), (form) => ask(tokenEndpoint, { form }))
        assert.strictEqual((yield* withKey(known)).status, 200)
        assert.strictEqual((yield* withKey(other)).body.error, "invalid_client")
      }
    }))

  it.live("publishes its metadata at the URL of RFC 8414, and not at that of OpenID Connect Discovery", () =>
    Effect.gen(function*() {
      const { betterAuth: { issuer, jwksUri, tokenEndpoint } } = yield* OtherServers
      const { body, status } = yield* send(`${issuer}/.well-known/oauth-authorization-server`)
      assert.strictEqual(status, 200)
      deepStrictEqual([body.issuer, body.token_endpoint, body.jwks_uri], [issuer, tokenEndpoint, jwksUri])
      const other = yield* send(`${issuer}/.well-known/openid-configuration`)
      assert.strictEqual(other.status, 404)
    }))

  it.live("fails on demand, and records the token requests", () =>
    Effect.gen(function*() {
      const { betterAuth } = yield* OtherServers
      const request = ask(betterAuth.tokenEndpoint, { headers: basic("basic", secret) })
      const before = (yield* betterAuth.tokenRequests).length
      yield* betterAuth.failNext(1, 502)
      assert.strictEqual((yield* request).status, 502)
      assert.strictEqual((yield* request).status, 200)
      yield* ask(betterAuth.tokenEndpoint, { headers: basic("basic", wrong) })
      deepStrictEqual(
        (yield* betterAuth.tokenRequests).slice(before).map(({ clientId, error, method, status }) => [
          ...[status, clientId],
          ...[method, error]
        ]),
        [
          [502, undefined, undefined, undefined],
          [200, "basic", "client_secret_basic", undefined],
          [401, "basic", undefined, "invalid_client"]
        ]
      )
    }))
})
