import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Redacted } from "effect"
import * as Jose from "jose"
import { rowsEffect } from "../../../core/test/support/Rows.js"
import { shared } from "../../../core/test/support/shared.js"
import { ask, assertion, basic, connections, proof, send, sign } from "./HandMadeClient.js"
import { algorithms, audience, opaqueAudience, secret, workloadIssuer, World } from "./World.js"

const wrong = Redacted.make("a secret of 32 characters or more, wrong")

const errorOf = ({ body, status }: { readonly status: number; readonly body: { readonly [name: string]: any } }) => [
  status,
  body.error
]

shared(World.layer)("OidcProvider", (it) => {
  it.scopedLive("client_secret_basic: accepts only the form-encoded id and secret", () =>
    Effect.gen(function*() {
      const { oidc: { tokenEndpoint } } = yield* World
      for (const id of ["basic", "id with +:&%/"]) {
        assert.strictEqual((yield* ask(tokenEndpoint, { headers: basic(id, secret) })).status, 200, id)
        deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { headers: basic(id, wrong) })), [401, "invalid_client"])
      }
      const raw = yield* ask(tokenEndpoint, { headers: basic("id with +:&%/", secret, false) })
      assert.notStrictEqual(raw.status, 200)
    }))

  it.scopedLive("client_secret_post: accepts only the correct secret", () =>
    Effect.gen(function*() {
      const { oidc: { tokenEndpoint } } = yield* World
      const withSecret = (secret: Redacted.Redacted) =>
        ask(tokenEndpoint, { form: { client_id: "post", client_secret: Redacted.value(secret) } })
      assert.strictEqual((yield* withSecret(secret)).status, 200)
      deepStrictEqual(errorOf(yield* withSecret(wrong)), [401, "invalid_client"])
      deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form: { client_id: "post" } })), [401, "invalid_client"])
    }))

  it.scopedLive("client_secret_jwt: accepts an assertion signed with the secret once, and none signed with another", () =>
    Effect.gen(function*() {
      const { oidc: { issuer, tokenEndpoint } } = yield* World
      const form = yield* assertion(secret, "secret-jwt", issuer)
      assert.strictEqual((yield* ask(tokenEndpoint, { form })).status, 200)
      deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form })), [401, "invalid_client"])
      const forged = yield* assertion(wrong, "secret-jwt", issuer)
      deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form: forged })), [401, "invalid_client"])
    }))

  it.scopedLive("private_key_jwt: accepts an assertion of each algorithm once, and none signed with another key", () =>
    rowsEffect(algorithms, (algorithm) => algorithm, (algorithm) =>
      Effect.gen(function*() {
        const { keys, oidc: { issuer, tokenEndpoint } } = yield* World
        const key = keys.get(algorithm)!
        const form = yield* assertion(key, `key-${algorithm}`, issuer)
        assert.strictEqual((yield* ask(tokenEndpoint, { form })).status, 200)
        deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form })), [401, "invalid_client"])
        const other = yield* SigningKey.make("ES256")
        const forged = yield* assertion({ ...other, id: key.id }, `key-${algorithm}`, issuer)
        deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form: forged })), [401, "invalid_client"])
      })))

  it.scopedLive("private_key_jwt: rejects an assertion that is for another server, expired or of another client", () =>
    Effect.gen(function*() {
      const { keys, oidc: { issuer, tokenEndpoint } } = yield* World
      const key = keys.get("ES256")!
      const old = Math.floor(Date.now() / 1000) - 600
      for (
        const form of [
          yield* assertion(key, "key-ES256", "https://elsewhere.example"),
          yield* assertion(key, "key-ES256", issuer, { iat: old, exp: old + 60 }),
          yield* assertion(key, "key-ES256", issuer, { iss: "key-ES384" })
        ]
      ) {
        deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form })), [401, "invalid_client"])
      }
    }))

  it.scopedLive("tls_client_auth: accepts a certificate of the authority with the registered subject, and binds the token to it", () =>
    Effect.gen(function*() {
      const { authority, forged, oidc, otherSubject, stranger, vouched } = yield* World
      const { mtlsTokenEndpoint, tokenEndpoint } = oidc
      const form = { client_id: "tls" }
      const answer = yield* ask(mtlsTokenEndpoint, { form, dispatcher: yield* connections(authority, vouched) })
      assert.strictEqual(answer.status, 200)
      deepStrictEqual(Jose.decodeJwt(answer.body.access_token).cnf, { "x5t#S256": vouched.thumbprint })
      for (const certificate of [stranger, otherSubject, forged, undefined]) {
        const dispatcher = yield* connections(authority, certificate)
        deepStrictEqual(errorOf(yield* ask(mtlsTokenEndpoint, { form, dispatcher })), [401, "invalid_client"])
      }
      deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form })), [401, "invalid_client"])
    }))

  it.scopedLive("self_signed_tls_client_auth: accepts only the registered certificate, and binds the token to it", () =>
    Effect.gen(function*() {
      const { authority, oidc: { mtlsTokenEndpoint }, selfSigned, stranger, vouched } = yield* World
      const form = { client_id: "self-signed-tls" }
      const answer = yield* ask(mtlsTokenEndpoint, { form, dispatcher: yield* connections(authority, selfSigned) })
      assert.strictEqual(answer.status, 200)
      deepStrictEqual(Jose.decodeJwt(answer.body.access_token).cnf, { "x5t#S256": selfSigned.thumbprint })
      for (const certificate of [stranger, vouched, undefined]) {
        const dispatcher = yield* connections(authority, certificate)
        deepStrictEqual(errorOf(yield* ask(mtlsTokenEndpoint, { form, dispatcher })), [401, "invalid_client"])
      }
    }))

  it.scopedLive("binds the token of a client with a secret to its certificate, and issues none without a certificate", () =>
    Effect.gen(function*() {
      const { authority, oidc: { mtlsTokenEndpoint, tokenEndpoint }, stranger } = yield* World
      const headers = basic("bound-basic", secret)
      const answer = yield* ask(mtlsTokenEndpoint, { headers, dispatcher: yield* connections(authority, stranger) })
      deepStrictEqual(Jose.decodeJwt(answer.body.access_token).cnf, { "x5t#S256": stranger.thumbprint })
      assert.strictEqual((yield* ask(tokenEndpoint, { headers })).status, 400)
    }))

  it.scopedLive("none: identifies the client by its client_id alone", () =>
    Effect.gen(function*() {
      const { oidc: { tokenEndpoint } } = yield* World
      assert.strictEqual((yield* ask(tokenEndpoint, { form: { client_id: "none" } })).status, 200)
      deepStrictEqual(errorOf(yield* ask(tokenEndpoint, { form: { client_id: "nobody" } })), [401, "invalid_client"])
    }))

  it.scopedLive("DPoP: requires a nonce, binds the token to the key and accepts each proof once", () =>
    Effect.gen(function*() {
      const { oidc: { tokenEndpoint } } = yield* World
      const key = yield* SigningKey.make("ES256")
      const headers = basic("dpop-basic", secret)
      const withProof = (dpop: string) => ask(tokenEndpoint, { headers: { ...headers, dpop } })
      const target = { method: "POST", url: tokenEndpoint }
      assert.strictEqual((yield* ask(tokenEndpoint, { headers })).status, 400)
      const challenge = yield* withProof(yield* proof(key, target))
      deepStrictEqual(errorOf(challenge), [400, "use_dpop_nonce"])
      const nonce = challenge.headers.get("dpop-nonce")!
      const good = yield* proof(key, { ...target, nonce })
      const answer = yield* withProof(good)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.body.token_type, "DPoP")
      deepStrictEqual(Jose.decodeJwt(answer.body.access_token).cnf, {
        jkt: yield* Effect.promise(() => Jose.calculateJwkThumbprint(key.publicJwk))
      })
      assert.strictEqual((yield* withProof(good)).status, 400)
      for (
        const bad of [
          yield* proof(key, { ...target, nonce: "made up" }),
          yield* proof(key, { ...target, nonce, method: "GET" }),
          yield* proof(key, { ...target, nonce, url: "https://elsewhere.example/token" })
        ]
      ) assert.strictEqual((yield* withProof(bad)).status, 400)
    }))

  it.scopedLive("issues JWTs or opaque tokens depending on the resource, and none for unknown resources", () =>
    Effect.gen(function*() {
      const { oidc: { tokenEndpoint } } = yield* World
      const headers = basic("basic", secret)
      const resource = (resource: string) => ask(tokenEndpoint, { headers, form: { resource, scope: "read" } })
      const { aud, exp, iat } = Jose.decodeJwt((yield* resource(audience)).body.access_token)
      assert.strictEqual(aud, audience)
      assert.isAtLeast(exp! - iat!, 60)
      assert.notInclude((yield* resource(opaqueAudience)).body.access_token, ".")
      deepStrictEqual(errorOf(yield* resource("urn:other")), [400, "invalid_target"])
    }))

  it.scopedLive("introspects and revokes opaque tokens only for their client", () =>
    Effect.gen(function*() {
      const { oidc: { introspectionEndpoint, revocationEndpoint, tokenEndpoint } } = yield* World
      const headers = basic("basic", secret)
      const { body: { access_token: token } } = yield* ask(tokenEndpoint, {
        headers,
        form: { resource: opaqueAudience }
      })
      const isActive = (headers: Record<string, string>) =>
        Effect.map(send(introspectionEndpoint, { headers, form: { token } }), ({ body }) => body.active)
      assert.isTrue(yield* isActive(headers))
      assert.isFalse(yield* isActive(basic("rotating", secret)))
      yield* send(revocationEndpoint, { headers: basic("rotating", secret), form: { token } })
      assert.isTrue(yield* isActive(headers))
      yield* send(revocationEndpoint, { headers, form: { token } })
      assert.isFalse(yield* isActive(headers))
    }))

  it.scopedLive("publishes its endpoints in its metadata, including the one for clients with certificates", () =>
    Effect.gen(function*() {
      const { oidc } = yield* World
      const { body } = yield* send(`${oidc.issuer}/.well-known/openid-configuration`)
      assert.strictEqual(body.issuer, oidc.issuer)
      assert.strictEqual(body.token_endpoint, oidc.tokenEndpoint)
      assert.strictEqual(body.introspection_endpoint, oidc.introspectionEndpoint)
      assert.strictEqual(body.revocation_endpoint, oidc.revocationEndpoint)
      assert.strictEqual(body.mtls_endpoint_aliases.token_endpoint, oidc.mtlsTokenEndpoint)
      assert.isTrue(body.tls_client_certificate_bound_access_tokens)
      assert.includeMembers(body.token_endpoint_auth_methods_supported, ["private_key_jwt", "tls_client_auth", "none"])
      assert.includeMembers(body.token_endpoint_auth_signing_alg_values_supported, algorithms)
      assert.includeMembers(body.grant_types_supported, ["client_credentials", "refresh_token"])
    }))

  it.scopedLive("jwt-bearer: accepts an assertion of a trusted issuer once, and issues a refresh token", () =>
    Effect.gen(function*() {
      const { oidc: { issuer, tokenEndpoint }, workloadKey } = yield* World
      const headers = basic("basic", secret)
      const grant = (assertion: string) =>
        send(tokenEndpoint, {
          headers,
          form: {
            grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
            scope: "read offline_access",
            assertion
          }
        })
      const claims = { iss: workloadIssuer, sub: "workload", aud: issuer }
      const good = yield* Effect.promise(() => sign(workloadKey, claims))
      const answer = yield* grant(good)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(Jose.decodeJwt(answer.body.access_token).sub, "workload")
      assert.strictEqual(answer.body.scope, "read")
      assert.isString(answer.body.refresh_token)
      deepStrictEqual(errorOf(yield* grant(good)), [400, "invalid_grant"])
      const other = yield* SigningKey.make("ES256")
      for (
        const [key, change] of [
          [{ ...other, id: workloadKey.id }, {}],
          [workloadKey, { aud: "https://elsewhere.example" }],
          [workloadKey, { iss: "https://stranger.example" }],
          [workloadKey, { exp: 1 }],
          [workloadKey, { sub: undefined }]
        ] as const
      ) {
        const bad = yield* Effect.promise(() => sign(key, { ...claims, ...change } as Jose.JWTPayload))
        deepStrictEqual(errorOf(yield* grant(bad)), [400, "invalid_grant"])
      }
      deepStrictEqual(errorOf(yield* grant("no JWT")), [400, "invalid_grant"])
    }))

  it.scopedLive("token exchange: accepts only its own access tokens and JWTs of a trusted issuer", () =>
    Effect.gen(function*() {
      const { oidc: { issuer, tokenEndpoint }, workloadKey } = yield* World
      const headers = basic("basic", secret)
      const exchange = (token: string, type: string) =>
        send(tokenEndpoint, {
          headers,
          form: {
            grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
            subject_token: token,
            subject_token_type: `urn:ietf:params:oauth:token-type:${type}`
          }
        })
      const { body: { access_token: jwt } } = yield* ask(tokenEndpoint, { headers: basic("rotating", secret) })
      const { body: { access_token: opaque } } = yield* ask(tokenEndpoint, {
        headers: basic("rotating", secret),
        form: { resource: opaqueAudience }
      })
      const workload = yield* Effect.promise(() =>
        sign(workloadKey, { iss: workloadIssuer, sub: "workload", aud: issuer })
      )
      for (
        const [token, type, subject] of [
          [jwt, "access_token", "rotating"],
          [opaque, "access_token", "rotating"],
          [workload, "jwt", "workload"]
        ]
      ) {
        const answer = yield* exchange(token, type)
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.body.issued_token_type, "urn:ietf:params:oauth:token-type:access_token")
        assert.strictEqual(Jose.decodeJwt(answer.body.access_token).sub, subject)
      }
      deepStrictEqual(errorOf(yield* exchange(`${opaque}x`, "access_token")), [400, "invalid_grant"])
      deepStrictEqual(errorOf(yield* exchange(opaque, "jwt")), [400, "invalid_grant"])
      deepStrictEqual(errorOf(yield* exchange(jwt, "saml2")), [400, "invalid_request"])
      const forged = yield* Effect.promise(() => sign(workloadKey, { iss: issuer, sub: "operator" }))
      deepStrictEqual(errorOf(yield* exchange(forged, "access_token")), [400, "invalid_grant"])
    }))

  it.scopedLive("refresh token: can be used once; a second use revokes all tokens that followed from it", () =>
    Effect.gen(function*() {
      const { oidc } = yield* World
      const refresh = (token: string) =>
        send(oidc.tokenEndpoint, {
          headers: basic("basic", secret),
          form: { grant_type: "refresh_token", refresh_token: token }
        })
      const first = Redacted.value(yield* oidc.issueRefreshToken("basic"))
      const second = yield* refresh(first)
      assert.strictEqual(second.status, 200)
      assert.strictEqual(Jose.decodeJwt(second.body.access_token).aud, audience)
      assert.notStrictEqual(second.body.refresh_token, first)
      const third = yield* refresh(second.body.refresh_token)
      assert.strictEqual(third.status, 200)
      deepStrictEqual(errorOf(yield* refresh(first)), [400, "invalid_grant"])
      deepStrictEqual(errorOf(yield* refresh(third.body.refresh_token)), [400, "invalid_grant"])
    }))

  it.scopedLive("accepts only the new secret, key or certificate as soon as it is registered", () =>
    Effect.gen(function*() {
      const { authority, oidc, renewed, selfSigned } = yield* World
      const { issuer, mtlsTokenEndpoint, register, tokenEndpoint } = oidc
      const statuses = (...requests: ReadonlyArray<Effect.Effect<{ readonly status: number }>>) =>
        Effect.map(Effect.all(requests), (answers) => answers.map(({ status }) => status))

      yield* register({ id: "rotating", authentication: { method: "client_secret_basic", secret: wrong } })
      deepStrictEqual(
        yield* statuses(
          ask(tokenEndpoint, { headers: basic("rotating", wrong) }),
          ask(tokenEndpoint, { headers: basic("rotating", secret) })
        ),
        [200, 401]
      )
      const [first, second] = yield* Effect.all([SigningKey.make("ES256"), SigningKey.make("ES256")])
      const withKey = (key: SigningKey.SigningKey) =>
        Effect.flatMap(assertion(key, "rotating", issuer), (form) => ask(tokenEndpoint, { form }))
      for (const [known, other] of [[first, second], [second, first]]) {
        yield* register({ id: "rotating", authentication: { method: "private_key_jwt", keys: [known.publicJwk] } })
        deepStrictEqual(yield* statuses(withKey(known), withKey(other)), [200, 401])
      }
      const old = yield* connections(authority, selfSigned)
      const now = yield* connections(authority, renewed)
      const form = { client_id: "rotating" }
      for (const [certificate, known, other] of [[selfSigned, old, now], [renewed, now, old]] as const) {
        yield* register({
          id: "rotating",
          authentication: { method: "self_signed_tls_client_auth", certificates: [certificate] }
        })
        deepStrictEqual(
          yield* statuses(
            ask(mtlsTokenEndpoint, { form, dispatcher: known }),
            ask(mtlsTokenEndpoint, { form, dispatcher: other })
          ),
          [200, 401]
        )
      }
      yield* register({ id: "rotating", authentication: { method: "client_secret_basic", secret } })
    }))

  it.scopedLive("fails and delays token requests on demand, and records all of them", () =>
    Effect.gen(function*() {
      const { oidc } = yield* World
      const request = ask(oidc.tokenEndpoint, { headers: basic("basic", secret) })
      const before = (yield* oidc.tokenRequests).length
      yield* oidc.failNext(1, 503, { "retry-after": "1" })
      const failed = yield* request
      assert.strictEqual(failed.status, 503)
      assert.strictEqual(failed.headers.get("retry-after"), "1")
      yield* oidc.delay("50 millis")
      const [duration, answer] = yield* Effect.timed(request)
      yield* oidc.delay(0)
      assert.strictEqual(answer.status, 200)
      assert.isAtLeast(Duration.toMillis(duration), 49)
      yield* ask(oidc.tokenEndpoint, { headers: basic("basic", wrong) })
      deepStrictEqual((yield* oidc.tokenRequests).slice(before), [
        { clientId: undefined, grantType: undefined, method: undefined, status: 503, error: undefined },
        {
          clientId: "basic",
          grantType: "client_credentials",
          method: "client_secret_basic",
          status: 200,
          error: undefined
        },
        {
          clientId: "basic",
          grantType: "client_credentials",
          method: undefined,
          status: 401,
          error: "invalid_client"
        }
      ])
    }))

  it.scopedLive("revokes all issued tokens on demand", () =>
    Effect.gen(function*() {
      const { oidc } = yield* World
      const { body } = yield* ask(oidc.tokenEndpoint, {
        headers: basic("basic", secret),
        form: { resource: opaqueAudience }
      })
      const token = Redacted.make(body.access_token)
      assert.isDefined(yield* oidc.introspect(token))
      yield* oidc.revokeAll
      assert.isUndefined(yield* oidc.introspect(token))
    }))
})
