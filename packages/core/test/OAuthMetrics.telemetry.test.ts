/** The telemetry that an app exports by OpenTelemetry: whole span trees, all metrics, and every log line. */
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { HttpBody, HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Redacted, Stream, TestClock } from "effect"
import { during, settle } from "./support/ProviderBench.js"
import * as Secrets from "./support/Secrets.js"
import * as TelemetryBench from "./support/TelemetryBench.js"

const situation = <E>(
  name: string,
  options: TelemetryBench.Options,
  body: (world: TelemetryBench.World, telemetry: TelemetryBench.Telemetry) => Effect.Effect<void, E>
) =>
  it.effect(name, () =>
    TelemetryBench.run(name, options, (world, telemetry) =>
      Effect.gen(function*() {
        yield* body(world, telemetry)
        yield* settle
        const issued = yield* world.server.issued
        const isSecret = Secrets.finder([
          Redacted.value(TestAuthorizationServer.clientSecret),
          ...issued.map(({ value }) => value)
        ])
        for (const { attributes, events, status } of yield* telemetry.spans) {
          assert.isFalse(isSecret(JSON.stringify({ attributes, events, status })), "a secret in a span")
        }
        assert.isFalse(isSecret(JSON.stringify([yield* telemetry.metrics, telemetry.logs])), "a secret")
      })))

const request = (name: string) => ({ client }: TelemetryBench.World) => Effect.withSpan(client.get("/orders"), name)

const shown = (logs: ReadonlyArray<TelemetryBench.Log>) => logs.map(({ level, message }) => `${level} ${message}`)

/** What a renewal of a single process asks of the store. */
const storeCalls = (gets: number, renewals: number): ReadonlyArray<TelemetryBench.Series> => [
  ["oauth.token_store.operations oauth.outcome=ok oauth.token_store.method=acquireLease", renewals],
  ["oauth.token_store.operations oauth.outcome=ok oauth.token_store.method=get", gets],
  ["oauth.token_store.operations oauth.outcome=ok oauth.token_store.method=releaseLease", renewals],
  ["oauth.token_store.operations oauth.outcome=ok oauth.token_store.method=set", renewals]
]

const waited = (name: string) => [
  name,
  "  TokenProvider.wait oauth.renewal.reason=expiry -> TokenProvider.renew",
  "  http.client GET http.response.status_code=200 oauth.token.use=awaited"
]

const renewed = (reason: string, links: string) => [
  `TokenProvider.renew oauth.outcome=issued oauth.renewal.attempts=1 oauth.renewal.reason=${reason}${links}`,
  "  TokenEndpoint.attempt oauth.attempt=1",
  "    http.client POST http.response.status_code=200"
]

describe("OAuthMetrics, exported telemetry", () => {
  situation(
    "reuse: the first request waits, and later requests have only their own spans",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        yield* request("first")(world)
        yield* request("second")(world)
        yield* settle
        deepStrictEqual(yield* telemetry.tree, [
          ...waited("first"),
          ...renewed("expiry", " -> TokenProvider.wait"),
          "second",
          "  http.client GET http.response.status_code=200"
        ])
        deepStrictEqual(yield* telemetry.series, [
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 1],
          ["oauth.token.request.duration oauth.outcome=issued", 1],
          ["oauth.token.requests oauth.outcome=issued", 1],
          ["oauth.token.time_to_expiry", 3600],
          ["oauth.token.wait.duration", 1],
          ["oauth.token.waiters", 0],
          ...storeCalls(3, 1)
        ])
        deepStrictEqual(telemetry.logs, [])
      })
  )

  situation(
    "background renewal: the request that begins it shows it, and nobody waits",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        yield* request("before")(world)
        yield* TestClock.adjust("58 minutes")
        yield* telemetry.resetSpans
        yield* world.server.setTokenDelay("1 second")
        yield* request("first")(world)
        yield* request("second")(world)
        yield* TestClock.adjust("1 second")
        yield* request("third")(world)
        yield* settle
        deepStrictEqual(yield* telemetry.tree, [
          "first",
          "  http.client GET http.response.status_code=200 oauth.token.use=renewed_ahead",
          ...renewed("background", ""),
          "second",
          "  http.client GET http.response.status_code=200",
          "third",
          "  http.client GET http.response.status_code=200"
        ])
        deepStrictEqual(yield* telemetry.series, [
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=background", 1],
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 1],
          ["oauth.token.request.duration oauth.outcome=issued", 2],
          ["oauth.token.requests oauth.outcome=issued", 2],
          // Counted from the start of a request that took a second
          ["oauth.token.time_to_expiry", 3599],
          ["oauth.token.wait.duration", 1],
          ["oauth.token.waiters", 0],
          ...storeCalls(6, 2)
        ])
        deepStrictEqual(telemetry.logs, [])
      })
  )

  situation(
    "stampede: 40 requests wait for one renewal, which links to 32 of them",
    { server: { tokenDelay: "1 second" } },
    (world, telemetry) =>
      Effect.gen(function*() {
        const names = Array.from({ length: 40 }, (_, n) => `request ${n}`)
        const all = yield* Effect.fork(
          Effect.forEach(names, (name) => request(name)(world), { concurrency: "unbounded" })
        )
        yield* settle
        const waiting = yield* telemetry.series
        assert.strictEqual(waiting.find(([name]) => name === "oauth.token.waiters")?.[1], 40)
        yield* TestClock.adjust("1 second")
        yield* all
        yield* settle
        const [first, ...others] = names
        deepStrictEqual(yield* telemetry.tree, [
          ...waited(first),
          ...renewed("expiry", " -> 32 x TokenProvider.wait"),
          ...others.flatMap(waited)
        ])
        deepStrictEqual(yield* telemetry.series, [
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 1],
          ["oauth.token.request.duration oauth.outcome=issued", 1],
          ["oauth.token.requests oauth.outcome=issued", 1],
          ["oauth.token.time_to_expiry", 3599],
          ["oauth.token.wait.duration", 40],
          ["oauth.token.waiters", 0],
          ...storeCalls(3, 1)
        ])
      })
  )

  situation(
    "401 replay: it is a separate request, and the outcome of each 401 is counted",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        const { client, server } = world
        yield* request("before")(world)
        yield* telemetry.resetSpans
        yield* server.revoke()
        yield* request("revoked")(world)
        yield* server.revoke()
        const body = HttpBody.stream(Stream.make(new Uint8Array(1)))
        yield* Effect.withSpan(client.post("/orders", { body }), "unreplayable")
        yield* server.setTokenResponse(() => ({ status: 401, body: { error: "invalid_client" } }))
        yield* server.revoke()
        yield* request("refused")(world)
        yield* settle
        const rejection = renewed("rejection", " -> TokenProvider.wait")
        const wait = "  TokenProvider.wait oauth.renewal.reason=rejection -> TokenProvider.renew"
        const failure = "error.type=OAuth"
        const code = "oauth.error.code=invalid_client"
        deepStrictEqual(yield* telemetry.tree, [
          "revoked",
          "  http.client GET http.response.status_code=401",
          wait,
          "  http.client GET http.request.resend_count=1 http.response.status_code=200 oauth.token.use=replayed",
          ...rejection,
          "unreplayable",
          "  http.client POST http.response.status_code=401",
          wait,
          ...rejection,
          "refused",
          "  http.client GET http.response.status_code=401",
          `  TokenProvider.wait ${failure} ${code} oauth.renewal.reason=rejection ERROR -> TokenProvider.renew`,
          `TokenProvider.renew ${failure} ${code} oauth.outcome=failed oauth.renewal.attempts=1 ` +
          "oauth.renewal.reason=rejection ERROR -> TokenProvider.wait",
          `  TokenEndpoint.attempt ${failure} oauth.attempt=1 ${code} ERROR`,
          `    http.client POST ${failure} http.response.status_code=401 ${code} ERROR`
        ])
        const series = yield* telemetry.series
        deepStrictEqual(series.filter(([name]) => !name.startsWith("oauth.token_store.")), [
          ["oauth.replays oauth.outcome=accepted", 1],
          ["oauth.replays oauth.outcome=unrenewed", 1],
          ["oauth.replays oauth.outcome=unreplayable", 1],
          [`oauth.token.failures ${failure} ${code} oauth.outcome=rejected`, 1],
          ["oauth.token.renewals oauth.outcome=failed oauth.renewal.reason=rejection", 1],
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 1],
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=rejection", 2],
          ["oauth.token.request.duration oauth.outcome=failed", 1],
          ["oauth.token.request.duration oauth.outcome=issued", 3],
          ["oauth.token.requests error.type=OAuth oauth.error.code=invalid_client oauth.outcome=failed", 1],
          ["oauth.token.requests oauth.outcome=issued", 3],
          ["oauth.token.time_to_expiry", 3600],
          ["oauth.token.wait.duration", 4],
          ["oauth.token.waiters", 0]
        ])
        deepStrictEqual(shown(telemetry.logs), [
          "ERROR Token renewal failed, and the current token is rejected. " +
          "Token endpoint https://auth.test/token answered 401 invalid_client"
        ])
      })
  )

  situation("401 replay: a second 401 is the caller's", {}, (world, telemetry) =>
    Effect.gen(function*() {
      const { server } = world
      yield* request("before")(world)
      yield* telemetry.resetSpans
      yield* server.rejectOrigin(TestAuthorizationServer.apiUrl, true)
      yield* request("rejected twice")(world)
      yield* settle
      deepStrictEqual(yield* telemetry.tree, [
        "rejected twice",
        "  http.client GET http.response.status_code=401",
        "  TokenProvider.wait oauth.renewal.reason=rejection -> TokenProvider.renew",
        "  http.client GET http.request.resend_count=1 http.response.status_code=401 oauth.token.use=replayed",
        ...renewed("rejection", " -> TokenProvider.wait")
      ])
      const series = yield* telemetry.series
      deepStrictEqual(series.filter(([name]) => /^oauth\.(replays|token\.failures)/.test(name)), [
        ["oauth.replays oauth.outcome=rejected", 1],
        ["oauth.token.failures oauth.outcome=rejected", 1]
      ])
    }))

  situation(
    "rule 4: while the endpoint is down, every caller gets the 401 of a revoked token, and the reason is counted",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        const { client, server } = world
        yield* client.get("/orders")
        yield* server.setTokenResponse(() => ({ status: 503 }))
        yield* server.revoke()
        const calls: Array<Fiber.Fiber<{ readonly status: number }, unknown>> = []
        for (let i = 0; i < 15; i++) {
          calls.push(yield* Effect.fork(client.get("/orders")))
          yield* TestClock.adjust("1 second")
        }
        yield* TestClock.adjust("10 seconds")
        const statuses = (yield* Fiber.join(Fiber.all(calls))).map(({ status }) => status)
        deepStrictEqual(new Set(statuses), new Set([401]))
        const failures = (yield* telemetry.series).filter(([name]) => name.startsWith("oauth.token.failures"))
        deepStrictEqual(failures, [["oauth.token.failures error.type=Status oauth.outcome=rejected", 15]])
      })
  )

  situation(
    "outage: three log lines, when the old token is used on, when it has expired and when the outage ends",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        const { server } = world
        yield* request("before")(world)
        yield* TestClock.adjust("58 minutes")
        yield* telemetry.resetSpans
        yield* server.setTokenResponse(() => ({ status: 503 }))
        yield* request("begins")(world)
        yield* settle
        yield* request("stale")(world)
        yield* TestClock.adjust("2 minutes")
        yield* during("30 seconds")(Effect.exit(request("without a token")(world)))
        yield* server.setTokenResponse(undefined)
        yield* TestClock.adjust("10 seconds")
        yield* during("10 seconds")(request("over")(world))
        yield* settle
        const failed = "error.type=Status"
        const attempt = (n: number) => [
          `  TokenEndpoint.attempt ${failed} oauth.attempt=${n} ERROR`,
          `    http.client POST ${failed} http.response.status_code=503 ERROR`
        ]
        const tree = yield* telemetry.tree
        const attempts = tree.filter((line) => line.includes("TokenEndpoint.attempt error")).length - 1
        deepStrictEqual(tree, [
          "begins",
          "  http.client GET http.response.status_code=200 oauth.token.use=renewed_ahead",
          `TokenProvider.renew ${failed} oauth.outcome=failed oauth.renewal.attempts=1 ` +
          "oauth.renewal.reason=background ERROR",
          ...attempt(1),
          "stale",
          "  http.client GET http.response.status_code=200 oauth.token.use=stale",
          "without a token ERROR",
          `  TokenProvider.wait ${failed} oauth.renewal.reason=expiry ERROR -> TokenProvider.renew`,
          `TokenProvider.renew ${failed} oauth.outcome=failed oauth.renewal.attempts=${attempts} ` +
          "oauth.renewal.reason=expiry ERROR -> TokenProvider.wait",
          ...Array.from({ length: attempts }, (_, n) => attempt(n + 1)).flat(),
          ...waited("over"),
          ...renewed("expiry", " -> TokenProvider.wait")
        ])
        assert.isAbove(attempts, 1)
        const series = yield* telemetry.series
        deepStrictEqual(series.filter(([name]) => !name.startsWith("oauth.token_store.")), [
          [`oauth.token.failures ${failed} oauth.outcome=failed`, 1],
          ["oauth.token.renewals oauth.outcome=failed oauth.renewal.reason=background", 1],
          ["oauth.token.renewals oauth.outcome=failed oauth.renewal.reason=expiry", 1],
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 2],
          ["oauth.token.request.duration oauth.outcome=failed", 1 + attempts],
          ["oauth.token.request.duration oauth.outcome=issued", 2],
          ["oauth.token.requests error.type=Status oauth.outcome=failed", 1 + attempts],
          ["oauth.token.requests oauth.outcome=issued", 2],
          ["oauth.token.retries", attempts - 1],
          ["oauth.token.stale_serves", 1],
          ["oauth.token.time_to_expiry", 3600],
          ["oauth.token.wait.duration", 3],
          ["oauth.token.waiters", 0]
        ])
        const cause = "Token endpoint https://auth.test/token answered 503: no OAuth error in an empty body"
        deepStrictEqual(shown(telemetry.logs), [
          `WARN Token renewal failed; the current token is used until it expires. ${cause}`,
          `ERROR No token is available: requests fail. ${cause}`,
          "INFO A token is available again"
        ])
        const [{ annotations }] = telemetry.logs
        deepStrictEqual(Object.keys(annotations).sort(), ["error.type", "oauth.token.key"])
      })
  )

  situation("time to expiry falls while renewals fail", {}, (world, telemetry) =>
    Effect.gen(function*() {
      const { server } = world
      const timeToExpiry = Effect.map(
        telemetry.series,
        (series) => series.find(([name]) => name === "oauth.token.time_to_expiry")?.[1]
      )
      yield* request("before")(world)
      yield* server.setTokenResponse(() => ({ status: 503 }))
      const seen: Array<number | undefined> = []
      for (const minutes of [57, 1, 1]) {
        yield* TestClock.adjust(`${minutes} minutes`)
        yield* request("during")(world)
        seen.push(yield* timeToExpiry)
      }
      deepStrictEqual(seen, [180, 120, 60])
    }))

  situation(
    "store outage: one line when it begins and one when it is over, no request fails",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        const { store } = world
        yield* store.fail("connection refused", "get", "set", "acquireLease")
        yield* request("down")(world)
        yield* settle
        yield* store.fail(undefined)
        yield* TestClock.adjust("58 minutes")
        yield* request("back")(world)
        yield* settle
        deepStrictEqual(yield* telemetry.tree, [
          ...waited("down"),
          ...renewed("expiry", " -> TokenProvider.wait"),
          "back",
          "  http.client GET http.response.status_code=200 oauth.token.use=renewed_ahead",
          ...renewed("background", "")
        ])
        deepStrictEqual(yield* telemetry.series, [
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=background", 1],
          ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 1],
          ["oauth.token.request.duration oauth.outcome=issued", 2],
          ["oauth.token.requests oauth.outcome=issued", 2],
          ["oauth.token.time_to_expiry", 3600],
          ["oauth.token.wait.duration", 1],
          ["oauth.token.waiters", 0],
          ["oauth.token_store.operations error.type=Unavailable oauth.outcome=failed oauth.token_store.method=get", 1],
          ...storeCalls(3, 1),
          ["oauth.token_store.operations oauth.outcome=skipped oauth.token_store.method=set", 1]
        ])
        deepStrictEqual(shown(telemetry.logs), [
          "WARN Token store, get: connection refused. Until the store is available again, tokens are cached in this process only",
          "INFO Token store is available again"
        ])
        const [{ annotations }] = telemetry.logs
        deepStrictEqual(annotations, { "oauth.token_store.method": "get", "error.type": "Unavailable" })
      })
  )

  situation(
    "fleet: the token of another process is adopted, and the wait for its turn is measured",
    { server: { tokenDelay: "1 second" } },
    (world, telemetry) =>
      Effect.gen(function*() {
        const other = yield* telemetry.spawn
        const one = yield* Effect.fork(request("one")(world))
        yield* settle
        const two = yield* Effect.fork(request("two")(other))
        yield* TestClock.adjust("2 seconds")
        yield* one
        yield* two
        yield* settle
        deepStrictEqual(yield* telemetry.tree, [
          ...waited("one"),
          ...renewed("expiry", " -> TokenProvider.wait"),
          "two",
          "  TokenProvider.wait oauth.renewal.reason=expiry -> TokenProvider.renew",
          "  http.client GET http.response.status_code=200 oauth.token.use=adopted",
          "TokenProvider.renew oauth.outcome=adopted oauth.renewal.attempts=0 oauth.renewal.reason=expiry " +
          "-> TokenProvider.wait"
        ])
        // How often it looked is random
        deepStrictEqual(
          (yield* telemetry.series).filter(([name]) => !name.startsWith("oauth.token_store.operations")),
          [
            ["oauth.token.renewals oauth.outcome=adopted oauth.renewal.reason=expiry", 1],
            ["oauth.token.renewals oauth.outcome=issued oauth.renewal.reason=expiry", 1],
            ["oauth.token.request.duration oauth.outcome=issued", 1],
            ["oauth.token.requests oauth.outcome=issued", 1],
            ["oauth.token.time_to_expiry", 3599],
            ["oauth.token.wait.duration", 2],
            ["oauth.token.waiters", 0],
            ["oauth.token_store.lease.wait.duration", 1]
          ]
        )
      })
  )

  situation(
    "switched off, there are no spans, and the metrics are the same",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        yield* Effect.withTracerEnabled(request("first")(world), false)
        yield* Effect.withTracerEnabled(request("second")(world), false)
        const quiet = HttpClient.withTracerDisabledWhen(world.client, () => true)
        yield* Effect.withSpan(quiet.get("/orders"), "third")
        yield* settle
        // The renewal belongs to the provider, and not to the request that was not to be traced
        deepStrictEqual(yield* telemetry.tree, [...renewed("expiry", ""), "third"])
        assert.strictEqual((yield* telemetry.series)[0][1], 1)
      })
  )

  situation(
    "the span of a request is OpenTelemetry's of an HTTP client, with the token redacted",
    {},
    (world, telemetry) =>
      Effect.gen(function*() {
        yield* request("first")(world)
        const spans = yield* telemetry.spans
        const post = spans.find(({ name }) => name === "http.client POST")
        deepStrictEqual(post?.attributes, {
          "http.request.method": "POST",
          "server.address": "auth.test",
          "server.port": 443,
          "url.full": TestAuthorizationServer.tokenEndpoint,
          "url.scheme": "https",
          "http.response.status_code": 200
        })
        const get = spans.find(({ name }) => name === "http.client GET")
        assert.strictEqual(get?.attributes["http.request.header.authorization"], "<redacted>")
      })
  )
})
