import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect, Fiber, Layer, Logger, Redacted, Ref, TestClock } from "effect"
import { text } from "node:stream/consumers"
import { AuthorizationServer, type Client } from "../../src/AuthorizationServer.js"
import { ProtectedApi } from "../../src/ProtectedApi.js"
import * as NightlyJob from "../../src/tasks/nightly-job.js"
import { main as retrySchedule } from "../../src/tasks/retry-schedule.js"
import { main as telemetry } from "../../src/tasks/telemetry.js"
import { main as twoApis } from "../../src/tasks/two-apis.js"
import * as Environment from "../integrations/Environment.js"
import * as Shop from "../Shop.js"

const quiet = Logger.remove(Logger.defaultLogger)

describe("nightly-job.ts", () => {
  const night = (variables: Readonly<Record<string, string>>) =>
    Effect.gen(function*() {
      const pages = yield* Ref.make<ReadonlyArray<string>>([])
      const outcome = yield* Environment.run(NightlyJob.main, variables).pipe(
        Effect.provideService(NightlyJob.Pager, { page: (message) => Ref.update(pages, (all) => [...all, message]) })
      )
      return { outcome, pages: yield* pages }
    }).pipe(Effect.provide(quiet))

  it.live("succeeds if the API responds", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* night({}), { outcome: { item: "tea" }, pages: [] })
    }).pipe(Effect.provide(Shop.layer())))

  it.scopedLive("postpones the job to the next night during an outage", () =>
    Effect.gen(function*() {
      const { failNext } = yield* AuthorizationServer
      const unavailable = yield* Environment.serve((_, response) => response.writeHead(503).end())
      yield* failNext(1, 503)
      for (
        const variables of [
          // Too short for a retry
          { ALF_MAX_WAIT: "100 millis" },
          { ALF_BASE_URL: unavailable },
          { ALF_BASE_URL: "http://127.0.0.1:9" }
        ]
      ) {
        deepStrictEqual(yield* night(variables), { outcome: "tomorrow", pages: [] })
      }
    }).pipe(Effect.provide(Shop.layer())))

  it.live("pages the owner about errors that a person has to fix", () =>
    Effect.gen(function*() {
      const { tokenEndpoint } = yield* AuthorizationServer
      const { url } = yield* ProtectedApi
      for (
        const [variables, message] of [
          [{ ALF_CLIENT_SECRET: "wrong" }, `Token endpoint ${tokenEndpoint} answered 401 invalid_client`],
          [{ ALF_CLIENT_ID: "" }, "ALF_CLIENT_ID"],
          [{ ALF_BASE_URL: `${url}/archive` }, "404"]
        ] as const
      ) {
        const { outcome, pages } = yield* night(variables)
        assert.strictEqual(outcome, "paged")
        assert.include(pages[0], message)
      }
    }).pipe(Effect.provide(Shop.layer())))
})

describe("two-apis.ts", () => {
  const reader: Client = { id: "reader", secret: Redacted.make("another-secret-0123456789abcdef"), scope: "read" }

  it.live("requests a token for each credential and scope", () =>
    Effect.gen(function*() {
      const { tokenEndpoint } = yield* AuthorizationServer
      const { requests, url } = yield* ProtectedApi
      const variablesOf = (prefix: string, { id, secret }: Client, resource: string) => ({
        [`${prefix}_TOKEN_ENDPOINT`]: tokenEndpoint,
        [`${prefix}_CLIENT_ID`]: id,
        [`${prefix}_CLIENT_SECRET`]: Redacted.value(secret),
        [`${prefix}_RESOURCE`]: resource,
        [`${prefix}_BASE_URL`]: url
      })
      const variables = {
        ...variablesOf("ORDERS", reader, Shop.orders),
        ...variablesOf("INVOICES", Shop.client, Shop.invoices)
      }
      deepStrictEqual(yield* Environment.run(twoApis, variables), { item: "tea", euro: 8.4 })
      deepStrictEqual(yield* Environment.seen, { token: [200, 200], api: ["GET 200", "PUT 201"] })
      deepStrictEqual((yield* requests).map(({ sentToken }) => sentToken), yield* Environment.issued)
    }).pipe(Effect.provide(Shop.layer({ clients: [reader, Shop.client] }))))
})

describe("retry-schedule.ts", () => {
  const { clientId, clientSecret, layer, tokenEndpoint, TestAuthorizationServer: Server } = TestAuthorizationServer

  const start = Effect.fork(Effect.withConfigProvider(
    retrySchedule,
    ConfigProvider.fromJson({
      ALF_TOKEN_ENDPOINT: tokenEndpoint,
      ALF_CLIENT_ID: clientId,
      ALF_CLIENT_SECRET: Redacted.value(clientSecret),
      ALF_BASE_URL: TestAuthorizationServer.apiUrl
    })
  ))

  it.effect("keeps retrying during maintenance", () =>
    Effect.gen(function*() {
      const { failNext, tokenRequests } = yield* Server
      yield* failNext(5, { status: 503 })
      yield* failNext(1, { status: 503, headers: { "retry-after": "300" } })
      const job = yield* start
      yield* TestClock.adjust("7 minutes")
      assert.lengthOf(yield* tokenRequests, 6)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* Fiber.join(job), 200)
      assert.lengthOf(yield* tokenRequests, 7)
    }).pipe(Effect.provide(Layer.merge(layer(), quiet))))

  it.effect("gives up after an hour", () =>
    Effect.gen(function*() {
      const { fail, tokenRequests } = yield* Server
      yield* fail({ status: 503, headers: { "retry-after": "600" } })
      const job = yield* start
      yield* TestClock.adjust("70 minutes")
      assert.strictEqual((yield* Effect.flip(Fiber.join(job)))._tag, "TokenEndpointError")
      assert.include([6, 7], (yield* tokenRequests).length)
    }).pipe(Effect.provide(Layer.merge(layer(), quiet))))
})

describe("telemetry.ts", () => {
  it.scopedLive("exports spans and metrics of the app and its client", () =>
    Effect.gen(function*() {
      const exported = new Map<string | undefined, string>()
      const collector = yield* Environment.serve((request, response) => {
        text(request).then((body) => {
          exported.set(request.url, (exported.get(request.url) ?? "") + body)
          response.writeHead(200).end()
        }, () => response.destroy())
      })
      assert.strictEqual(yield* Environment.run(telemetry, { OTEL_EXPORTER_OTLP_ENDPOINT: collector }), 200)
      for (const span of ["orders", "http.client GET", "TokenProvider.wait", "TokenProvider.renew"]) {
        assert.include(exported.get("/v1/traces"), `"name":"${span}"`)
      }
      assert.include(exported.get("/v1/metrics"), "\"name\":\"oauth.token.requests\"")
      for (const token of yield* Environment.issued) {
        assert.notInclude(Array.from(exported.values()).join(""), Redacted.value(token))
      }
    }).pipe(Effect.provide(Shop.layer())))
})
