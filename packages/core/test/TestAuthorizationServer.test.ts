import { AuthedHttpClient, ClientAuth, DPoP, type OAuthError, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { TestExchange } from "@effect-alf/core/testing"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { HttpBody, HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Encoding, Exit, Fiber, Layer, Redacted, Stream, TestClock } from "effect"
import * as jose from "jose"
import * as Proofs from "../src/testing/server/Proofs.js"

const { apiUrl, clientId, clientSecret, issuer, tokenEndpoint } = TestAuthorizationServer

const run = <A, E>(
  options: TestAuthorizationServer.Options,
  body: (services: {
    readonly server: TestAuthorizationServer.TestAuthorizationServer["Type"]
    readonly client: HttpClient.HttpClient
  }) => Effect.Effect<A, E>
) => Effect.flatMap(TestAuthorizationServer.make(options), body)

const basic = (id: string, secret: string) => ({ authorization: `Basic ${Encoding.encodeBase64(`${id}:${secret}`)}` })

const authenticated = basic(clientId, Redacted.value(clientSecret))

const tokenRequest = (
  form: string,
  headers: Record<string, string> = authenticated,
  contentType = "application/x-www-form-urlencoded"
) => HttpClientRequest.post(tokenEndpoint, { headers, body: HttpBody.text(form, contentType) })

const grant = tokenRequest("grant_type=client_credentials")

const get = (token: string, url = `${apiUrl}/orders`) =>
  HttpClientRequest.get(url, { headers: { authorization: `Bearer ${token}` } })

const answer = (client: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(client.execute(request), (response) =>
    Effect.map(response.text, (text) => ({
      status: response.status,
      headers: response.headers,
      body: text.startsWith("{") ? JSON.parse(text) as Record<string, unknown> : text
    })))

const includes = <A extends object>(actual: A, expected: Partial<A>) =>
  deepStrictEqual({ ...actual, ...expected }, { ...actual })

const status = (client: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest) =>
  Effect.map(client.execute(request), (response) => response.status)

describe("TestAuthorizationServer", () => {
  describe("RFC 6749 §4.4", () => {
    it.effect("issues tokens with Cache-Control: no-store", () =>
      run({}, ({ client }) =>
        Effect.gen(function*() {
          const first = yield* answer(client, tokenRequest("grant_type=client_credentials&scope=read+write"))
          assert.strictEqual(first.status, 200)
          deepStrictEqual(first.body, {
            access_token: "token-1",
            token_type: "Bearer",
            expires_in: 3600,
            scope: "read write"
          })
          assert.strictEqual(first.headers["cache-control"], "no-store")
          const second = yield* answer(client, grant)
          deepStrictEqual(second.body, { access_token: "token-2", token_type: "Bearer", expires_in: 3600 })
        })))

    it.effect("accepts client credentials form-encoded in Basic, or in the body, but not both", () =>
      run({ clientId: "a:b c", clientSecret: Redacted.make("s%&+é") }, ({ client }) =>
        Effect.gen(function*() {
          const id = ClientAuth.formEncode("a:b c")
          const secret = ClientAuth.formEncode("s%&+é")
          const inBody = `grant_type=client_credentials&client_id=${id}&client_secret=${secret}`
          const plain = "grant_type=client_credentials"
          assert.strictEqual(yield* status(client, tokenRequest(plain, basic(id, secret))), 200)
          assert.strictEqual(yield* status(client, tokenRequest(inBody, {})), 200)
          const both = yield* answer(client, tokenRequest(inBody, basic(id, secret)))
          assert.strictEqual(both.status, 400)
          assert.propertyVal(both.body, "error", "invalid_request")
        })))

    it.effect("rejects what the RFC rejects", () =>
      run({ scopes: ["read", "write"] }, ({ client, server }) =>
        Effect.gen(function*() {
          const cases: ReadonlyArray<readonly [HttpClientRequest.HttpClientRequest, number, string]> = [
            [tokenRequest("grant_type=client_credentials", {}), 401, "invalid_client"],
            [tokenRequest("grant_type=client_credentials", basic(clientId, "wrong")), 401, "invalid_client"],
            [
              tokenRequest("grant_type=client_credentials", basic("other", Redacted.value(clientSecret))),
              401,
              "invalid_client"
            ],
            [tokenRequest("grant_type=client_credentials", { authorization: "Basic %%" }), 401, "invalid_client"],
            [tokenRequest("grant_type=password"), 400, "unsupported_grant_type"],
            [tokenRequest("scope=read"), 400, "invalid_request"],
            [tokenRequest("grant_type="), 400, "invalid_request"],
            [tokenRequest("grant_type=refresh_token"), 400, "invalid_request"],
            [tokenRequest("grant_type=refresh_token&refresh_token="), 400, "invalid_request"],
            [tokenRequest("grant_type=refresh_token&refresh_token=other"), 400, "invalid_grant"],
            [tokenRequest("grant_type=client_credentials&scope=read&scope=write"), 400, "invalid_request"],
            [tokenRequest("grant_type=client_credentials&scope=admin+read"), 400, "invalid_scope"],
            [tokenRequest("grant_type=client_credentials", authenticated, "application/json"), 400, "invalid_request"]
          ]
          for (const [request, expected, error] of cases) {
            const { body, headers, status } = yield* answer(client, request)
            assert.strictEqual(status, expected)
            assert.propertyVal(body, "error", error)
            assert.strictEqual(headers["www-authenticate"] !== undefined, status === 401)
          }
          assert.strictEqual(yield* status(client, HttpClientRequest.get(tokenEndpoint)), 405)
          deepStrictEqual(yield* server.issued, [])
          const all = yield* answer(client, grant)
          assert.propertyVal(all.body, "scope", "read write")
        })))

    it.effect("leaves expires_in out for tokens that do not expire", () =>
      run({ lifetime: "none" }, ({ client, server }) =>
        Effect.gen(function*() {
          deepStrictEqual((yield* answer(client, grant)).body, { access_token: "token-1", token_type: "Bearer" })
          yield* TestClock.adjust("1000 days")
          assert.strictEqual(yield* status(client, get("token-1")), 200)
          yield* server.setLifetime("1500 millis")
          assert.propertyVal((yield* answer(client, grant)).body, "expires_in", 1.5)
        })))

    it.effect("accepts one secret at a time", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* status(client, grant), 200)
          yield* server.rotateSecret(Redacted.make("new"))
          assert.strictEqual(yield* status(client, grant), 401)
          assert.strictEqual(
            yield* status(client, tokenRequest("grant_type=client_credentials", basic(clientId, "new"))),
            200
          )
        })))

    it.effect("returnSameToken issues a valid token again, for the same request only", () =>
      run({ lifetime: "1 minute" }, ({ client, server }) =>
        Effect.gen(function*() {
          yield* server.returnSameToken(true)
          yield* answer(client, grant)
          yield* TestClock.adjust("20 seconds")
          const again = yield* answer(client, grant)
          assert.propertyVal(again.body, "access_token", "token-1")
          assert.propertyVal(again.body, "expires_in", 40)
          const other = yield* answer(client, tokenRequest("grant_type=client_credentials&resource=https://a.test"))
          assert.propertyVal(other.body, "access_token", "token-2")
          yield* server.revoke("token-1")
          assert.propertyVal((yield* answer(client, grant)).body, "access_token", "token-3")
        })))

    it.effect("onlyOneActive revokes earlier tokens", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* server.onlyOneActive(true)
          yield* answer(client, grant)
          yield* answer(client, grant)
          assert.strictEqual(yield* status(client, get("token-1")), 401)
          assert.strictEqual(yield* status(client, get("token-2")), 200)
        })))
  })

  describe("RFC 6750", () => {
    it.effect("the resource accepts a token until it expires or is revoked", () =>
      run({ lifetime: "1 minute" }, ({ client, server }) =>
        Effect.gen(function*() {
          yield* answer(client, grant)
          yield* answer(client, grant)
          assert.strictEqual(yield* status(client, get("token-1")), 200)
          yield* server.revoke("token-1")
          const revoked = yield* answer(client, get("token-1"))
          assert.strictEqual(revoked.status, 401)
          assert.strictEqual(revoked.headers["www-authenticate"], "Bearer realm=\"test\", error=\"invalid_token\"")
          yield* TestClock.adjust("59999 millis")
          assert.strictEqual(yield* status(client, get("token-2")), 200)
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(yield* status(client, get("token-2")), 401)
          assert.strictEqual(yield* status(client, get("unknown")), 401)
          const without = yield* answer(client, HttpClientRequest.get(apiUrl))
          assert.strictEqual(without.status, 401)
          assert.strictEqual(without.headers["www-authenticate"], "Bearer realm=\"test\"")
        })))

    it.effect("revoke() revokes all tokens issued so far", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* answer(client, grant)
          yield* server.revoke()
          yield* answer(client, grant)
          assert.strictEqual(yield* status(client, get("token-1")), 401)
          assert.strictEqual(yield* status(client, get("token-2")), 200)
        })))

    it.effect("one origin can reject every token", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* answer(client, grant)
          yield* server.rejectOrigin("https://other.test", true)
          assert.strictEqual(yield* status(client, get("token-1", "https://other.test/x")), 401)
          assert.strictEqual(yield* status(client, get("token-1")), 200)
          yield* server.rejectOrigin("https://other.test", false)
          assert.strictEqual(yield* status(client, get("token-1", "https://other.test/x")), 200)
        })))

    it.effect("on the origin of the token endpoint only URLs below apiUrl are the resource", () =>
      Effect.forEach(
        ["https://auth.test/api/", "https://auth.test/api"],
        (apiUrl) =>
          run({ apiUrl }, ({ client }) =>
            Effect.gen(function*() {
              yield* answer(client, grant)
              assert.strictEqual(yield* status(client, get("token-1", "https://auth.test/api")), 200)
              assert.strictEqual(yield* status(client, get("token-1", "https://auth.test/api/x")), 200)
              assert.strictEqual(yield* status(client, get("token-1", "https://auth.test/apis")), 404)
              assert.strictEqual(yield* status(client, get("token-1", "https://auth.test/other")), 404)
            }))
      ))

    it.effect("echoes requests byte for byte, whatever their body", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* answer(client, tokenRequest("grant_type=client_credentials&scope=read"))
          const bytes = Uint8Array.of(0, 255, 1, 254)
          const form = new FormData()
          form.append("field", "value")
          const bodies: ReadonlyArray<readonly [HttpBody.HttpBody, string]> = [
            [HttpBody.empty, ""],
            [HttpBody.text("héllo"), Encoding.encodeBase64("héllo")],
            [HttpBody.uint8Array(bytes), "AP8B/g=="],
            [HttpBody.raw("raw"), Encoding.encodeBase64("raw")],
            [HttpBody.raw(bytes.buffer), "AP8B/g=="],
            [HttpBody.stream(Stream.make(bytes.subarray(0, 1), bytes.subarray(1))), "AP8B/g=="]
          ]
          for (const [body, base64] of bodies) {
            const response = yield* client.execute(
              HttpClientRequest.put(`${apiUrl}/a/b?x=1`, { headers: { authorization: "bearer token-1" }, body })
            )
            const echo = yield* HttpClientResponse.schemaBodyJson(TestExchange.Echo)(response)
            includes(echo, { method: "PUT", path: "/a/b", query: { x: "1" }, scope: "read", base64 })
          }
          yield* client.execute(
            HttpClientRequest.post(apiUrl, {
              headers: { authorization: "Bearer token-1" },
              body: HttpBody.formData(form)
            })
          )
          const sent = (yield* server.apiRequests).at(-1)
          assert.match(sent?.headers["content-type"] ?? "", /^multipart\/form-data; boundary=/)
          assert.include(new TextDecoder().decode(sent?.body), "name=\"field\"")
        })))

    it.effect("a handler can answer for the resource, to requests with valid tokens", () =>
      run({
        api: (request, token) =>
          Effect.succeed(
            new URL(request.url).pathname === "/web" ?
              new Response("web", { status: 201 }) :
              { status: 202, body: { scope: token.scope } }
          )
      }, ({ client }) =>
        Effect.gen(function*() {
          yield* answer(client, tokenRequest("grant_type=client_credentials&scope=read"))
          includes(yield* answer(client, get("token-1")), { status: 202, body: { scope: "read" } })
          includes(yield* answer(client, get("token-1", `${apiUrl}/web`)), { status: 201, body: "web" })
          assert.strictEqual(yield* status(client, get("unknown")), 401)
        })))
  })

  describe("misbehaviour", () => {
    it.effect("failNext and failApiNext queue responses", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* server.failNext(1)
          yield* server.failNext(2, { status: 429, headers: { "retry-after": "7" }, body: { error: "slow_down" } })
          yield* server.failNext(1, new Response("html", { headers: { "content-type": "text/html" } }))
          assert.strictEqual(yield* status(client, grant), 503)
          for (let i = 0; i < 2; i++) {
            const refused = yield* answer(client, grant)
            includes(refused, { status: 429, body: { error: "slow_down" } })
            assert.strictEqual(refused.headers["retry-after"], "7")
          }
          assert.strictEqual((yield* answer(client, grant)).body, "html")
          assert.strictEqual(yield* status(client, grant), 200)
          yield* server.failApiNext(1, { status: 401 })
          yield* server.failApiNext(1, { status: 204, body: "not sent" })
          assert.strictEqual(yield* status(client, get("token-1")), 401)
          assert.strictEqual(yield* status(client, get("token-1")), 204)
          assert.strictEqual(yield* status(client, get("token-1")), 200)
        })))

    it.effect("resets connections before and during the response", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* server.failNext(1, "reset")
          yield* server.failNext(1, "cut")
          const before = yield* Effect.flip(client.execute(grant))
          includes(before, { _tag: "RequestError", reason: "Transport" })
          const response = yield* client.execute(grant)
          assert.strictEqual(response.status, 200)
          const within = yield* Effect.flip(response.text)
          includes(within, { _tag: "ResponseError", reason: "Decode" })
          deepStrictEqual((yield* server.tokenRequests).map(({ status }) => status), [undefined, 200])
        })))

    it.effect("hangs until interrupted", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* server.failNext(1, "hang")
          yield* server.failApiNext(1, "hang")
          for (const request of [grant, get("token-1")]) {
            const fiber = yield* Effect.fork(client.execute(request))
            yield* TestClock.adjust("1 hour")
            assert.isNull(fiber.unsafePoll())
            assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
          }
        })))

    it.effect("the age of proofs and assertions is measured at arrival, however long the response takes", () =>
      run({ tokenDelay: "90 seconds", apiDelay: "90 seconds" }, ({ client }) =>
        Effect.gen(function*() {
          const key = yield* DPoP.generate()
          const slow = (request: HttpClientRequest.HttpClientRequest) =>
            Effect.gen(function*() {
              const fiber = yield* Effect.fork(answer(client, request))
              yield* TestClock.adjust("90 seconds")
              return yield* Fiber.join(fiber)
            })
          const assertion = yield* Effect.promise(() =>
            new jose.SignJWT({ iss: clientId, sub: clientId, aud: issuer, exp: 60, jti: "1" })
              .setProtectedHeader({ alg: "HS256" })
              .sign(new TextEncoder().encode(Redacted.value(clientSecret)))
          )
          const type = ClientAuth.formEncode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
          const form = `grant_type=client_credentials&client_assertion=${assertion}&client_assertion_type=${type}`
          const tokenProof = yield* key.proof({ method: "POST", url: tokenEndpoint })
          const { body } = yield* slow(tokenRequest(form, { dpop: tokenProof }))
          includes(body as object, { access_token: "token-1", token_type: "DPoP" })
          const proof = yield* key.proof({ method: "GET", url: `${apiUrl}/orders`, token: Redacted.make("token-1") })
          const orders = get("token-1").pipe(
            HttpClientRequest.setHeaders({ authorization: "DPoP token-1", dpop: proof })
          )
          assert.strictEqual((yield* slow(orders)).status, 200)
        })))

    it.effect("setTokenResponse answers every request until it is reset", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* server.setTokenResponse((request) =>
            new Map(request.params).get("scope") === "bad" ? Effect.succeed({ status: 500 }) : undefined
          )
          const bad = tokenRequest("grant_type=client_credentials&scope=bad")
          assert.strictEqual(yield* status(client, bad), 500)
          assert.strictEqual(yield* status(client, grant), 200)
          yield* server.setTokenResponse(() => ({ body: "<html>" }))
          assert.strictEqual((yield* answer(client, grant)).body, "<html>")
          yield* server.setTokenResponse(undefined)
          assert.strictEqual(yield* status(client, bad), 200)
        })))

    it.effect("delays by Clock; a request interrupted during the delay gets no token", () =>
      run({ tokenDelay: "2 seconds" }, ({ client, server }) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(client.execute(grant))
          yield* TestClock.adjust("1999 millis")
          assert.isNull(fiber.unsafePoll())
          yield* TestClock.adjust("1 millis")
          yield* Fiber.join(fiber)
          const [issued] = yield* server.issued
          includes(issued, { value: "token-1", issuedAt: 2000, expiresAt: 3_602_000, revoked: false })
          yield* server.setApiDelay("3 seconds")
          const call = yield* Effect.fork(client.execute(get("token-1")))
          yield* TestClock.adjust("1 seconds")
          assert.isNull(call.unsafePoll())
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual((yield* Fiber.join(call)).status, 200)
          const interrupted = yield* Effect.fork(client.execute(grant))
          yield* TestClock.adjust("1 seconds")
          yield* Fiber.interrupt(interrupted)
          assert.lengthOf(yield* server.issued, 1)
        })))
  })

  describe("refresh tokens (RFC 6749 §6, RFC 9700 §4.14.2)", () => {
    const refresh = (token: unknown, form = "") =>
      tokenRequest(`grant_type=refresh_token&refresh_token=${String(token)}${form}`)

    const setUp = (options: TestAuthorizationServer.Options) =>
      run(options, ({ client, server }) =>
        Effect.map(server.issueRefreshToken, (initial) => ({
          client,
          server,
          initial: Redacted.value(initial),
          use: (token: unknown) => answer(client, refresh(token))
        })))

    it.effect("each use issues an access token and the next refresh token", () =>
      Effect.gen(function*() {
        const { client, initial, server, use } = yield* setUp({})
        const first = yield* answer(client, refresh(initial, "&scope=read"))
        includes(first.body as object, { access_token: "token-1", refresh_token: "token-refresh-2", scope: "read" })
        includes((yield* use("token-refresh-2")).body as object, { access_token: "token-2" })
        deepStrictEqual(yield* server.refreshTokens, [
          { value: initial, family: initial, usedAt: [0], revoked: false },
          { value: "token-refresh-2", family: initial, usedAt: [0], revoked: false },
          { value: "token-refresh-3", family: initial, usedAt: [], revoked: false }
        ])
      }))

    it.effect("reuse revokes all tokens of that authorization, and no others", () =>
      Effect.gen(function*() {
        const { client, initial, server, use } = yield* setUp({})
        const other = Redacted.value(yield* server.issueRefreshToken)
        yield* use(initial)
        const again = yield* use(initial)
        assert.strictEqual(again.status, 400)
        includes(again.body as object, { error: "invalid_grant" })
        assert.strictEqual((yield* use("token-refresh-3")).status, 400)
        assert.strictEqual(yield* status(client, get("token-1")), 401)
        assert.strictEqual((yield* use(other)).status, 200)
      }))

    it.effect("reuse is accepted within the grace period only", () =>
      Effect.gen(function*() {
        const { initial, use } = yield* setUp({ refreshGracePeriod: "10 seconds" })
        yield* use(initial)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual((yield* use(initial)).status, 200)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* use(initial)).status, 400)
      }))

    it.effect("without rotation it stays valid; an unknown or missing one is rejected", () =>
      Effect.gen(function*() {
        const { client, initial, use } = yield* setUp({ rotatesRefreshTokens: false })
        for (let i = 0; i < 3; i++) assert.notProperty((yield* use(initial)).body, "refresh_token")
        assert.strictEqual((yield* use("unknown")).status, 400)
        assert.strictEqual(yield* status(client, tokenRequest("grant_type=refresh_token")), 400)
      }))
  })

  describe("records", () => {
    it.effect("shows each request as it arrived", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("5 seconds")
          yield* answer(client, tokenRequest("grant_type=client_credentials&resource=https%3A%2F%2Fa.test&resource=b"))
          const [token] = yield* server.tokenRequests
          includes(token, {
            time: 5000,
            method: "POST",
            url: tokenEndpoint,
            authorization: authenticated.authorization,
            params: [["grant_type", "client_credentials"], ["resource", "https://a.test"], ["resource", "b"]],
            status: 200
          })
          assert.strictEqual(token.headers["content-type"], "application/x-www-form-urlencoded")
          yield* client.execute(
            HttpClientRequest.bodyText(get("token-1"), "body").pipe(HttpClientRequest.setMethod("POST"))
          )
          const [api] = yield* server.apiRequests
          includes(api, {
            time: 5000,
            method: "POST",
            url: `${apiUrl}/orders`,
            token: "token-1",
            body: new TextEncoder().encode("body"),
            status: 200
          })
          includes((yield* server.issued)[0], { resources: ["https://a.test", "b"], issuedAt: 5000 })
          yield* server.resetRecords
          deepStrictEqual(yield* server.tokenRequests, [])
          deepStrictEqual(yield* server.apiRequests, [])
          assert.lengthOf(yield* server.issued, 1)
        })))

    it.effect("returns snapshots, which do not change", () =>
      run({}, ({ client, server }) =>
        Effect.gen(function*() {
          yield* answer(client, grant)
          const before = yield* server.issued
          yield* server.revoke()
          assert.isFalse(before[0].revoked)
          assert.isTrue((yield* server.issued)[0].revoked)
        })))
  })

  it.effect("serves a complete client", () =>
    Effect.gen(function*() {
      const client = yield* AuthedHttpClient.AuthedHttpClient
      const server = yield* TestAuthorizationServer.TestAuthorizationServer
      yield* server.failNext(2)
      const fiber = yield* Effect.fork(client.get("/orders"))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      deepStrictEqual((yield* server.tokenRequests).map(({ status }) => status), [503, 503, 200])
      yield* server.revoke()
      assert.strictEqual((yield* client.get("/orders")).status, 200)
      deepStrictEqual((yield* server.apiRequests).map(({ status, token }) => [status, token]), [
        [200, "token-1"],
        [401, "token-1"],
        [200, "token-2"]
      ])
    }).pipe(Effect.provide(
      AuthedHttpClient.layer({ baseUrl: apiUrl }).pipe(
        Layer.provide(TokenEndpoint.layer({ tokenEndpoint, clientId, clientSecret })),
        Layer.provide(TokenStore.layerMemory()),
        Layer.provideMerge(TestAuthorizationServer.layer())
      )
    )))

  describe("with a complete client", () => {
    const layer = (
      endpoint: Layer.Layer<TokenEndpoint.TokenEndpoint, OAuthError.InvalidOptions, HttpClient.HttpClient>,
      options?: TestAuthorizationServer.Options
    ) =>
      AuthedHttpClient.layer({ baseUrl: apiUrl }).pipe(
        Layer.provide(endpoint),
        Layer.provide(TokenStore.layerMemory()),
        Layer.provideMerge(TestAuthorizationServer.layer(options))
      )

    const services = Effect.all({
      client: AuthedHttpClient.AuthedHttpClient,
      server: TestAuthorizationServer.TestAuthorizationServer
    })

    it.effect("RFC 8414: publishes metadata with its issuer and authentication methods", () =>
      Effect.gen(function*() {
        const { client, server } = yield* services
        assert.strictEqual((yield* client.get("/orders")).status, 200)
        deepStrictEqual((yield* server.metadataRequests).map(({ status, url }) => [url, status]), [
          ["https://auth.test/.well-known/oauth-authorization-server/tenant", 200]
        ])
        assert.strictEqual((yield* server.tokenRequests)[0].clientAuth, "client_secret_post")
      }).pipe(
        Effect.provide(
          layer(TokenEndpoint.layerDiscovery({ issuer: `${issuer}/tenant`, clientId, clientSecret }), {
            issuer: `${issuer}/tenant`,
            clientAuth: ["client_secret_post"]
          })
        )
      ))

    it.effect("RFC 8414 §2: publishes signing algorithms if it accepts assertions", () =>
      Effect.gen(function*() {
        const algorithms = (options: TestAuthorizationServer.Options) =>
          run(options, ({ client }) =>
            Effect.map(
              answer(client, HttpClientRequest.get(`${issuer}/.well-known/oauth-authorization-server`)),
              ({ body }) =>
                ["token", "revocation", "introspection"].map((endpoint) =>
                  (body as Record<string, unknown>)[`${endpoint}_endpoint_auth_signing_alg_values_supported`]
                )
            ))
        const bySecret = ["HS256", "HS384", "HS512"]
        deepStrictEqual(yield* algorithms({}), [bySecret, bySecret, bySecret])
        const byKey = Proofs.algorithms
        deepStrictEqual(yield* algorithms({ clientAuth: ["private_key_jwt"] }), [byKey, byKey, byKey])
        deepStrictEqual(
          yield* algorithms({ clientAuth: ["client_secret_basic"] }),
          [undefined, undefined, undefined]
        )
      }))

    it.effect("fail makes the token endpoint and the metadata fail until it is reset", () =>
      Effect.gen(function*() {
        const { client, server } = yield* services
        yield* server.fail({ status: 500 })
        const error = yield* Effect.flip(client.get("/orders"))
        assert.include(error.message, "500")
        yield* server.fail(undefined)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* client.get("/orders")).status, 200)
        yield* server.failApi({ status: 502 })
        for (const _ of [1, 2]) assert.strictEqual((yield* client.get("/orders")).status, 502)
        yield* server.failApi(undefined)
        assert.strictEqual((yield* client.get("/orders")).status, 200)
        assert.isTrue((yield* server.metadataRequests).some(({ status }) => status === 500))
      }).pipe(
        Effect.provide(
          layer(TokenEndpoint.layerDiscovery({ issuer, clientId, clientSecret, retryWhile: () => false }))
        )
      ))

    it.effect("RFC 7523: accepts assertions by a secret and by a private key", () =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* Effect.promise(() =>
          jose.generateKeyPair("ES256", { extractable: true })
        )
        const key = Redacted.make(yield* Effect.promise(() => jose.exportJWK(privateKey)))
        const clientKey = yield* Effect.promise(() => jose.exportJWK(publicKey))
        for (const clientAuth of [ClientAuth.clientSecretJwt(clientSecret), ClientAuth.privateKeyJwt({ key })]) {
          yield* Effect.gen(function*() {
            const { client, server } = yield* services
            assert.strictEqual((yield* client.get("/orders")).status, 200)
            assert.strictEqual((yield* server.tokenRequests)[0].clientAuth, clientAuth.method)
          }).pipe(
            Effect.provide(layer(TokenEndpoint.layer({ tokenEndpoint, clientId, clientAuth }), { clientKey }))
          )
        }
      }))

    it.effect("RFC 9449: binds tokens to the key of proofs; both servers can require nonces", () =>
      Effect.gen(function*() {
        const key = yield* DPoP.generate()
        yield* Effect.gen(function*() {
          const { client, server } = yield* services
          yield* server.demandNonce("token")
          yield* server.demandNonce("api")
          for (const _ of [1, 2]) assert.strictEqual((yield* client.get("/orders")).status, 200)
          yield* server.demandNonce("api")
          assert.strictEqual((yield* client.get("/orders")).status, 200)
          deepStrictEqual((yield* server.tokenRequests).map(({ error, proof, status }) => [status, error, proof]), [
            [400, "use_dpop_nonce", undefined],
            [200, undefined, { thumbprint: key.thumbprint, nonce: "token-nonce-1" }]
          ])
          deepStrictEqual(
            (yield* server.apiRequests).map(({ proof, scheme, status }) => [status, scheme, proof?.nonce]),
            [
              [401, "DPoP", undefined],
              [200, "DPoP", "api-nonce-1"],
              [200, "DPoP", "api-nonce-1"],
              [401, "DPoP", undefined],
              [200, "DPoP", "api-nonce-2"]
            ]
          )
          assert.strictEqual((yield* server.issued)[0].thumbprint, key.thumbprint)
        }).pipe(
          Effect.provide(
            layer(TokenEndpoint.layer({ tokenEndpoint, clientId, clientSecret, dpop: key }), { dpop: "required" })
          )
        )
      }))

    it.effect("a token that expired early is replaced, one with a missing scope is not", () =>
      Effect.gen(function*() {
        const { client, server } = yield* services
        yield* client.get("/orders")
        yield* server.expire()
        assert.strictEqual((yield* client.get("/orders")).status, 200)
        yield* server.requireScope("orders:write")
        assert.strictEqual((yield* client.get("/orders")).status, 403)
        const scoped = AuthedHttpClient.withTokenScope(client.get("/orders"), "orders:write")
        assert.strictEqual((yield* scoped).status, 200)
        yield* server.deny({ scope: "orders:delete" })
        const error = yield* Effect.flip(AuthedHttpClient.withTokenScope(client.get("/orders"), "orders:delete"))
        assert.include(error.message, "invalid_scope")
        yield* server.allow({ scope: "orders:delete" })
        deepStrictEqual((yield* server.tokenRequests).map(({ scope, status }) => [scope, status]), [
          [undefined, 200],
          [undefined, 200],
          ["orders:write", 200],
          ["orders:delete", 400]
        ])
      }).pipe(Effect.provide(layer(TokenEndpoint.layer({ tokenEndpoint, clientId, clientSecret })))))
  })

  it.effect("layer makes a new server each time", () =>
    Effect.gen(function*() {
      const build = Effect.scoped(Layer.build(TestAuthorizationServer.layer()))
      const one = yield* build
      const two = yield* build
      yield* Context.get(one, HttpClient.HttpClient).execute(grant)
      assert.lengthOf(yield* Context.get(one, TestAuthorizationServer.TestAuthorizationServer).issued, 1)
      assert.lengthOf(yield* Context.get(two, TestAuthorizationServer.TestAuthorizationServer).issued, 0)
    }))
})
