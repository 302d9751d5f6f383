/** Each row of "Coming from alf", as someone who comes from there would try it. */
import { AuthedHttpClient, RetryPolicy, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { HttpBody } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, Redacted } from "effect"
import type { ServerResponse } from "node:http"
import * as OAuthServer from "./OAuthServer.js"
import { unhurried, unhurriedRedis } from "./unhurried.js"

const optionsFor = (server: OAuthServer.OAuthServer) => ({
  ...unhurried,
  tokenEndpoint: server.tokenEndpoint,
  clientId: "client-id",
  clientSecret: Redacted.make("client-secret"),
  baseUrl: server.url
})

const makeClient = (options: NodeAuthedHttpClient.Options) =>
  Effect.map(
    Layer.build(NodeAuthedHttpClient.layer(options)),
    (context) => Context.get(context, AuthedHttpClient.AuthedHttpClient)
  )

const giveToken = (response: ServerResponse) =>
  response.end(JSON.stringify({ access_token: "a-token", token_type: "Bearer" }))

describe("Coming from alf", () => {
  it.scopedLive("Client(token_endpoint, client_id, client_secret): put, get and delete with one token", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const alf = yield* makeClient(optionsFor(server))
      const responses = [
        yield* alf.put("/resource", { body: HttpBody.unsafeJson({ name: "alf" }) }),
        yield* alf.get("/resource"),
        yield* alf.del("/resource")
      ]
      deepStrictEqual(responses.map(({ status }) => status), [200, 200, 200])
      assert.lengthOf(server.tokenRequests, 1)
      assert.strictEqual(new Set(server.presented).size, 1)
    }))

  it.scopedLive("token_storage=redis: another client finds the token there", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { prefix, url } = yield* RedisServer.shared
      const options = { ...optionsFor(server), redis: { url, prefix, ...unhurriedRedis } }
      // A client of its own scope, which leaves nothing behind but what is in Redis
      const first = yield* Effect.scoped(Effect.flatMap(makeClient(options), (alf) => alf.get("/resource")))
      const second = yield* Effect.flatMap(makeClient(options), (alf) => alf.get("/resource"))
      deepStrictEqual([first.status, second.status], [200, 200])
      assert.lengthOf(server.tokenRequests, 1)
    }))

  it.scopedLive("token_storage=any object with get and set: another client finds the token there", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const stored = new Map<string, string>()
      const tokenStore = Layer.sync(TokenStore.TokenStore, () => TokenStore.make(stored))
      const options = { ...optionsFor(server), tokenStore }
      yield* Effect.scoped(Effect.flatMap(makeClient(options), (alf) => alf.get("/resource")))
      const { status } = yield* Effect.flatMap(makeClient(options), (alf) => alf.get("/resource"))
      assert.strictEqual(status, 200)
      assert.strictEqual(stored.size, 1)
      assert.lengthOf(server.tokenRequests, 1)
    }))

  it.scopedLive("token_retries=Retry(total=5, status_forcelist=[500]): the POST is really retried, five times", () =>
    Effect.gen(function*() {
      const answers = [500, 500, 500, 500, 500]
      const server = yield* OAuthServer.make({
        onTokenRequest: (_, response) => {
          const status = answers.shift()
          return status === undefined ? giveToken(response) : response.writeHead(status).end()
        }
      })
      const alf = yield* makeClient({
        ...optionsFor(server),
        tokenRequest: {
          ...unhurried.tokenRequest,
          retry: RetryPolicy.exponential({ base: "1 millis", times: 5 }),
          retryWhile: RetryPolicy.statuses([500])
        },
        // The resource does not know this token
        retryOn401: false
      })
      yield* alf.get("/resource")
      assert.lengthOf(server.tokenRequests, 6)
      deepStrictEqual(server.presented, ["a-token"])
    }))

  it.scopedLive("token_request_params={'timeout': ...}: an attempt ends when its time is over", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make({ onTokenRequest: () => {} })
      const alf = yield* makeClient({
        ...optionsFor(server),
        tokenRequest: { timeout: "50 millis", retry: RetryPolicy.none }
      })
      const error = yield* Effect.flip(alf.get("/resource"))
      assert.strictEqual(error.message, `Token endpoint ${server.tokenEndpoint}: no answer within 50ms`)
      assert.isEmpty(server.presented)
    }))

  it.scopedLive("401: a new token, once", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const alf = yield* makeClient(optionsFor(server))
      yield* alf.get("/resource")
      server.revokeAll()
      const { status } = yield* alf.get("/resource")
      assert.strictEqual(status, 200)
      assert.lengthOf(server.tokenRequests, 2)
      assert.lengthOf(server.presented, 3)
    }))

  it.scopedLive("401: a second one is returned as it is", () =>
    Effect.gen(function*() {
      let issued = 0
      const server = yield* OAuthServer.make({
        onTokenRequest: (_, response) =>
          response.end(JSON.stringify({ access_token: `unknown-${++issued}`, token_type: "Bearer" }))
      })
      const alf = yield* makeClient(optionsFor(server))
      const response = yield* alf.get("/resource")
      assert.strictEqual(response.status, 401)
      deepStrictEqual(yield* response.json, { error: "invalid_token" })
      deepStrictEqual(server.presented, ["unknown-1", "unknown-2"])
    }))

  it.scopedLive("401: does not reset the fresh token of another caller", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const alf = yield* makeClient(optionsFor(server))
      yield* alf.get("/resource")
      server.revokeAll()
      const responses = yield* Effect.all(Array.from({ length: 50 }, () => alf.get("/resource")), {
        concurrency: "unbounded"
      })
      deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([200]))
      assert.lengthOf(server.tokenRequests, 2)
    }))

  it.scopedLive("a token error: typed, with status, headers and OAuth code; the request is not sent", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make({
        onTokenRequest: (_, response) =>
          response.writeHead(401, { "content-type": "application/json", "x-request-id": "r-1" })
            .end(JSON.stringify({ error: "invalid_client", error_description: "no such client" }))
      })
      const alf = yield* makeClient(optionsFor(server))
      const error = yield* Effect.flip(alf.get("/resource"))
      assert(error._tag === "TokenEndpointError")
      assert.strictEqual(
        error.message,
        `Token endpoint ${server.tokenEndpoint} answered 401 invalid_client: no such client`
      )
      deepStrictEqual(
        [error.status, error.error, error.errorDescription],
        [401, "invalid_client", "no such client"]
      )
      assert.strictEqual(error.headers?.["x-request-id"], "r-1")
      assert.isEmpty(server.presented)
    }))
})
