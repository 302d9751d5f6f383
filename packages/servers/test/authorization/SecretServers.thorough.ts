import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import { shared } from "../../../core/test/support/shared.js"
import { ask, basic, send } from "./HandMadeClient.js"
import { OtherServers, plainSecret } from "./OtherServers.js"
import { secret } from "./World.js"

const wrong = Redacted.make("another-secret")

shared(OtherServers.layer)("servers that support secrets only", (it) => {
  for (const name of ["nodeOAuth", "tsOAuth2"] as const) {
    it.live(`${name}: client_secret_basic accepts only the correct secret, and does not decode it`, () =>
      Effect.gen(function*() {
        const { [name]: { tokenEndpoint } } = yield* OtherServers
        assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("basic", plainSecret) })).status, 200)
        for (const headers of [basic("basic", wrong), basic("nobody", plainSecret), basic("none", wrong)]) {
          const { body, status } = yield* ask(tokenEndpoint, { headers })
          assert.strictEqual(status, 401)
          assert.strictEqual(body.error, "invalid_client")
        }
        const encoded = Redacted.make("a+b")
        yield* (yield* OtherServers)[name].register({ id: "plus", secret: encoded })
        assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("plus", encoded) })).status, 401)
        assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("plus", encoded, false) })).status, 200)
      }))

    it.live(`${name}: client_secret_post accepts only the correct secret`, () =>
      Effect.gen(function*() {
        const { [name]: { tokenEndpoint } } = yield* OtherServers
        const withSecret = (secret: Redacted.Redacted) =>
          ask(tokenEndpoint, { form: { client_id: "post", client_secret: Redacted.value(secret) } })
        assert.strictEqual((yield* withSecret(secret)).status, 200)
        assert.isAtLeast((yield* withSecret(wrong)).status, 400)
        assert.isAtLeast((yield* ask(tokenEndpoint, { form: { client_id: "post" } })).status, 400)
      }))

    it.live(`${name}: none identifies a client without a secret by its client_id`, () =>
      Effect.gen(function*() {
        const { [name]: { tokenEndpoint } } = yield* OtherServers
        assert.strictEqual((yield* ask(tokenEndpoint, { form: { client_id: "none" } })).status, 200)
        assert.isAtLeast((yield* ask(tokenEndpoint, { form: { client_id: "nobody" } })).status, 400)
      }))

    it.live(`${name}: accepts a new secret as soon as it is registered, and no longer the old one`, () =>
      Effect.gen(function*() {
        const { [name]: { register, tokenEndpoint } } = yield* OtherServers
        for (const [known, other] of [[plainSecret, wrong], [wrong, plainSecret]]) {
          yield* register({ id: "rotating", secret: known })
          assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("rotating", known) })).status, 200)
          assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic("rotating", other) })).status, 401)
        }
      }))

    it.live(`${name}: the API accepts its tokens`, () =>
      Effect.gen(function*() {
        const { api, [name]: { issuer, tokenEndpoint } } = yield* OtherServers
        const { body } = yield* ask(tokenEndpoint, { headers: basic("basic", plainSecret) })
        const answer = yield* send(api.url, { headers: { authorization: `Bearer ${body.access_token}` } })
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.body.issuer, issuer)
        assert.strictEqual(answer.body.client, "basic")
        const forged = yield* send(api.url, { headers: { authorization: `Bearer ${body.access_token}x` } })
        assert.strictEqual(forged.status, 401)
      }))

    it.live(`${name}: rejects other grants, and fails on demand`, () =>
      Effect.gen(function*() {
        const server = (yield* OtherServers)[name]
        const headers = basic("basic", plainSecret)
        const before = (yield* server.tokenRequests).length
        const other = yield* ask(server.tokenEndpoint, { headers, form: { grant_type: "password" } })
        assert.strictEqual(other.status, 400)
        yield* server.failNext(1, 502)
        assert.strictEqual((yield* ask(server.tokenEndpoint, { headers })).status, 502)
        assert.strictEqual((yield* ask(server.tokenEndpoint, { headers })).status, 200)
        deepStrictEqual(
          (yield* server.tokenRequests).slice(before).map(({ method, status }) => [status, method]),
          [[400, undefined], [502, undefined], [200, "client_secret_basic"]]
        )
      }))
  }

  it.live("nodeOAuth: revokes its tokens on demand", () =>
    Effect.gen(function*() {
      const { api, nodeOAuth } = yield* OtherServers
      const { body } = yield* ask(nodeOAuth.tokenEndpoint, { headers: basic("basic", plainSecret) })
      const call = send(api.url, { headers: { authorization: `Bearer ${body.access_token}` } })
      assert.strictEqual((yield* call).status, 200)
      yield* nodeOAuth.revokeAll
      assert.strictEqual((yield* call).status, 401)
    }))
})
