import {
  AuthedHttpClient,
  ClientAuth,
  OAuthError,
  RetryPolicy,
  TokenEndpoint,
  TokenProvider,
  TokenStore
} from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { HttpApiClient, HttpBody, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Chunk, Clock, Context, Effect, Layer, Option, Redacted, TestClock } from "effect"
import { decodeProtectedHeader } from "jose"
import { hang } from "../../core/test/support/hang.js"
import { isThorough } from "../../core/test/support/Runs.js"
import { AuthorizationServer } from "../src/AuthorizationServer.js"
import * as ProtectedApi from "../src/ProtectedApi.js"
import { type Exchange, Wire } from "../src/Wire.js"
import { OrdersApi } from "./OrdersApi.js"
import * as Shop from "./Shop.js"

const answers = (exchanges: ReadonlyArray<Exchange>) => exchanges.map(({ status }) => status)

const tokensIn = (exchanges: ReadonlyArray<Exchange>) =>
  Array.from(new Set(exchanges.flatMap(({ sentToken }) => sentToken ?? [])))

const get = (path: string) =>
  Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => Effect.tap(client.get(path), ({ text }) => text))

/** The error of a call that failed because no token was issued. */
const failureOf = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(call), (error) => {
    assert.instanceOf(error, OAuthError.TokenEndpointError)
    return error
  })

const minute = 60_000

const pause = Effect.withClock(Effect.sleep("1 millis"), Clock.make())

/** Waits until this is so, whatever the test's clock says. */
const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.zipRight(pause, condition), { until: (is) => is })

// CI also runs the other format
const formats: ReadonlyArray<Shop.Format> = isThorough ? ["JWT", "opaque"] : ["JWT"]

describe.concurrent.each(formats)("%s access tokens", (format) => {
  it.live("are requested once for put, get and delete", () =>
    Effect.gen(function*() {
      const client = yield* AuthedHttpClient.AuthedHttpClient
      const order = { item: "coffee", quantity: 1 }
      const put = yield* client.put("/orders/42", { body: HttpBody.unsafeJson(order) })
      const got = yield* client.get("/orders/42")
      const deleted = yield* client.del("/orders/42")
      const gone = yield* client.get("/orders/42")
      deepStrictEqual([put, got, deleted, gone].map(({ status }) => status), [201, 200, 204, 404])
      deepStrictEqual(yield* got.json, order)

      const api = yield* ProtectedApi.ProtectedApi
      const { tokenRequests } = yield* AuthorizationServer
      deepStrictEqual(answers(yield* tokenRequests), [200])
      const [token, ...others] = tokensIn(yield* api.requests)
      assert.isEmpty(others)
      if (format === "JWT") {
        assert.strictEqual(decodeProtectedHeader(Redacted.value(token)).typ, "at+jwt")
      } else {
        assert.notInclude(Redacted.value(token), ".")
      }
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer({ format }))))

  it.effect("are renewed before they expire under steady traffic, while calls continue", () =>
    Effect.gen(function*() {
      const wire = yield* Wire
      const api = yield* ProtectedApi.ProtectedApi
      const provider = yield* TokenProvider.TokenProvider
      const { delay, tokenRequests } = yield* AuthorizationServer
      const client = yield* AuthedHttpClient.AuthedHttpClient
      const startedAt = new Map<string, number>()

      const call = Effect.gen(function*() {
        const id = `${startedAt.size}`
        startedAt.set(id, yield* wire.now)
        const response = yield* client.get("/orders/1", { headers: { "x-request-id": id } })
        assert.strictEqual(response.status, 200)
        yield* response.text
      })
      const traffic = Effect.all([call, call, call], { concurrency: "unbounded", discard: true })
      const isRenewing = Effect.map(TokenProvider.status(provider), (status) => status.isRenewing)
      const isAsked = Effect.zipWith(TestClock.sleeps(), TestClock.currentTimeMillis, (ends, now) =>
        Chunk.contains(ends, now + minute))

      yield* traffic
      yield* delay(minute)
      while (tokensIn(yield* api.requests).length < 4) {
        yield* TestClock.adjust("3 minutes")
        yield* traffic
        if (!(yield* isRenewing)) {
          continue
        }
        yield* until(isAsked)
        yield* traffic
        // The server delays the token for this minute. No more time may pass until the token arrives: the duration of
        // the request decides how early the next one is sent
        yield* TestClock.adjust(minute)
        yield* until(Effect.negate(isRenewing))
      }

      const requests = yield* api.requests
      deepStrictEqual(new Set(answers(requests)), new Set([200]))
      const renewals = yield* tokenRequests
      deepStrictEqual(answers(renewals), [200, 200, 200, 200])
      renewals.slice(1).forEach((renewal, index) => {
        // Four fifths of the lifetime
        assert.isAtLeast(renewal.startedAt - renewals[index].startedAt, 16 * minute)
        const during = requests.filter(({ requestId }) =>
          startedAt.get(requestId ?? "") === renewal.startedAt
        )
        assert.isAtLeast(during.length, 6)
        for (const { sentToken } of during) assert.strictEqual(sentToken, renewals[index].issuedToken)
      })
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer({ format, lifetime: "20 minutes" }))))

  it.effect("that expired without traffic are replaced before the next call is sent", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const { tokenRequests } = yield* AuthorizationServer
      yield* get("/orders/1")
      yield* TestClock.adjust("61 minutes")
      deepStrictEqual(answers(yield* tokenRequests), [200])
      yield* get("/orders/1")
      deepStrictEqual(answers(yield* tokenRequests), [200, 200])
      deepStrictEqual(answers(yield* api.requests), [200, 200])
      assert.strictEqual(tokensIn(yield* api.requests).length, 2)
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer({ format, lifetime: "1 hour" }))))

  it.live("that are revoked cost one 401, one token request and one replay", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const { revoke, tokenRequests } = yield* AuthorizationServer
      yield* get("/orders/1")
      const [first] = tokensIn(yield* api.requests)
      yield* format === "opaque" ? revoke(first) : api.deny(first)

      assert.strictEqual((yield* get("/orders/1")).status, 200)
      assert.strictEqual((yield* get("/orders/1")).status, 200)
      const requests = yield* api.requests
      deepStrictEqual(answers(requests), [200, 401, 200, 200])
      deepStrictEqual(requests.map(({ sentToken }) => sentToken === first), [true, true, false, false])
      assert.strictEqual(tokensIn(requests).length, 2)
      deepStrictEqual(answers(yield* tokenRequests), [200, 200])
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer({ format }))))

  it.live("that are rejected 20 times at once cost one token request", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const { revoke, tokenRequests } = yield* AuthorizationServer
      yield* get("/orders/1")
      const [first] = tokensIn(yield* api.requests)
      yield* format === "opaque" ? revoke(first) : api.deny(first)

      const responses = yield* Effect.all(Array.from({ length: 20 }, () => get("/orders/1")), {
        concurrency: "unbounded"
      })
      assert.isTrue(responses.every(({ status }) => status === 200))
      deepStrictEqual(answers(yield* tokenRequests), [200, 200])
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer({ format }))))
})

describe.concurrent("token requests", () => {
  it.live("are sent once for 50 concurrent calls without a token", () =>
    Effect.gen(function*() {
      const { delay, tokenRequests } = yield* AuthorizationServer
      yield* delay("100 millis")
      const responses = yield* Effect.all(Array.from({ length: 50 }, () => get("/orders/1")), {
        concurrency: "unbounded"
      })
      assert.isTrue(responses.every(({ status }) => status === 200))
      deepStrictEqual(answers(yield* tokenRequests), [200])
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))

  it.live("with a wrong secret fail with invalid_client, and the call is not sent", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const { tokenEndpoint, tokenRequests } = yield* AuthorizationServer
      const error = yield* failureOf(get("/orders/1"))
      assert.strictEqual(error.reason, "OAuth")
      assert.strictEqual(error.error, "invalid_client")
      assert.strictEqual(error.status, 401)
      assert.strictEqual(error.endpoint, tokenEndpoint)
      assert.include(error.message, "invalid_client")
      assert.isEmpty(yield* api.requests)
      // A definite error is not retried
      deepStrictEqual(answers(yield* tokenRequests), [401])
    }).pipe(
      Effect.provide(Shop.clientLayer({ clientSecret: Redacted.make("not-the-secret") })),
      Effect.provide(Shop.layer())
    ))

  it.live("with client_secret_post have no Authorization header", () =>
    Effect.gen(function*() {
      const { tokenRequests } = yield* AuthorizationServer
      assert.strictEqual((yield* get("/orders/1")).status, 200)
      const [request] = yield* tokenRequests
      assert.strictEqual(request.status, 200)
      assert.isUndefined(request.scheme)
    }).pipe(
      Effect.provide(Shop.clientLayer({ clientAuth: ClientAuth.clientSecretPost(Shop.client.secret) })),
      Effect.provide(Shop.layer())
    ))

  // RFC 6749, appendix A: id and secret may hold every printable character of ASCII
  const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index)).join("")
  const awkward = { id: `shop ${printable}`, secret: Redacted.make(printable) }

  it.live.each([
    ClientAuth.clientSecretBasic(awkward.secret),
    ClientAuth.clientSecretPost(awkward.secret)
  ])("by $method accept every printable character in id and secret", (clientAuth) =>
    Effect.gen(function*() {
      const { tokenRequests } = yield* AuthorizationServer
      assert.strictEqual((yield* get("/orders/1")).status, 200)
      deepStrictEqual(answers(yield* tokenRequests), [200])
    }).pipe(
      Effect.provide(Shop.clientLayer({ clientId: awkward.id, clientAuth })),
      Effect.provide(Shop.layer({ clients: [awkward] }))
    ))

  it.live("for a scope that the client is not allowed fail with invalid_scope", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const error = yield* failureOf(AuthedHttpClient.withTokenScope(get("/orders/1"), "admin"))
      assert.strictEqual(error.error, "invalid_scope")
      assert.strictEqual(error.status, 400)
      assert.isEmpty(yield* api.requests)
      assert.strictEqual((yield* AuthedHttpClient.withTokenScope(get("/orders/1"), ["write", "read"])).status, 200)
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))

  it.live("for an unknown resource fail with invalid_target", () =>
    Effect.gen(function*() {
      const error = yield* failureOf(AuthedHttpClient.withTokenResource(get("/orders/1"), "urn:elsewhere"))
      assert.strictEqual(error.error, "invalid_target")
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))

  it.live("are sent once for each resource (RFC 8707)", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const { tokenRequests } = yield* AuthorizationServer
      const forInvoices = AuthedHttpClient.withTokenResource(Shop.invoices)
      assert.strictEqual((yield* get("/orders/1")).status, 200)
      assert.strictEqual((yield* forInvoices(get("/invoices/7"))).status, 200)
      assert.strictEqual((yield* get("/orders/1")).status, 200)
      assert.strictEqual((yield* forInvoices(get("/invoices/7"))).status, 200)
      const [orders, invoices, ...again] = (yield* api.requests).map(({ sentToken }) => sentToken)
      assert.notStrictEqual(orders, invoices)
      assert.sameOrderedMembers(again, [orders, invoices])
      deepStrictEqual(answers(yield* tokenRequests), [200, 200])
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))

  it.live("that are answered with 503 are retried, once for all callers", () =>
    Effect.gen(function*() {
      const { failNext, tokenRequests } = yield* AuthorizationServer
      yield* failNext(2)
      const responses = yield* Effect.all(Array.from({ length: 20 }, () => get("/orders/1")), {
        concurrency: "unbounded"
      })
      assert.isTrue(responses.every(({ status }) => status === 200))
      deepStrictEqual(answers(yield* tokenRequests), [503, 503, 200])
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))

  it.live("are retried no earlier than Retry-After", () =>
    Effect.gen(function*() {
      const { failNext, tokenRequests } = yield* AuthorizationServer
      yield* failNext(1, 429, { "retry-after": "1" })
      assert.strictEqual((yield* get("/orders/1")).status, 200)
      const [first, second] = yield* tokenRequests
      assert.isAtLeast(second.startedAt - first.endedAt, 990)
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))

  it.live("that keep failing fail the call with the server's response, and the call is not sent", () =>
    Effect.gen(function*() {
      const api = yield* ProtectedApi.ProtectedApi
      const { failNext, tokenRequests } = yield* AuthorizationServer
      yield* failNext(2)
      const error = yield* failureOf(get("/orders/1"))
      assert.strictEqual(error.status, 503)
      assert.isEmpty(yield* api.requests)
      deepStrictEqual(answers(yield* tokenRequests), [503, 503])
    }).pipe(
      Effect.provide(Shop.clientLayer({
        tokenRequest: { timeout: hang, retry: RetryPolicy.exponential({ base: "10 millis", times: 1 }) }
      })),
      Effect.provide(Shop.layer())
    ))
})

describe.concurrent("the API", () => {
  it.live("answers requests without a valid token with 401 and a challenge", () =>
    Effect.gen(function*() {
      const response = yield* AuthedHttpClient.withoutToken(get("/orders/1"))
      deepStrictEqual([response.status, response.headers["www-authenticate"]], [401, "Bearer"])

      // Two tokens of the wrong resource, one after the other
      const wrong = yield* AuthedHttpClient.withTokenResource(get("/orders/1"), Shop.invoices)
      assert.strictEqual(wrong.status, 401)
      assert.include(wrong.headers["www-authenticate"], `error="invalid_token"`)
    }).pipe(Effect.provide(Shop.clientLayer()), Effect.provide(Shop.layer())))
})

describe.concurrent("layerHttpClient", () => {
  const ordersLayer = (clientSecret: Redacted.Redacted) =>
    Layer.unwrapEffect(Effect.gen(function*() {
      const { tokenEndpoint } = yield* AuthorizationServer
      const { url } = yield* ProtectedApi.ProtectedApi
      return AuthedHttpClient.layerHttpClient({ baseUrl: url }).pipe(
        Layer.provide(TokenEndpoint.layer({ tokenEndpoint, clientId: Shop.client.id, clientSecret })),
        Layer.provide(TokenStore.layerMemory()),
        Layer.provide(NodeHttp.layer())
      )
    }))

  const makeOrders = Effect.flatMap(
    ProtectedApi.ProtectedApi,
    ({ url }) => HttpApiClient.make(OrdersApi, { baseUrl: url })
  )

  it.live("authorizes an HttpApiClient that is not changed for it", () =>
    Effect.gen(function*() {
      const { orders } = yield* makeOrders
      const tea = { item: "tea", quantity: 2 }
      deepStrictEqual(yield* orders.put({ path: { id: "8" }, payload: tea }), tea)
      deepStrictEqual(yield* orders.get({ path: { id: "8" } }), tea)
      yield* orders.remove({ path: { id: "8" } })
      assert.strictEqual((yield* Effect.flip(orders.get({ path: { id: "8" } })))._tag, "NotFound")
      const { tokenRequests } = yield* AuthorizationServer
      deepStrictEqual(answers(yield* tokenRequests), [200])
    }).pipe(Effect.provide(ordersLayer(Shop.client.secret)), Effect.provide(Shop.layer())))

  it.live("fails with an error in which OAuthError.find finds the OAuthError", () =>
    Effect.gen(function*() {
      const { orders } = yield* makeOrders
      const error = yield* Effect.flip(orders.get({ path: { id: "1" } }))
      assert.strictEqual(error._tag, "RequestError")
      const found = Option.getOrThrow(OAuthError.find(error))
      assert.instanceOf(found, OAuthError.TokenEndpointError)
      assert.strictEqual(found.error, "invalid_client")
      const api = yield* ProtectedApi.ProtectedApi
      assert.isEmpty(yield* api.requests)
    }).pipe(Effect.provide(ordersLayer(Redacted.make("not-the-secret"))), Effect.provide(Shop.layer())))
})

describe.concurrent("layerFromProvider", () => {
  it.scopedLive("lets two APIs share one provider", () =>
    Effect.gen(function*() {
      const { tokenEndpoint, tokenRequests } = yield* AuthorizationServer
      const one = yield* ProtectedApi.ProtectedApi
      const other = Context.get(yield* Layer.build(ProtectedApi.layer({ "orders/2": {} })), ProtectedApi.ProtectedApi)
      const provider = yield* Layer.build(
        TokenProvider.layer().pipe(
          Layer.provide(TokenEndpoint.layer({
            tokenEndpoint,
            clientId: Shop.client.id,
            clientSecret: Shop.client.secret
          })),
          Layer.provide(TokenStore.layerMemory()),
          Layer.provideMerge(NodeHttp.layer())
        )
      )
      const clientOf = (baseUrl: string) =>
        Effect.provide(
          AuthedHttpClient.AuthedHttpClient,
          Layer.provide(AuthedHttpClient.layerFromProvider({ baseUrl }), Layer.succeedContext(provider))
        )
      const clients = [yield* clientOf(one.url), yield* clientOf(other.url)]
      const both = Effect.forEach([1, 2], (id, index) =>
        Effect.tap(clients[index].get(`/orders/${id}`), ({ text }) => text), {
        concurrency: "unbounded"
      })
      deepStrictEqual(
        (yield* both).map(({ status }) =>
          status
        ),
        [200, 200]
      )
      deepStrictEqual(answers(yield* tokenRequests), [200])

      // A token that one API rejects is replaced once, for both
      const [token] = tokensIn(yield* one.requests)
      yield* one.deny(token)
      yield* other.deny(token)
      deepStrictEqual((yield* both).map(({ status }) => status), [200, 200])
      deepStrictEqual(answers(yield* tokenRequests), [200, 200])

      // Neither sends a token to the other's origin
      const error = yield* Effect.flip(clients[0].execute(HttpClientRequest.get(`${other.url}/orders/2`)))
      assert.strictEqual(error._tag, "OriginNotAllowed")
    }).pipe(Effect.provide(Shop.layer())))
})

describe.concurrent("Redis", () => {
  it.live("shares the first client's token with a second client, and its replacement too", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServer.shared
      const api = yield* ProtectedApi.ProtectedApi
      const { tokenRequests } = yield* AuthorizationServer
      // Two calls of a function: nothing is shared but Redis
      const inOneProcess = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.provide(effect, Shop.clientLayer({ redis: { url, prefix: "effect-alf-test:", commandTimeout: hang } }))

      yield* inOneProcess(get("/orders/1"))
      yield* inOneProcess(get("/orders/1"))
      const [first, ...none] = tokensIn(yield* api.requests)
      assert.isEmpty(none)

      yield* api.deny(first)
      yield* inOneProcess(get("/orders/1"))
      yield* inOneProcess(get("/orders/1"))
      deepStrictEqual(answers(yield* api.requests), [200, 200, 401, 200, 200])
      deepStrictEqual(answers(yield* tokenRequests), [200, 200])
    }).pipe(Effect.scoped, Effect.provide(Shop.layer())))
})
