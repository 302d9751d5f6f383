/** The guide about telemetry says all that the library tells of itself, and nothing else. */
import type { OAuthError, TokenStatus } from "@effect-alf/core"
import { OAuthError as Errors, OAuthMetrics, TokenEndpoint } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import type { Metric } from "effect"
import { Effect, Struct } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as ErrorAttributes from "../src/disclosure/ErrorAttributes.js"
import { settle } from "./support/ProviderBench.js"
import * as TelemetryBench from "./support/TelemetryBench.js"

const root = new URL("../../", import.meta.url)
const guide = readFileSync(new URL("guides/telemetry.md", root), "utf8").split("\n")

/** The rows of the table with this heading. */
const table = (heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const start = guide.findIndex((line) => line.startsWith(`| ${heading} |`))
  assert.isAtLeast(start, 0, heading)
  const end = guide.findIndex((line, index) => index > start && !line.startsWith("|"))
  return guide.slice(start + 2, end).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
}

const codes = (cell: string): ReadonlyArray<string> => Array.from(cell.matchAll(/`([^`]+)`/g), ([, code]) => code)

const sorted = (values: Iterable<string>): ReadonlyArray<string> => Array.from(new Set(values)).sort()

/** All members of a union of literals: the compiler counts them. */
const all = <A extends string>(values: Record<A, true>): ReadonlyArray<A> => Struct.keys(values)

const reasons = all<OAuthError.AuthorizationServerErrorReason>({
  ClientAuth: true,
  Transport: true,
  Timeout: true,
  OAuth: true,
  Status: true,
  Redirect: true,
  InvalidResponse: true
})

const providerReasons = all<OAuthError.TokenProviderError["reason"]>({
  Closed: true,
  MaxWait: true,
  RefreshToken: true,
  Defect: true
})

const storeReasons = all<OAuthError.TokenStoreError["reason"]>({ Unavailable: true, Timeout: true, InvalidEntry: true })

const methods = all<OAuthError.TokenStoreError["method"]>({
  get: true,
  set: true,
  remove: true,
  acquireLease: true,
  extendLease: true,
  releaseLease: true,
  changes: true
})

const requestErrors = [
  ...reasons.map((reason) => [reason, undefined] as const),
  ...ErrorAttributes.errorCodes.map((error) => ["OAuth", error] as const)
].map(([reason, error]) => new Errors.TokenEndpointError({ endpoint: "", reason, description: "", error }))

const requestOutcomes: ReadonlyArray<OAuthMetrics.RequestOutcome> = ["issued", ...requestErrors]

/** Every metric, with each of the tags that it can have. */
const everything: Record<string, ReadonlyArray<Metric.Metric<any, number, any>>> = {
  tokenRequests: requestOutcomes.map(OAuthMetrics.tokenRequests),
  tokenRequestDuration: requestOutcomes.map(OAuthMetrics.tokenRequestDuration),
  tokenRetries: [OAuthMetrics.tokenRetries],
  tokenWaiters: [OAuthMetrics.tokenWaiters],
  tokenWaitDuration: [OAuthMetrics.tokenWaitDuration],
  tokenRenewals: all<OAuthMetrics.RenewalReason>({ background: true, expiry: true, rejection: true }).flatMap((
    reason
  ) =>
    all<OAuthMetrics.RenewalOutcome>({ issued: true, adopted: true, paused: true, busy: true, failed: true })
      .map((outcome) => OAuthMetrics.tokenRenewals(reason, outcome))
  ),
  staleServes: [OAuthMetrics.staleServes],
  timeToExpiry: [OAuthMetrics.timeToExpiry],
  tokenFailures: all<OAuthMetrics.FailureOutcome>({ failed: true, rejected: true }).flatMap((outcome) => [
    OAuthMetrics.tokenFailures(outcome),
    ...requestErrors.map((failure) => OAuthMetrics.tokenFailures(outcome, failure)),
    ...providerReasons.map((reason) => OAuthMetrics.tokenFailures(outcome, new Errors.TokenProviderError({ reason })))
  ]),
  tokenReplays: all<OAuthMetrics.ReplayOutcome>({
    accepted: true,
    rejected: true,
    failed: true,
    unreplayable: true,
    unrenewed: true
  }).map(OAuthMetrics.tokenReplays),
  tokenStoreOperations: methods.flatMap((method) =>
    ([
      "ok",
      "skipped",
      ...storeReasons.map((reason) => new Errors.TokenStoreError({ method, reason, description: "" }))
    ] as const).map((outcome) => OAuthMetrics.tokenStoreOperations(method, outcome))
  ),
  leaseWaitDuration: [OAuthMetrics.leaseWaitDuration]
}

/** The source files of core and node, which contain the log calls. */
const sources = ["core/src", "node/src"].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts")).map((
    name
  ) => readFileSync(new URL(`${folder}/${name}`, root), "utf8"))
)

const parts = (text: string, placeholder: RegExp) => text.split(placeholder).filter((part) => part.trim().length > 3)

describe("OAuthMetrics, the guide about telemetry", () => {
  it.effect("has each metric as it is exported: name, kind, unit, tags and their values", () =>
    Effect.gen(function*() {
      deepStrictEqual(
        Object.keys(everything).sort(),
        Object.keys(OAuthMetrics).filter((name) => name !== "makeUpdate").sort()
      )
      const exported = yield* TelemetryBench.run("guide", {}, (_, telemetry) =>
        Effect.gen(function*() {
          const update = yield* Effect.tagMetrics(OAuthMetrics.makeUpdate, "test", "guide")
          for (const metric of Object.values(everything).flat()) update(metric, 1)
          return yield* telemetry.metrics
        }))
      const errorTypes = (name: string) =>
        name.startsWith("oauth.token_store")
          ? storeReasons
          : name === "oauth.token.failures"
          ? [...reasons, ...providerReasons]
          : reasons
      const documented = table("metric").map(([metric, kind, unit, tags]) => {
        const [name] = codes(metric)
        const values = tags === "" ? [] : tags.split("<br>").map((tag): readonly [string, ReadonlyArray<string>] => {
          const [key, ...values] = codes(tag)
          return [
            key,
            key === "error.type" ? errorTypes(name) : key === "oauth.error.code" ? ErrorAttributes.errorCodes : values
          ]
        })
        return { name, kind, unit: codes(unit)[0], tags: Object.fromEntries(values.map(([k, v]) => [k, sorted(v)])) }
      })
      const found = exported.map(({ kind, name, points, unit }) => {
        const keys = sorted(points.flatMap(({ tags }) => Object.keys(tags))).filter((key) => key !== "unit")
        const values = (key: string) => sorted(points.flatMap(({ tags }) => key in tags ? [String(tags[key])] : []))
        return { name, kind, unit, tags: Object.fromEntries(keys.map((key) => [key, values(key)])) }
      })
      const byName = (a: { readonly name: string }, b: { readonly name: string }) => a.name < b.name ? -1 : 1
      deepStrictEqual([...documented].sort(byName), [...found].sort(byName))
    }))

  it("has the values of the tags for errors", () => {
    deepStrictEqual(table("tag").map(([, values]) => codes(values)), [
      reasons,
      providerReasons,
      storeReasons,
      ErrorAttributes.errorCodes
    ])
  })

  it("has each value of oauth.token.use", () => {
    const uses = all<TokenStatus.TokenUse>({
      renewed_ahead: true,
      stale: true,
      awaited: true,
      adopted: true,
      replayed: true
    })
    deepStrictEqual(table("`oauth.token.use`").map(([use]) => codes(use)[0]), [...uses])
  })

  it.effect("has each span and all of its attributes", () =>
    Effect.gen(function*() {
      const spans = yield* TelemetryBench.run("guide, spans", {}, ({ client, server }, telemetry) =>
        Effect.gen(function*() {
          yield* client.get("/orders")
          yield* server.revoke()
          yield* client.get("/orders")
          yield* server.setTokenResponse(() => ({ status: 401, body: { error: "invalid_client" } }))
          yield* server.revoke()
          yield* client.get("/orders")
          const endpoint = yield* Effect.provideService(
            TokenEndpoint.make({
              tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
              clientId: TestAuthorizationServer.clientId,
              clientSecret: TestAuthorizationServer.clientSecret
            }),
            HttpClient.HttpClient,
            telemetry.http
          )
          yield* Effect.exit(endpoint.request(endpoint.resolve()))
          yield* settle
          return yield* telemetry.spans
        }))
      // The attributes that platform gives to the requests of an app are its own
      const isOurs = (span: string, key: string) =>
        span !== "http.client GET" || /^oauth\.|resend_count$/.test(key)
      const found = sorted(spans.map(({ name }) =>
        name
      )).map((name) => [
        name,
        sorted(
          spans.filter((span) => span.name === name).flatMap(({ attributes }) => Object.keys(attributes))
            .filter((key) => isOurs(name, key))
        )
      ])
      const documented = new Map(table("span").map(([span, keys]) => [codes(span)[0], sorted(codes(keys))] as const))
      deepStrictEqual(sorted(documented.keys()).map((name) => [name, documented.get(name)]), found)
    }))

  it("each log line is on the page about errors", () => {
    // The page is generated from the logs of the running code
    const page = readFileSync(new URL("guides/errors.md", root), "utf8")
    const said = sources.flatMap((source) =>
      Array.from(
        source.matchAll(/\blog(?:Debug|Info|Warning|Error)\(\s*(?:`([^`]*)`|"([^"]*)")/g),
        ([, template, text]) => template ?? text
      )
    )
    assert.isAbove(said.length, 10)
    for (const text of said) {
      for (const part of parts(text, /\$\{[^}]*\}/)) {
        assert.include(page, part.trim())
      }
    }
  })
})
