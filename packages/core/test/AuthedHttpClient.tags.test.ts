import { AuthedHttpClient, ClientAuth, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthedHttpClient, TestAuthorizationServer } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Option, Redacted } from "effect"

class Payments extends AuthedHttpClient.Tag("Payments")<Payments>() {}
class Orders extends AuthedHttpClient.Tag("Orders")<Orders>() {}

const baseUrl = TestAuthorizationServer.apiUrl

const { clientSecretBasic, clientSecretPost } = ClientAuth

/** The server has one client, which authenticates in two ways. */
const endpoint = (method: typeof clientSecretBasic | typeof clientSecretPost) =>
  TokenEndpoint.layer({
    tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
    clientId: TestAuthorizationServer.clientId,
    clientAuth: method(TestAuthorizationServer.clientSecret)
  })

/** Two APIs with a credential each. */
const apis = Layer.merge(
  Payments.layer(Layer.provide(AuthedHttpClient.layer({ baseUrl }), endpoint(clientSecretBasic))),
  Orders.layer(Layer.provide(AuthedHttpClient.layer({ baseUrl }), endpoint(clientSecretPost)))
)

const { TestAuthorizationServer: Server } = TestAuthorizationServer

describe("AuthedHttpClient.Tag", () => {
  it.effect("two APIs have separate credentials, over one HTTP client and one store", () =>
    Effect.gen(function*() {
      const [payments, orders, server] = yield* Effect.all([Payments, Orders, Server])
      yield* payments.get("/payments")
      assert.isTrue(Option.isSome((yield* Payments.status()).token))
      assert.isTrue(Option.isNone((yield* Orders.status()).token))
      yield* orders.get("/orders")
      deepStrictEqual(
        (yield* server.tokenRequests).map(({ clientAuth }) => clientAuth),
        ["client_secret_basic", "client_secret_post"]
      )
      deepStrictEqual(
        (yield* server.apiRequests).map(({ token }) => token),
        (yield* server.tokenRequests).map(({ token }) => token)
      )
      assert.isTrue(Option.isSome((yield* Orders.status()).token))
    }).pipe(Effect.provide(
      apis.pipe(
        Layer.provide(TokenStore.layerMemory()),
        Layer.provideMerge(TestAuthorizationServer.layer())
      )
    )))

  it.effect("the provider of each supplies tokens for other protocols", () =>
    Effect.gen(function*() {
      const [payments, orders] = yield* Effect.all([Payments.provider, Orders.provider])
      const tokens = yield* Effect.all([payments.get(), orders.get()])
      assert.strictEqual(new Set(tokens.map(({ value }) => Redacted.value(value))).size, 2)
      yield* Effect.provideServiceEffect(TokenProvider.warm(), TokenProvider.TokenProvider, Payments.provider)
      assert.lengthOf(yield* Effect.flatMap(Server, ({ tokenRequests }) => tokenRequests), 2)
    }).pipe(Effect.provide(
      apis.pipe(
        Layer.provide(TokenStore.layerMemory()),
        Layer.provideMerge(TestAuthorizationServer.layer())
      )
    )))

  it.effect("two APIs with one credential share its provider, and have separate tokens", () =>
    Effect.gen(function*() {
      const [payments, orders] = yield* Effect.all([Payments, Orders])
      yield* payments.get("/payments")
      yield* orders.get("/orders")
      assert.strictEqual(yield* Payments.provider, yield* Orders.provider)
      assert.isTrue(Option.isSome((yield* Payments.status({ scope: "payments" })).token))
      assert.isTrue(Option.isNone((yield* Payments.status()).token))
    }).pipe(Effect.provide(
      Layer.merge(
        Payments.layer(AuthedHttpClient.layerFromProvider({ baseUrl, request: { scope: "payments" } })),
        Orders.layer(AuthedHttpClient.layerFromProvider({ baseUrl, request: { scope: "orders" } }))
      ).pipe(
        Layer.provide(TokenProvider.layer()),
        Layer.provide(endpoint(clientSecretBasic)),
        Layer.provide(TokenStore.layerMemory()),
        Layer.provideMerge(TestAuthorizationServer.layer())
      )
    )))

  it.effect("each API of a test has its own handler, and a provider with a token", () =>
    Effect.gen(function*() {
      const [payments, orders] = yield* Effect.all([Payments, Orders])
      const answers = yield* Effect.forEach(
        [payments, orders],
        (api) => Effect.flatMap(api.get("/"), ({ text }) => text)
      )
      deepStrictEqual(answers, ["a payment", "an order"])
      const { get, renew } = yield* Payments.provider
      const token = yield* get()
      assert.strictEqual(Redacted.value(token.value), "test-token")
      assert.strictEqual(yield* renew(token), token)
      assert.isTrue(Option.isNone((yield* Payments.status()).token))
    }).pipe(
      Effect.provide(Payments.layer(AuthedHttpClient.layerTest(() => new Response("a payment")))),
      Effect.provide(Orders.layer(AuthedHttpClient.layerTest(() => new Response("an order"))))
    ))

  const recording = TestAuthedHttpClient.layer(() => new Response())

  it.effect("the control of a test client is merged beside the tag", () =>
    Effect.gen(function*() {
      yield* Effect.flatMap(Payments, (payments) => payments.get("/payments"))
      const { requests } = yield* TestAuthedHttpClient.TestAuthedHttpClient
      deepStrictEqual((yield* requests).map(({ url }) => url), ["/payments"])
    }).pipe(Effect.provide(Layer.merge(Payments.layer(recording), recording))))
})

describe("AuthedHttpClient.layer", () => {
  it.effect("names all wrong options of client and provider", () =>
    Effect.gen(function*() {
      const wrong: any = { baseUrl: "api", origins: [5], request: { scope: 5 }, maxWait: 0, capacity: 1.5 }
      const builds = [
        Effect.asVoid(Layer.build(AuthedHttpClient.layer(wrong))),
        Effect.asVoid(Layer.build(AuthedHttpClient.layerHttpClient(wrong)))
      ]
      for (const build of builds) {
        const error = yield* Effect.flip(Effect.scoped(build)).pipe(
          Effect.provide(endpoint(clientSecretBasic)),
          Effect.provide(TokenStore.layerMemory()),
          Effect.provide(TestAuthorizationServer.layer())
        )
        assert.strictEqual(
          error.message,
          "AuthedHttpClient.baseUrl is not an absolute URL; AuthedHttpClient.origins is not a string; " +
            "AuthedHttpClient.request.scope is not a string or a list of strings; " +
            "TokenProvider.maxWait must be longer than zero; TokenProvider.capacity must be a whole number above zero"
        )
      }
    }))
})
