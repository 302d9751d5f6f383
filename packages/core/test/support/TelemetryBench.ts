/**
 * An app that exports its telemetry by OpenTelemetry, into memory, for the
 * tests that read what arrives there: the client over the in-memory
 * authorization server and an inspectable store, with all that it logs.
 */
import { AuthedHttpClient, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer, TestTokenStore } from "@effect-alf/core/testing"
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { HttpClient } from "@effect/platform"
import { SpanStatusCode } from "@opentelemetry/api"
import type { DataPoint, Histogram } from "@opentelemetry/sdk-metrics"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Context, Effect, HashMap, Layer, Logger, LogLevel, Scope } from "effect"

/** One time series: its metric with all tags, and its value; of a histogram, how many values it has. */
export type Series = readonly [series: string, value: number]

export interface Metric {
  readonly name: string
  readonly unit: string
  readonly kind: string
  readonly points: ReadonlyArray<{ readonly tags: Readonly<Record<string, unknown>>; readonly value: number }>
}

export interface Log {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

export interface World {
  readonly client: AuthedHttpClient.AuthedHttpClient["Type"]
  readonly provider: TokenProvider.TokenProvider["Type"]
  readonly server: TestAuthorizationServer.TestAuthorizationServer["Type"]
  readonly store: TestTokenStore.TestTokenStore["Type"]
}

export interface Telemetry {
  /** What reaches the server. */
  readonly http: HttpClient.HttpClient
  /** Another process of the same app, over the same server and store. */
  readonly spawn: Effect.Effect<World>
  /** The spans that have ended, each under its parent, in the order of their beginning. */
  readonly tree: Effect.Effect<ReadonlyArray<string>>
  readonly spans: Effect.Effect<ReadonlyArray<ReadableSpan>>
  readonly resetSpans: Effect.Effect<void>
  readonly metrics: Effect.Effect<ReadonlyArray<Metric>>
  /** The metrics that counted anything, in the order of the alphabet. */
  readonly series: Effect.Effect<ReadonlyArray<Series>>
  readonly logs: ReadonlyArray<Log>
}

export type Options = Partial<AuthedHttpClient.Options & TokenProvider.Options> & {
  readonly server?: TestAuthorizationServer.Options
}

/** What the spans of every request have alike, or what is random. */
const constant = ["oauth.client_id", "oauth.token_endpoint", "oauth.token.key"]
const shown = /^(oauth\.|error\.type$|http\.response\.status_code$|http\.request\.resend_count$)/

const describe = ({ attributes, links, name, status }: ReadableSpan, nameOf: (spanId: string) => string) =>
  [
    name,
    ...Object.entries(attributes)
      .filter(([key]) => shown.test(key) && !constant.includes(key))
      .sort(([a], [b]) => a < b ? -1 : 1)
      .map(([key, value]) => `${key}=${value}`),
    ...(status.code === SpanStatusCode.ERROR ? ["ERROR"] : []),
    ...(links.length === 0 ? [] : [`-> ${summary(links.map(({ context }) => nameOf(context.spanId)))}`])
  ].join(" ")

const summary = (names: ReadonlyArray<string>): string =>
  Array.from(new Set(names), (name) => {
    const count = names.filter((other) => other === name).length
    return count === 1 ? name : `${count} x ${name}`
  }).join(", ")

const valueOf = ({ value }: DataPoint<number> | DataPoint<Histogram>): number =>
  typeof value === "number" ? value : value.count

/** Runs a test in an app of its own, whose metrics bear the name of the test. */
export const run = <A, E>(
  test: string,
  options: Options,
  body: (world: World, telemetry: Telemetry) => Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const { server: serverOptions, ...clientOptions } = options
  const spanExporter = new InMemorySpanExporter()
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 3_600_000 })
  const begun: Array<string> = []
  const sdk = NodeSdk.layer(() => ({
    resource: { serviceName: "app" },
    spanProcessor: [
      new SimpleSpanProcessor(spanExporter),
      {
        onStart: (span) => void begun.push(span.spanContext().spanId),
        onEnd: () => {},
        forceFlush: () => Promise.resolve(),
        shutdown: () => Promise.resolve()
      }
    ],
    metricReader: reader
  }))

  const logs: Array<Log> = []
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ annotations, logLevel, message }) => {
      // Effect's own, of fibers
      if (logLevel._tag === "Debug") return
      logs.push({
        level: logLevel.label,
        message: (Array.isArray(message) ? message : [message]).join(" "),
        annotations: Object.fromEntries(HashMap.entries(annotations))
      })
    })
  )

  const spans = Effect.sync(() => {
    const position = new Map(begun.map((spanId, index) => [spanId, index] as const))
    const order = (span: ReadableSpan) => position.get(span.spanContext().spanId) ?? 0
    return spanExporter.getFinishedSpans().slice().sort((a, b) => order(a) - order(b))
  })

  const tree = Effect.map(spans, (spans) => {
    const nameOf = (spanId: string) => spans.find((span) => span.spanContext().spanId === spanId)?.name ?? "unended"
    const below = (parent: string | undefined, indent: string): ReadonlyArray<string> =>
      spans.filter((span) => span.parentSpanContext?.spanId === parent).flatMap((span) => [
        `${indent}${describe(span, nameOf)}`,
        ...below(span.spanContext().spanId, `${indent}  `)
      ])
    return below(undefined, "")
  })

  const metrics = Effect.promise(async () => {
    metricExporter.reset()
    await reader.forceFlush()
    return metricExporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  }).pipe(Effect.map((metrics) =>
    metrics.flatMap(({ dataPoints, descriptor, ...rest }): ReadonlyArray<Metric> => {
      const points = (dataPoints as ReadonlyArray<DataPoint<number> | DataPoint<Histogram>>)
        .filter(({ attributes }) => attributes.test === test && descriptor.name.startsWith("oauth."))
        .map((point) => {
          const { test: _, ...tags } = point.attributes
          return { tags, value: valueOf(point) }
        })
      const kind = "isMonotonic" in rest && !rest.isMonotonic ? "up-down counter" : kinds[rest.dataPointType]
      return points.length === 0 ? [] : [{ name: descriptor.name, unit: descriptor.unit, kind, points }]
    })
  ))

  const series = Effect.map(
    metrics,
    (metrics) =>
      metrics.flatMap(({ name, points }) =>
        points.map(({ tags, value }): Series => {
          const { unit: _, ...rest } = tags
          const text = Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => `${key}=${value}`)
          return [[name, ...text].join(" "), value]
        })
      ).sort(([a], [b]) => a < b ? -1 : 1)
  )

  const app = AuthedHttpClient.layer({
    baseUrl: TestAuthorizationServer.apiUrl,
    ...clientOptions
  }).pipe(
    Layer.provide(TokenEndpoint.layer({
      tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
      clientId: TestAuthorizationServer.clientId,
      clientSecret: TestAuthorizationServer.clientSecret
    }))
  )

  return Effect.gen(function*() {
    const context = yield* Effect.orDie(Layer.build(TestAuthorizationServer.layer(serverOptions)))
    const scope = yield* Effect.scope
    const memory = yield* Effect.orDie(TokenStore.makeMemory({ sharing: TokenStore.byTurns }))
    const spawn = Effect.gen(function*() {
      const built = yield* Layer.build(
        Layer.fresh(app).pipe(
          Layer.provideMerge(TestTokenStore.layer(memory)),
          Layer.provide(Layer.succeed(HttpClient.HttpClient, Context.get(context, HttpClient.HttpClient)))
        )
      )
      return {
        client: Context.get(built, AuthedHttpClient.AuthedHttpClient),
        provider: Context.get(built, TokenProvider.TokenProvider),
        server: Context.get(context, TestAuthorizationServer.TestAuthorizationServer),
        store: Context.get(built, TestTokenStore.TestTokenStore)
      }
    }).pipe(
      // What the app says at its layers is in each of their metrics
      Effect.tagMetrics("test", test),
      Effect.orDie,
      Effect.provideService(Scope.Scope, scope)
    )
    const world = yield* spawn
    return yield* body(world, {
      http: Context.get(context, HttpClient.HttpClient),
      spawn,
      tree,
      spans,
      resetSpans: Effect.sync(() => spanExporter.reset()),
      metrics,
      series,
      logs
    })
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.merge(sdk, logger)),
    Logger.withMinimumLogLevel(LogLevel.All)
  )
}

const kinds = ["histogram", "exponential histogram", "gauge", "counter"]
