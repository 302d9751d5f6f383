import { AuthedHttpClient, ClientAuth, DPoP, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Context, Effect, Layer, Option, Redacted, Stream } from "effect"
import * as jose from "jose"
import * as DPoPServer from "./DPoPServer.js"
import { leaks } from "./Secrets.js"

const now = () => 0

const layer = (
  server: ReturnType<typeof DPoPServer.make>,
  options?: {
    readonly dpop?: TokenEndpoint.Options["dpop"]
    readonly clientAuth?: ClientAuth.ClientAuth
    readonly store?: Layer.Layer<TokenStore.TokenStore>
  }
) =>
  AuthedHttpClient.layer({ baseUrl: DPoPServer.apiUrl }).pipe(
    Layer.provide(TokenEndpoint.layer({
      url: DPoPServer.tokenUrl,
      clientId: "app",
      clientAuth: options?.clientAuth ?? ClientAuth.secretBasic(Redacted.make("secret")),
      dpop: options?.dpop ?? DPoP.generate()
    })),
    Layer.provide(options?.store ?? TokenStore.layerMemory()),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, server.client))
  )

const get = (path = "/orders?page=1") => Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => client.get(path))

const post = (body: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(
    AuthedHttpClient.AuthedHttpClient,
    (client) => client.execute(body(HttpClientRequest.post("/orders")))
  )

const shown = (server: ReturnType<typeof DPoPServer.make>) =>
  server.exchanges.map(({ nonce, status, to }) => `${to} ${status}${nonce === undefined ? "" : ` ${String(nonce)}`}`)

const makeKey = Effect.promise(async () => {
  const { privateKey } = await jose.generateKeyPair("ES256", { extractable: true })
  return Redacted.make(await jose.exportJWK(privateKey))
})

describe("AuthedHttpClient with DPoP (RFC 9449)", () => {
  it.effect("each request carries the token, and a proof for it alone", () => {
    const server = DPoPServer.make({ now })
    return Effect.gen(function*() {
      assert.strictEqual((yield* get()).status, 200)
      assert.strictEqual((yield* get("/other")).status, 200)
      assert.strictEqual((yield* post(HttpClientRequest.bodyText("x"))).status, 200)
      deepStrictEqual(shown(server), ["token 200", "api 200", "api 200", "api 200"])
      assert.strictEqual(new Set(server.exchanges.map(({ jti }) => jti)).size, 4)
      deepStrictEqual(
        new Set(server.exchanges.slice(1).map(({ authorization }) => authorization)),
        new Set(["DPoP bound-token-1"])
      )
    }).pipe(Effect.provide(layer(server)))
  })

  describe("nonces (RFC 9449 §8, §9)", () => {
    it.effect("the first one of each side costs one more request, the next ones come with the answers", () => {
      const server = DPoPServer.make({ now, tokenNonce: true, apiNonce: true })
      return Effect.gen(function*() {
        assert.strictEqual((yield* get()).status, 200)
        assert.strictEqual((yield* get()).status, 200)
        deepStrictEqual(shown(server), [
          "token 400",
          "token 200 token-nonce-1",
          "api 401",
          "api 200 api-nonce-1",
          "api 200 api-nonce-1"
        ])
        server.rotateNonce("api")
        assert.strictEqual((yield* get()).status, 200)
        deepStrictEqual(shown(server).slice(5), ["api 401 api-nonce-1", "api 200 api-nonce-2"])
      }).pipe(Effect.provide(layer(server)))
    })

    it.effect("a fresh client assertion goes with the second token request", () => {
      const server = DPoPServer.make({ now, tokenNonce: true })
      return Effect.gen(function*() {
        yield* get()
        const [first, second] = server.exchanges.map(({ clientAssertion }) => clientAssertion)
        assert.isString(first)
        assert.notStrictEqual(first, second)
      }).pipe(Effect.provide(layer(server, { clientAuth: ClientAuth.secretJwt(Redacted.make("s".repeat(32))) })))
    })

    it.effect("a nonce has a budget of its own: after it, a 401 is still renewed and replayed", () => {
      const server = DPoPServer.make({ now, apiNonce: true })
      return Effect.gen(function*() {
        yield* get()
        server.revokeAll()
        server.rotateNonce("api")
        assert.strictEqual((yield* get()).status, 200)
        deepStrictEqual(shown(server).slice(3), [
          "api 401 api-nonce-1",
          "api 401 api-nonce-2",
          "token 200",
          "api 200 api-nonce-2"
        ])
      }).pipe(Effect.provide(layer(server)))
    })

    it.effect("a server that is never content with its own nonce is asked twice, and its answer returned", () => {
      const server = DPoPServer.make({ now, apiNonce: true })
      return Effect.gen(function*() {
        const impatient = HttpClient.make((request) =>
          Effect.tap(server.client.execute(request), () => Effect.sync(() => server.rotateNonce("api")))
        )
        const response = yield* Effect.provide(get(), layer({ ...server, client: impatient }))
        assert.strictEqual(response.status, 401)
        deepStrictEqual(shown(server).map((exchange) => exchange.slice(0, 7)), ["token 2", "api 401", "api 401"])
      })
    })

    it.effect("a token endpoint that is never content with its own nonce is asked twice, by 401 too", () =>
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
          url: DPoPServer.tokenUrl,
          clientId: "app",
          // Another one each time, as of a platform's identity service
          clientAuth: ClientAuth.assertion(Effect.sync(() => Redacted.make(`assertion-${asked}`))),
          dpop: DPoP.generate()
        }).pipe(Effect.provideService(HttpClient.HttpClient, client))
        yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
        assert.strictEqual(asked, 2)
      }))

    it.effect("RFC 9449 §7.1: of a resource that takes Bearer too, what it says of DPoP counts", () => {
      const server = DPoPServer.make({ now, apiNonce: true, otherChallenge: "Bearer error=\"invalid_token\", " })
      return Effect.gen(function*() {
        assert.strictEqual((yield* get()).status, 200)
        deepStrictEqual(shown(server), ["token 200", "api 401", "api 200 api-nonce-1"])
      }).pipe(Effect.provide(layer(server)))
    })

    it.effect("rule 5: a body that is not sure to be the same is not sent again, and the nonce kept for the next", () => {
      const server = DPoPServer.make({ now, apiNonce: true })
      const stream = HttpClientRequest.bodyStream(Stream.make(new Uint8Array([1])))
      return Effect.gen(function*() {
        assert.strictEqual((yield* post(stream)).status, 401)
        assert.strictEqual((yield* post(stream)).status, 200)
        deepStrictEqual(shown(server), ["token 200", "api 401", "api 200 api-nonce-1"])
      }).pipe(Effect.provide(layer(server)))
    })
  })

  describe("a token bound to a key is never sent without a proof", () => {
    for (const tokenType of ["Bearer", "bearer"]) {
      it.effect(`a ${tokenType} token from a server that does not know DPoP is refused`, () => {
        const server = DPoPServer.make({ now, tokenType })
        return Effect.gen(function*() {
          const error = yield* Effect.flip(get())
          assert.strictEqual(
            error.message,
            `Token endpoint ${DPoPServer.tokenUrl} answered 200: token_type is not DPoP`
          )
          deepStrictEqual(shown(server), ["token 200"])
        }).pipe(Effect.provide(layer(server)))
      })
    }

    it.effect("a DPoP token that nobody asked for is refused", () =>
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
          url: DPoPServer.tokenUrl,
          clientId: "app",
          clientSecret: Redacted.make("secret")
        }).pipe(Effect.provideService(HttpClient.HttpClient, client))
        const error = yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
        assert.include(error.message, "token_type is \"DPoP\", which nobody asked for")
      }))
  })

  describe("rule 2: never shared across keys", () => {
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

    it.effect("a token of a key that other processes have is stored, and adopted with its key", () =>
      Effect.gen(function*() {
        const server = DPoPServer.make({ now })
        const key = yield* makeKey
        const store = shared()
        for (const _ of [1, 2]) {
          const response = yield* Effect.provide(
            Effect.zipLeft(get(), Effect.yieldNow()),
            layer(server, { dpop: DPoP.fromKey(key), store: store.layer })
          )
          assert.strictEqual(response.status, 200)
        }
        deepStrictEqual(shown(server), ["token 200", "api 200", "api 200"])
        assert.strictEqual(store.entries.size, 1)
      }))

    it.effect("a token of a key that was made here is not stored", () =>
      Effect.gen(function*() {
        const server = DPoPServer.make({ now })
        const store = shared()
        yield* Effect.provide(get(), layer(server, { store: store.layer }))
        assert.strictEqual(store.entries.size, 0)
      }))

    it.effect("different keys have different token keys", () =>
      Effect.gen(function*() {
        const keys = yield* Effect.forEach([undefined, DPoP.generate(), DPoP.generate()], (dpop) =>
          Effect.map(
            TokenEndpoint.make({
              url: DPoPServer.tokenUrl,
              clientId: "app",
              clientSecret: Redacted.make("secret"),
              dpop
            }),
            (endpoint) => endpoint.resolve().key
          ))
        assert.strictEqual(new Set(keys).size, 3)
      }).pipe(Effect.provideService(HttpClient.HttpClient, DPoPServer.make({ now }).client)))
  })

  it.effect("a key that cannot be had is found when the layer is built", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Effect.provide(get(), layer(DPoPServer.make({ now }), { dpop: DPoP.fromKey(Redacted.make("no key")) }))
      )
      const message = exit._tag === "Failure" ? Cause.pretty(exit.cause) : ""
      assert.include(message, "TokenEndpoint.dpop brings no key: the key")
      assert.notInclude(message, "no key\"")
    }))

  it.effect("rule 9: neither the response nor the provider shows the proof, the token or the private key", () =>
    Effect.gen(function*() {
      const server = DPoPServer.make({ now })
      const key = yield* makeKey
      const all = layer(server, { dpop: DPoP.fromKey(key) })
      yield* Effect.gen(function*() {
        const response = yield* get()
        const provider = yield* TokenProvider.TokenProvider
        const token = yield* provider.get()
        const secrets = ["bound-token-1", String(Redacted.value(key).d)]
        deepStrictEqual(leaks(response, secrets), [])
        deepStrictEqual(leaks(token, secrets).filter((path) => !path.startsWith("at ")), [])
        assert.isUndefined(response.request.headers.dpop)
        assert.isUndefined(response.request.headers.authorization)
      }).pipe(Effect.provide(all))
    }))

  it.effect("rule 9: a proof and an assertion that the server echoes are in no error", () =>
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
          url: DPoPServer.tokenUrl,
          clientId: "app",
          clientAuth: ClientAuth.secretJwt(Redacted.make("s".repeat(32))),
          dpop: DPoP.generate()
        })
        return yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
      assert.isTrue(echoed.length >= 2 && echoed.every((secret) => secret.split(".").length === 3))
      deepStrictEqual(leaks(error, echoed), [])
      assert.include(error.message, "invalid_client: <redacted> <redacted>")
    }))

  it.effect("rule 10: a proof follows no redirect, where fetch would take it along", () =>
    Effect.gen(function*() {
      const server = DPoPServer.make({ now })
      const inits: Array<RequestInit | undefined> = []
      const client = HttpClient.make((request) =>
        Effect.flatMap(Effect.context<never>(), (context) => {
          if (request.url.startsWith(DPoPServer.apiUrl)) {
            inits.push(Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)))
          }
          return server.client.execute(request)
        })
      )
      yield* get().pipe(
        Effect.provide(layer({ ...server, client })),
        Effect.provideService(FetchHttpClient.RequestInit, { cache: "no-store" })
      )
      deepStrictEqual(inits, [{ cache: "no-store", redirect: "manual" }])
    }))
})
