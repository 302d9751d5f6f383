import { AuthedHttpClient, ClientAuth, DPoP, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Context, Effect, Layer, Option, Redacted, Stream } from "effect"
import * as jose from "jose"
import { leaks } from "./support/Secrets.js"
import * as SpanRecord from "./support/SpanRecord.js"
import { storeKey } from "./support/StoreKey.js"

const { apiUrl, clientId, clientSecret, tokenEndpoint } = TestAuthorizationServer

type Server = TestAuthorizationServer.TestAuthorizationServer["Type"]

const makeWorld = TestAuthorizationServer.make({ dpop: "required" })

const layer = (
  client: HttpClient.HttpClient,
  options?: {
    readonly dpop?: TokenEndpoint.Options["dpop"]
    readonly clientAuth?: ClientAuth.ClientAuth
    readonly store?: Layer.Layer<TokenStore.TokenStore>
  }
) =>
  AuthedHttpClient.layer({ baseUrl: apiUrl }).pipe(
    Layer.provide(TokenEndpoint.layer({
      tokenEndpoint,
      clientId,
      clientAuth: options?.clientAuth ?? ClientAuth.clientSecretBasic(clientSecret),
      dpop: options?.dpop ?? DPoP.generate()
    })),
    Layer.provide(options?.store ?? TokenStore.layerMemory()),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
  )

const get = (path = "/orders?page=1") => Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => client.get(path))

const post = (body: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(
    AuthedHttpClient.AuthedHttpClient,
    (client) => client.execute(body(HttpClientRequest.post("/orders")))
  )

/** The answers of both sides, with the nonce of a proof that was right. */
const answers = ({ apiRequests, tokenRequests }: Server) =>
  Effect.map(Effect.all([tokenRequests, apiRequests]), ([token, api]) => {
    const show = ({ proof, status }: { readonly proof: typeof api[0]["proof"]; readonly status: number | undefined }) =>
      [status, proof?.nonce].filter((part) => part !== undefined).join(" ")
    return { token: token.map(show), api: api.map(show) }
  })

const makeKey = Effect.promise(async () => {
  const { privateKey } = await jose.generateKeyPair("ES256", { extractable: true })
  return Redacted.make(await jose.exportJWK(privateKey))
})

describe("AuthedHttpClient with DPoP (RFC 9449)", () => {
  it.effect("each request carries the token, and a proof for it alone", () =>
    Effect.gen(function*() {
      const { client, server } = yield* makeWorld
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* get()).status, 200)
        assert.strictEqual((yield* get("/other")).status, 200)
        assert.strictEqual((yield* post(HttpClientRequest.bodyText("x"))).status, 200)
      }).pipe(Effect.provide(layer(client)))
      const requests = yield* server.apiRequests
      deepStrictEqual(requests.map(({ authorization }) => authorization), Array(3).fill("DPoP token-1"))
      assert.strictEqual(new Set(requests.map(({ headers }) => headers.dpop)).size, 3)
      assert.lengthOf(yield* server.tokenRequests, 1)
    }))

  it.effect("rule 9: no span shows a proof, a token, or a header that platform keeps out of spans", () =>
    Effect.gen(function*() {
      const { client, server } = yield* makeWorld
      const { spans, tracer } = yield* SpanRecord.make
      const apiKey = "an-api-key-of-the-app"
      yield* post(HttpClientRequest.setHeader("x-api-key", apiKey)).pipe(
        Effect.provide(layer(client)),
        Effect.withTracer(tracer)
      )
      const [{ headers, token }] = yield* server.apiRequests
      const requests = spans.filter(({ attributes }) => attributes.has("http.request.header.dpop"))
      assert.isNotEmpty(requests)
      deepStrictEqual(
        leaks(requests.map(({ attributes }) => Object.fromEntries(attributes)), [
          headers.dpop ?? "",
          token ?? "",
          apiKey
        ]),
        []
      )
    }))

  describe("nonces (RFC 9449 §8, §9)", () => {
    it.effect("the first nonce of each server costs one request; later ones arrive with responses", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        yield* server.demandNonce("token")
        yield* server.demandNonce("api")
        yield* Effect.gen(function*() {
          assert.strictEqual((yield* get()).status, 200)
          assert.strictEqual((yield* get()).status, 200)
          yield* server.demandNonce("api")
          assert.strictEqual((yield* get()).status, 200)
        }).pipe(Effect.provide(layer(client)))
        deepStrictEqual(yield* answers(server), {
          token: ["400", "200 token-nonce-1"],
          api: ["401", "200 api-nonce-1", "200 api-nonce-1", "401", "200 api-nonce-2"]
        })
      }))

    it.effect("the same if the underlying client reports every status but 2xx as a failure", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        yield* server.demandNonce("token")
        yield* server.demandNonce("api")
        yield* Effect.gen(function*() {
          assert.strictEqual((yield* get()).status, 200)
          yield* server.revoke()
          assert.strictEqual((yield* get()).status, 200)
        }).pipe(Effect.provide(layer(HttpClient.filterStatusOk(client))))
        deepStrictEqual(yield* answers(server), {
          token: ["400", "200 token-nonce-1", "200 token-nonce-1"],
          api: ["401", "200 api-nonce-1", "401 api-nonce-1", "200 api-nonce-1"]
        })
      }))

    it.effect("the second token request has a new client assertion", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        yield* server.demandNonce("token")
        yield* Effect.provide(get(), layer(client, { clientAuth: ClientAuth.clientSecretJwt(clientSecret) }))
        const requests = yield* server.tokenRequests
        deepStrictEqual(requests.map(({ clientAuth, status }) => [clientAuth, status]), [
          ["client_secret_jwt", 400],
          ["client_secret_jwt", 200]
        ])
        assert.strictEqual(new Set(requests.map(({ params }) => new Map(params).get("client_assertion"))).size, 2)
      }))

    it.effect("a repeat for a nonce is not the replay: a 401 after it leads to a new token and a replay", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        const { spans, tracer } = yield* SpanRecord.make
        yield* server.demandNonce("api")
        yield* Effect.gen(function*() {
          yield* get()
          yield* server.revoke()
          yield* server.demandNonce("api")
          assert.strictEqual((yield* get()).status, 200)
        }).pipe(Effect.provide(layer(client)), Effect.withTracer(tracer))
        deepStrictEqual(yield* answers(server), {
          token: ["200", "200"],
          api: ["401", "200 api-nonce-1", "401", "401 api-nonce-2", "200 api-nonce-2"]
        })
        deepStrictEqual(
          spans.filter(({ name }) => name === "http.client GET").map(({ attributes }) =>
            attributes.get("http.request.resend_count")
          ),
          [undefined, 1, undefined, 1, 2]
        )
      }))

    it.effect("only a 401 can ask for a nonce: any other response is returned unchanged", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        const odd = HttpClient.make((request) =>
          Effect.map(client.execute(request), (response) =>
            request.url.startsWith(apiUrl)
              ? HttpClientResponse.fromWeb(
                request,
                new Response(null, {
                  status: 400,
                  headers: { "www-authenticate": "DPoP error=\"use_dpop_nonce\"", "dpop-nonce": "api-nonce" }
                })
              )
              : response)
        )
        assert.strictEqual((yield* Effect.provide(get(), layer(odd))).status, 400)
        assert.lengthOf(yield* server.apiRequests, 1)
      }))

    it.effect("a server that never accepts its nonce gets two requests, and its response is returned", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        yield* server.demandNonce("api")
        const impatient = HttpClient.make((request) =>
          Effect.tap(client.execute(request), () => server.demandNonce("api"))
        )
        const response = yield* Effect.provide(get(), layer(impatient))
        assert.strictEqual(response.status, 401)
        deepStrictEqual(yield* answers(server), { token: ["200"], api: ["401", "401"] })
      }))

    it.effect("a token endpoint that never accepts its nonce gets two requests, also if it answers 401", () =>
      Effect.gen(function*() {
        let asked = 0
        const client = HttpClient.make((request) =>
          Effect.sync(() =>
            HttpClientResponse.fromWeb(
              request,
              Response.json({ error: "use_dpop_nonce" }, { status: 401, headers: { "dpop-nonce": `n${++asked}` } })
            )
          )
        )
        const endpoint = yield* TokenEndpoint.make({
          tokenEndpoint,
          clientId: "app",
          // Another one each time, as of a platform's identity service
          clientAuth: ClientAuth.assertion(Effect.sync(() => Redacted.make(`assertion-${asked}`))),
          dpop: DPoP.generate()
        }).pipe(Effect.provideService(HttpClient.HttpClient, client))
        yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
        assert.strictEqual(asked, 2)
      }))

    it.effect("RFC 9449 §7.1: if a resource accepts Bearer too, its DPoP challenge counts", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        yield* server.demandNonce("api")
        const both = HttpClient.make((request) =>
          Effect.map(client.execute(request), (response) => {
            if (response.status !== 401) return response
            const challenge = `Bearer error="invalid_token", ${response.headers["www-authenticate"]}`
            const headers = { ...response.headers, "www-authenticate": challenge }
            return HttpClientResponse.fromWeb(request, new Response(null, { status: 401, headers }))
          })
        )
        assert.strictEqual((yield* Effect.provide(get(), layer(both))).status, 200)
        deepStrictEqual(yield* answers(server), { token: ["200"], api: ["401", "200 api-nonce-1"] })
      }))

    it.effect("rule 5: a body that may differ is not sent again; the nonce is kept for the next request", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        yield* server.demandNonce("api")
        const stream = HttpClientRequest.bodyStream(Stream.make(new Uint8Array([1])))
        yield* Effect.gen(function*() {
          assert.strictEqual((yield* post(stream)).status, 401)
          assert.strictEqual((yield* post(stream)).status, 200)
        }).pipe(Effect.provide(layer(client)))
        deepStrictEqual(yield* answers(server), { token: ["200"], api: ["401", "200 api-nonce-1"] })
      }))
  })

  describe("a token bound to a key is never sent without a proof", () => {
    for (const tokenType of ["Bearer", "bearer"]) {
      it.effect(`a ${tokenType} token from a server that does not know DPoP is refused`, () =>
        Effect.gen(function*() {
          const { client, server } = yield* makeWorld
          yield* server.setTokenResponse(() => ({ body: { access_token: "unbound", token_type: tokenType } }))
          const error = yield* Effect.flip(Effect.provide(get(), layer(client)))
          assert.strictEqual(error.message, `Token endpoint ${tokenEndpoint} answered 200: token_type is not DPoP`)
          deepStrictEqual(yield* answers(server), { token: ["200"], api: [] })
        }))
    }

    it.effect("a DPoP token that was not requested is refused", () =>
      Effect.gen(function*() {
        const client = HttpClient.make((request) =>
          Effect.succeed(
            HttpClientResponse.fromWeb(
              request,
              Response.json({ access_token: "bound-token", token_type: "dpop", expires_in: 60 })
            )
          )
        )
        const endpoint = yield* TokenEndpoint.make({
          tokenEndpoint,
          clientId: "app",
          clientSecret: Redacted.make("secret")
        }).pipe(Effect.provideService(HttpClient.HttpClient, client))
        const error = yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
        assert.include(error.message, "token_type is \"DPoP\", which was not requested")
      }))
  })

  describe("rule 2: tokens are never shared across keys", () => {
    const shared = () => {
      const entries = new Map<string, string>()
      return {
        entries,
        layer: Layer.succeed(
          TokenStore.TokenStore,
          TokenStore.make({
            get: (key) => entries.get(key),
            set: (key, value) => {
              entries.set(key, value)
            }
          })
        )
      }
    }

    it.effect("a token of a key that other processes have is stored, and they use it", () =>
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld
        const key = yield* makeKey
        const store = shared()
        for (const _ of [1, 2]) {
          const response = yield* Effect.provide(
            Effect.zipLeft(get(), Effect.yieldNow()),
            layer(client, { dpop: DPoP.fromKey(key), store: store.layer })
          )
          assert.strictEqual(response.status, 200)
        }
        deepStrictEqual(yield* answers(server), { token: ["200"], api: ["200", "200"] })
        assert.strictEqual(store.entries.size, 1)
      }))

    it.effect("a token of a generated key is not stored", () =>
      Effect.gen(function*() {
        const { client } = yield* makeWorld
        const store = shared()
        yield* Effect.provide(get(), layer(client, { store: store.layer }))
        assert.strictEqual(store.entries.size, 0)
      }))

    it.effect("different keys have different token keys", () =>
      Effect.gen(function*() {
        const keys = yield* Effect.forEach([undefined, DPoP.generate(), DPoP.generate()], (dpop) =>
          Effect.map(
            TokenEndpoint.make({
              tokenEndpoint,
              clientId: "app",
              clientSecret: Redacted.make("secret"),
              dpop
            }),
            (endpoint) => storeKey(endpoint.resolve())
          ))
        assert.strictEqual(new Set(keys).size, 3)
      }).pipe(Effect.provide(TestAuthorizationServer.layer())))
  })

  it.effect("a key that cannot be read is reported when the layer is built", () =>
    Effect.gen(function*() {
      const { client } = yield* makeWorld
      const exit = yield* Effect.exit(
        Effect.provide(get(), layer(client, { dpop: DPoP.fromKey(Redacted.make("no key")) }))
      )
      const message = exit._tag === "Failure" ? Cause.pretty(exit.cause) : ""
      assert.include(message, "TokenEndpoint.dpop provides no key: the key")
      assert.notInclude(message, "no key\"")
    }))

  it.effect("rule 9: neither the response nor the provider shows the proof, the token or the private key", () =>
    Effect.gen(function*() {
      const { client } = yield* makeWorld
      const key = yield* makeKey
      const all = layer(client, { dpop: DPoP.fromKey(key) })
      yield* Effect.gen(function*() {
        const response = yield* get()
        const provider = yield* TokenProvider.TokenProvider
        const token = yield* provider.get()
        const secrets = ["token-1", String(Redacted.value(key).d)]
        deepStrictEqual(leaks(response, secrets), [])
        deepStrictEqual(leaks(token, secrets).filter((path) => !path.startsWith("at ")), [])
        assert.isUndefined(response.request.headers.dpop)
        assert.isUndefined(response.request.headers.authorization)
      }).pipe(Effect.provide(all))
    }))

  it.effect("rule 9: no error contains a proof or assertion that the server echoes", () =>
    Effect.gen(function*() {
      const echoed: Array<string> = []
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          const { body, headers } = request
          const form = new URLSearchParams(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "")
          const secrets = [headers.dpop ?? "", form.get("client_assertion") ?? ""]
          echoed.push(...secrets)
          return HttpClientResponse.fromWeb(
            request,
            Response.json({ error: "invalid_client", error_description: secrets.join(" ") }, {
              status: 401,
              headers: { "x-echo": secrets[0] ?? "" }
            })
          )
        })
      )
      const error = yield* Effect.gen(function*() {
        const endpoint = yield* TokenEndpoint.make({
          tokenEndpoint,
          clientId: "app",
          clientAuth: ClientAuth.clientSecretJwt(Redacted.make("s".repeat(32))),
          dpop: DPoP.generate()
        })
        return yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
      assert.isTrue(echoed.length >= 2 && echoed.every((secret) => secret.split(".").length === 3))
      deepStrictEqual(leaks(error, echoed), [])
      assert.include(error.message, "invalid_client: <redacted> <redacted>")
    }))

  it.effect("rule 10: a proof follows no redirect, though fetch would send it", () =>
    Effect.gen(function*() {
      const { client } = yield* makeWorld
      const inits: Array<RequestInit | undefined> = []
      const watched = HttpClient.make((request) =>
        Effect.flatMap(Effect.context<never>(), (context) => {
          if (request.url.startsWith(apiUrl)) {
            inits.push(Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)))
          }
          return client.execute(request)
        })
      )
      yield* get().pipe(
        Effect.provide(layer(watched)),
        Effect.provideService(FetchHttpClient.RequestInit, { cache: "no-store" })
      )
      deepStrictEqual(inits, [{ cache: "no-store", redirect: "manual" }])
    }))
})
