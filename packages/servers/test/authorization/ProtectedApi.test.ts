import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as Jose from "jose"
import { shared } from "../../../core/test/support/shared.js"
import { type Answer, ask, basic, connections, proof, type ProofOptions, send, sign } from "./HandMadeClient.js"
import { audience, opaqueAudience, secret, World } from "./World.js"

const challengeOf = ({ headers, status }: Answer) => [status, headers.get("www-authenticate")]

/** The answer has this error of RFC 6750 §3.1 or RFC 9449 §7.1. */
const assertRefused = (answer: Answer, status: number, scheme: string, error: string) => {
  assert.strictEqual(answer.status, status)
  assert.match(answer.headers.get("www-authenticate") ?? "", new RegExp(`^${scheme} error="${error}"`))
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const tokenFor = (id: string, form: Record<string, string> = {}) =>
  Effect.gen(function*() {
    const { oidc: { tokenEndpoint } } = yield* World
    const { body } = yield* ask(tokenEndpoint, { headers: basic(id, secret), form })
    return body.access_token as string
  })

/** A token that is bound to a key, requested with the nonce that the server requires. */
const provenToken = (key: SigningKey.SigningKey, form: Record<string, string> = {}) =>
  Effect.gen(function*() {
    const { oidc: { tokenEndpoint } } = yield* World
    const request = (nonce?: string) =>
      Effect.flatMap(
        proof(key, { method: "POST", url: tokenEndpoint, nonce }),
        (dpop) => ask(tokenEndpoint, { headers: { ...basic("dpop-basic", secret), dpop }, form })
      )
    const { headers } = yield* request()
    const { body } = yield* request(headers.get("dpop-nonce")!)
    return body.access_token as string
  })

shared(World.layer)("ProtectedApi", (it) => {
  it.scopedLive("accepts a valid token, JWT or opaque, and reports what it verified", () =>
    Effect.gen(function*() {
      const { api, oidc, opaqueApi } = yield* World
      const jwt = yield* tokenFor("basic", { scope: "read" })
      const answer = yield* send(api.url, { headers: bearer(jwt) })
      deepStrictEqual({ ...answer.body }, {
        issuer: oidc.issuer,
        client: "basic",
        subject: "basic",
        scope: "read",
        format: "JWT",
        binding: "none",
        checks: ["signature", "issuer", "audience", "expiry"]
      })
      const opaque = yield* tokenFor("basic", { resource: opaqueAudience })
      const { body } = yield* send(opaqueApi.url, { headers: bearer(opaque) })
      deepStrictEqual([body.client, body.format, body.checks], ["basic", "opaque", ["introspection", "audience"]])
    }))

  it.scopedLive("answers a request without a token with a challenge that has no error", () =>
    Effect.gen(function*() {
      const { api } = yield* World
      deepStrictEqual(challengeOf(yield* send(api.url)), [401, "Bearer"])
      deepStrictEqual(challengeOf(yield* send(api.url, { headers: basic("basic", secret) })), [401, "Bearer"])
    }))

  it.scopedLive("rejects a token that is forged, expired, of another issuer or for another audience", () =>
    Effect.gen(function*() {
      const { api, oidc: { issuer }, opaqueApi } = yield* World
      const key = yield* SigningKey.shared("ES256")
      const other = yield* SigningKey.make("ES256")
      const claims = { iss: issuer, aud: audience, sub: "basic" }
      const signed = (key: SigningKey.SigningKey, changes: Jose.JWTPayload) =>
        Effect.promise(() => sign(key, { ...claims, ...changes }))
      assert.strictEqual((yield* send(api.url, { headers: bearer(yield* signed(key, {})) })).status, 200)
      for (
        const token of [
          yield* signed({ ...other, id: key.id }, {}),
          yield* signed(key, { exp: 1 }),
          yield* signed(key, { iss: "https://elsewhere.example" }),
          yield* signed(key, { aud: "urn:other" }),
          yield* signed(key, { cnf: { kid: "unknown" } }),
          yield* tokenFor("basic", { resource: opaqueAudience }),
          "unknown",
          "a.b.c"
        ]
      ) assertRefused(yield* send(api.url, { headers: bearer(token) }), 401, "Bearer", "invalid_token")
      const unsigned = new Jose.UnsecuredJWT({ ...claims, exp: 2e9 }).encode()
      assertRefused(yield* send(api.url, { headers: bearer(unsigned) }), 401, "Bearer", "invalid_token")
      const jwt = yield* tokenFor("basic")
      assertRefused(yield* send(opaqueApi.url, { headers: bearer(jwt) }), 401, "Bearer", "invalid_token")
    }))

  it.scopedLive("answers 403 if the scope is insufficient", () =>
    Effect.gen(function*() {
      const { api } = yield* World
      const call = (scope: string) =>
        Effect.flatMap(
          tokenFor("basic", { scope }),
          (token) => send(`${api.url}/written`, { method: "PUT", headers: bearer(token) })
        )
      const answer = yield* call("read")
      assertRefused(answer, 403, "Bearer", "insufficient_scope")
      assert.include(answer.headers.get("www-authenticate"), "scope=\"write\"")
      assert.strictEqual((yield* call("read write")).status, 200)
    }))

  it.scopedLive("accepts a certificate-bound token only on connections that present the certificate", () =>
    Effect.gen(function*() {
      const { api, authority, oidc, selfSigned, stranger } = yield* World
      const own = yield* connections(authority, selfSigned)
      const { body } = yield* ask(oidc.mtlsTokenEndpoint, { form: { client_id: "self-signed-tls" }, dispatcher: own })
      const headers = bearer(body.access_token)
      const answer = yield* send(api.tlsUrl, { headers, dispatcher: own })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.body.binding, "certificate")
      assert.include(answer.body.checks, "cnf x5t#S256")
      for (const certificate of [stranger, undefined]) {
        const dispatcher = yield* connections(authority, certificate)
        assertRefused(yield* send(api.tlsUrl, { headers, dispatcher }), 401, "Bearer", "invalid_token")
      }
      assertRefused(yield* send(api.url, { headers }), 401, "Bearer", "invalid_token")
    }))

  it.scopedLive("requires a nonce, and accepts a DPoP-bound token with it", () =>
    Effect.gen(function*() {
      const { api, opaqueApi } = yield* World
      const key = yield* SigningKey.make("ES256")
      for (const [target, resource] of [[api, audience], [opaqueApi, opaqueAudience]] as const) {
        const token = yield* provenToken(key, { resource })
        const url = `${target.url}/orders?page=2`
        const call = (nonce?: string) =>
          Effect.flatMap(
            proof(key, { url: `${target.url}/orders`, token, nonce }),
            (dpop) => send(url, { headers: { authorization: `DPoP ${token}`, dpop } })
          )
        const challenge = yield* call()
        assertRefused(challenge, 401, "DPoP", "use_dpop_nonce")
        const answer = yield* call(challenge.headers.get("dpop-nonce")!)
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.body.binding, "DPoP")
        assert.includeMembers(answer.body.checks, ["cnf jkt", "proof", "nonce"])
      }
    }))

  it.scopedLive("sends the next nonce with the response, and requires a new one when the old ones have expired", () =>
    Effect.gen(function*() {
      const { api } = yield* World
      const key = yield* SigningKey.make("ES256")
      const token = yield* provenToken(key)
      const call = (nonce?: string) =>
        Effect.flatMap(
          proof(key, { url: api.url, token, nonce }),
          (dpop) => send(api.url, { headers: { authorization: `DPoP ${token}`, dpop } })
        )
      const nonceOf = ({ headers }: Answer) => headers.get("dpop-nonce")!
      const first = nonceOf(yield* call())
      yield* api.rotateNonce
      const late = yield* call(first)
      assert.strictEqual(late.status, 200)
      assert.notStrictEqual(nonceOf(late), first)
      assert.strictEqual((yield* call(nonceOf(late))).status, 200)
      yield* api.expireNonces
      const expired = yield* call(nonceOf(late))
      assertRefused(expired, 401, "DPoP", "use_dpop_nonce")
      assert.strictEqual((yield* call(nonceOf(expired))).status, 200)
    }))

  it.scopedLive("rejects each invalid proof", () =>
    Effect.gen(function*() {
      const { api } = yield* World
      const [key, other] = yield* Effect.all([SigningKey.make("ES256"), SigningKey.make("ES256")])
      const token = yield* provenToken(key)
      const send1 = (dpop: string | undefined) =>
        send(api.url, { headers: { authorization: `DPoP ${token}`, ...(dpop === undefined ? {} : { dpop }) } })
      const nonce = (yield* send1(yield* proof(key, { url: api.url, token }))).headers.get("dpop-nonce")!
      const good: ProofOptions = { url: api.url, token, nonce }
      const now = Math.floor(Date.now() / 1000)
      const replayed = yield* proof(key, good)
      assert.strictEqual((yield* send1(replayed)).status, 200)
      const bad = {
        replayed,
        "missing": undefined,
        "twice": `${yield* proof(key, good)}, ${yield* proof(key, good)}`,
        "no JWT": "proof",
        "another method": yield* proof(key, { ...good, method: "POST" }),
        "another address": yield* proof(key, { ...good, url: `${api.url}/other` }),
        "another token": yield* proof(key, { ...good, token: `${token}x` }),
        "no ath": yield* proof(key, { ...good, token: undefined }),
        "too old": yield* proof(key, { ...good, claims: { iat: now - 300 } }),
        "from the future": yield* proof(key, { ...good, claims: { iat: now + 300 } }),
        "no jti": yield* proof(key, { ...good, claims: { jti: "" } }),
        "another typ": yield* proof(key, { ...good, header: { typ: "jwt" } }),
        "another key than it names": yield* proof({ ...key, key: other.key }, good)
      }
      for (const [name, dpop] of Object.entries(bad)) {
        const answer = yield* send1(dpop)
        assert.strictEqual(answer.status, 401, name)
        assert.match(answer.headers.get("www-authenticate") ?? "", /^DPoP error="invalid_dpop_proof"/, name)
      }
      assertRefused(yield* send1(yield* proof(other, good)), 401, "DPoP", "invalid_token")
      const madeUp = yield* send1(yield* proof(key, { ...good, nonce: "made up" }))
      assertRefused(madeUp, 401, "DPoP", "use_dpop_nonce")
    }))

  it.scopedLive("rejects a DPoP-bound token as a Bearer token, and a Bearer token with a proof", () =>
    Effect.gen(function*() {
      const { api } = yield* World
      const key = yield* SigningKey.make("ES256")
      const token = yield* provenToken(key)
      const dpop = yield* proof(key, { url: api.url, token })
      assertRefused(yield* send(api.url, { headers: bearer(token) }), 401, "Bearer", "invalid_token")
      assertRefused(yield* send(api.url, { headers: { ...bearer(token), dpop } }), 401, "Bearer", "invalid_token")
      const unbound = yield* tokenFor("basic")
      const headers = { authorization: `DPoP ${unbound}`, dpop: yield* proof(key, { url: api.url, token: unbound }) }
      assertRefused(yield* send(api.url, { headers }), 401, "DPoP", "invalid_token")
    }))

  it.scopedLive("rejects a token that was denied, and records every request", () =>
    Effect.gen(function*() {
      const { api } = yield* World
      const [first, second] = [yield* tokenFor("basic"), yield* tokenFor("basic")]
      const before = (yield* api.requests).length
      const call = (token: string) => send(`${api.url}/orders?page=2`, { headers: bearer(token) })
      assert.strictEqual((yield* call(first)).status, 200)
      yield* api.denyAll
      assertRefused(yield* call(first), 401, "Bearer", "invalid_token")
      assert.strictEqual((yield* call(second)).status, 200)
      deepStrictEqual(
        (yield* api.requests).slice(before).map(({ error, method, path, scheme, status, verified }) => [
          ...[method, path, scheme, status, error],
          verified?.client
        ]),
        [
          ["GET", "/orders", "Bearer", 200, undefined, "basic"],
          ["GET", "/orders", "Bearer", 401, "invalid_token", undefined],
          ["GET", "/orders", "Bearer", 200, undefined, "basic"]
        ]
      )
    }))
})
