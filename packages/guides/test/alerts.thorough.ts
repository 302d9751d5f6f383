/** The alerts, the dashboard and the runbook, checked with the client's telemetry in each outage. */
import { OAuthError, OAuthMetrics } from "@effect-alf/core"
import { Metrics, Resource } from "@effect/opentelemetry"
import { assert, describe, expect, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import { Array as Arr, Effect, Record } from "effect"
import { readFileSync } from "node:fs"
import { parse } from "yaml"
import * as Dashboard from "./Dashboard.js"
import * as Outages from "./Outages.js"
import * as PromQl from "./PromQl.js"

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8")

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly annotations: { readonly runbook: string }
}

const rules: ReadonlyArray<Rule> = parse(read("alerts/alerts.yaml")).groups[0].rules

const runbook = read("runbook.md")

/** Whether the alert fires: its expression holds for its duration, evaluated after each scrape. */
const fires = ({ expr, for: duration = "0m" }: Rule, scrapes: ReadonlyArray<PromQl.Scrape>): boolean => {
  let since = Infinity
  return scrapes.some(({ at }) => {
    since = PromQl.evaluate(expr, scrapes, at).length > 0 ? Math.min(since, at) : Infinity
    return at - since >= Number.parseInt(duration) * 60
  })
}

/** The outage over which the runbook shows the dashboard. */
const shown = "endpoint down, the token is revoked"

const [begin, end] = ["<!-- The outages, as the tests play them. -->\n", "\n<!-- End of the outages. -->"]

const head = [
  "outage",
  "alert that fires",
  "silent",
  "callers get",
  "first line of the log",
  "first line of `alf doctor`"
]

const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

describe("the runbook", () => {
  it.scopedLive(
    "says of each outage which alert fires, what callers get, and what the log and the doctor say first",
    () =>
      Effect.gen(function*() {
        const rows = yield* Effect.forEach(
          Record.toEntries(Outages.outages),
          ([name, outage]) =>
            Effect.gen(function*() {
              const [{ log, scrapes, seen }, doctor] = yield* Effect.all(
                [Outages.play(name, outage), Outages.visit(outage)],
                { concurrency: "unbounded" }
              )
              if (name === shown) {
                const picture = yield* Effect.promise(() => Dashboard.picture(name, scrapes, Outages.beginning))
                yield* Effect.promise(() => expect(picture).toMatchFileSnapshot("../alerts/dashboard.svg"))
              }
              const [firing, silent] = Arr.partition(rules, (rule) => !fires(rule, scrapes))
              return [
                name,
                firing.map(({ alert }) => `[${alert}](#${alert.toLowerCase()})`).join(" "),
                silent.length === rules.length - 1 ? "all others" : silent.map(({ alert }) => alert).join(" "),
                seen.join(", "),
                log === undefined ? "none" : `\`${log}\``,
                `\`${doctor}\``
              ]
            }),
          { concurrency: "unbounded" }
        )
        const table = [head, head.map(() => "---"), ...rows].map(row).join("\n")
        const page = runbook.slice(0, runbook.indexOf(begin) + begin.length) + table +
          runbook.slice(runbook.indexOf(end))
        yield* Effect.promise(() => expect(page).toMatchFileSnapshot("../runbook.md"))
      })
  )

  it("has a section for each alert, and no other", () => {
    const sections = runbook.split("\n").flatMap((line) => /^## (OAuth\w+)$/.exec(line)?.[1] ?? [])
    deepStrictEqual(sections, rules.map(({ alert }) => alert))
    for (const { alert, annotations } of rules) {
      assert.strictEqual(annotations.runbook, `packages/guides/runbook.md#${alert.toLowerCase()}`)
    }
  })
})

describe("the alerts and the dashboard", () => {
  const queries = [...Dashboard.queries, ...rules.map(({ expr }) => expr)]

  const everything = Effect.gen(function*() {
    const update = yield* Effect.tagMetrics(OAuthMetrics.makeUpdate, "job", "names")
    const refused = new OAuthError.TokenEndpointError({
      endpoint: "",
      reason: "OAuth",
      description: "",
      error: "invalid_client"
    })
    update(OAuthMetrics.tokenRequests(refused), 1)
    update(OAuthMetrics.tokenRequestDuration("issued"), 1)
    update(OAuthMetrics.tokenRetries, 1)
    update(OAuthMetrics.tokenWaiters, 1)
    update(OAuthMetrics.tokenWaitDuration, 1)
    update(OAuthMetrics.tokenRenewals("background", "issued"), 1)
    update(OAuthMetrics.staleServes, 1)
    update(OAuthMetrics.timeToExpiry, 1)
    update(OAuthMetrics.tokenFailures("failed", refused), 1)
    update(OAuthMetrics.tokenReplays("accepted"), 1)
    update(OAuthMetrics.tokenStoreOperations("get", "ok"), 1)
    update(OAuthMetrics.leaseWaitDuration, 1)
  })

  it.effect("query the series and labels that exporters write, and the dashboard queries every metric", () =>
    Effect.gen(function*() {
      yield* everything
      const producer = yield* Effect.provide(Metrics.makeProducer, Resource.layer({ serviceName: "app" }))
      const { resourceMetrics } = yield* Effect.promise(() => producer.collect())
      const text = new PrometheusSerializer().serialize(resourceMetrics)
      const written = Array.from(text.matchAll(/^(oauth_\w+)\{[^}]*job="names"/gm), ([, name]) => name)
      const nameOf = ({ labels: { __name__ } }: PromQl.Sample) => __name__
      const [asOtlp, asPrometheus] = [true, false].map((withUnit) => Outages.samplesOf("names", withUnit))
      deepStrictEqual(new Set(asPrometheus.map(nameOf)), new Set(written))

      const labels = new Set(asOtlp.flatMap(({ labels }) => Object.keys(labels)))
      for (const query of queries) {
        PromQl.parse(query).cursor().iterate(({ from, name, to }) => {
          if (name === "LabelName") assert.include([...labels], query.slice(from, to), query)
        })
      }
      const patterns = (queries: ReadonlyArray<string>) =>
        queries.flatMap((query) =>
          Array.from(
            query.matchAll(/\b(oauth_\w+)\{|__name__=~"([^"]+)"/g),
            ([, name, pattern]) => new RegExp(`^(?:${name ?? pattern})$`)
          )
        )
      for (const samples of [asOtlp, asPrometheus]) {
        const names = samples.map(nameOf)
        deepStrictEqual(patterns(queries).filter((pattern) => !names.some((name) => pattern.test(name))), [])
        const others = names.filter((name) => !/_(sum|count)$/.test(name))
        deepStrictEqual(others.filter((name) => !patterns(Dashboard.queries).some((pattern) => pattern.test(name))), [])
      }
    }))
})
