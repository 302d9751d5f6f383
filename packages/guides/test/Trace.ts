/** The spans of a request that waits for a token, as a picture. */
import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { Array as Arr, Effect, Layer, Option, type Tracer } from "effect"
import * as SpanRecord from "../../core/test/support/SpanRecord.js"
import * as VirtualClock from "../../fleet/src/VirtualClock.js"
import { draw } from "./Picture.js"

const app = AuthedHttpClient.layer({ baseUrl: TestAuthorizationServer.apiUrl }).pipe(
  Layer.provide(TokenEndpoint.layer({
    tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
    clientId: TestAuthorizationServer.clientId,
    clientSecret: TestAuthorizationServer.clientSecret
  })),
  Layer.provide(TokenStore.layerMemory()),
  Layer.provide(TestAuthorizationServer.layer({ tokenDelay: "120 millis", apiDelay: "80 millis" }))
)

/** Two requests of an app that has no token yet: one begins 40 ms after the other. */
const record: Effect.Effect<ReadonlyArray<Tracer.Span>> = Effect.gen(function*() {
  const { spans, tracer } = yield* SpanRecord.make
  const program = Effect.gen(function*() {
    const client = yield* AuthedHttpClient.AuthedHttpClient
    yield* Effect.all(
      [
        Effect.withSpan(client.get("/orders"), "orders"),
        Effect.delay(Effect.withSpan(client.get("/stock"), "stock"), "40 millis")
      ],
      { concurrency: "unbounded" }
    )
  })
  yield* program.pipe(Effect.provide(app), Effect.withTracer(tracer), Effect.orDie)
  return spans
})

const depthOf = (span: Tracer.Span): number =>
  Option.match(span.parent, {
    onNone: () => 0,
    onSome: (parent) => parent._tag === "Span" ? depthOf(parent) + 1 : 0
  })

const rootOf = (span: Tracer.Span): Tracer.Span =>
  Option.match(span.parent, {
    onNone: () => span,
    onSome: (parent) => parent._tag === "Span" ? rootOf(parent) : span
  })

const linksOf = ({ links }: Tracer.Span): ReadonlyArray<string> =>
  Object.entries(Arr.groupBy(links, ({ span }) => span._tag === "Span" ? span.name : span.spanId)).map(
    ([name, { length }]) => `${length === 1 ? "link" : `${length} links`} to ${name}`
  )

/** What says the most of each span. */
const shown = [
  "oauth.renewal.reason",
  "oauth.token.use",
  "oauth.outcome",
  "oauth.attempt",
  "http.response.status_code"
]

export const make: Effect.Effect<string> = Effect.gen(function*() {
  const spans = yield* Effect.flatten(Effect.promise(() => VirtualClock.runPromise(record)))
  const roots = [...new Set(spans.map(rootOf))]
  const first = Math.min(...spans.map(({ status }) => Number(status.startTime)))
  const millis = (time: bigint) => (Number(time) - first) / 1e6
  const rows = roots.flatMap((root) => spans.filter((span) => rootOf(span) === root)).map((span, index) => ({
    index,
    label: `${"– ".repeat(depthOf(span))}${span.name}`,
    trace: rootOf(span).name,
    from: millis(span.status.startTime),
    to: span.status._tag === "Ended" ? millis(span.status.endTime) : millis(span.status.startTime),
    attributes: shown.flatMap((name) => span.attributes.has(name) ? [`${name}=${span.attributes.get(name)}`] : [])
      .concat(linksOf(span))
      .join("  ")
  }))
  const labels = JSON.stringify(rows.map(({ label }) => label))
  return yield* Effect.promise(() =>
    draw({
      data: { values: rows },
      width: 620,
      height: { step: 30 },
      encoding: {
        y: {
          field: "index",
          type: "ordinal",
          title: null,
          axis: {
            labelExpr: `${labels}[datum.value]`,
            labelAlign: "left",
            labelPadding: 190,
            labelLimit: 190,
            grid: false,
            ticks: false
          }
        }
      },
      layer: [
        {
          mark: { type: "bar", height: 14, cornerRadius: 2 },
          encoding: {
            x: {
              field: "from",
              type: "quantitative",
              title: "milliseconds",
              scale: { domain: [0, 480] },
              axis: { values: [0, 40, 80, 120, 160, 200] }
            },
            x2: { field: "to" },
            color: { field: "trace", type: "nominal", title: "trace", sort: null }
          }
        },
        {
          mark: { type: "text", align: "left", dx: 6, fontSize: 10 },
          encoding: { x: { field: "to", type: "quantitative" }, text: { field: "attributes" } }
        }
      ]
    })
  )
})
