/** The alerts, the dashboard and the runbook, over what the client shows of itself in each outage. */
import { OAuthError, OAuthMetrics } from "@effect-alf/core"
import { Metrics, Resource } from "@effect/opentelemetry"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import { Effect, Record } from "effect"
import { readFileSync } from "node:fs"
import { parse } from "yaml"
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

const dashboard: { readonly panels: ReadonlyArray<{ readonly targets: ReadonlyArray<{ readonly expr: string }> }> } =
  JSON.parse(read("alerts/dashboard.json"))

const runbook = read("runbook.md").split("\n")

/** Whether it is found long enough, by an evaluation after each scrape. */
const fires = ({ expr, for: duration = "0m" }: Rule, scrapes: ReadonlyArray<PromQl.Scrape>): boolean => {
  let since = Infinity
  return scrapes.some(({ at }) => {
    since = PromQl.evaluate(expr, scrapes, at).length > 0 ? Math.min(since, at) : Infinity
    return at - since >= Number.parseInt(duration) * 60
  })
}

describe("the runbook", () => {
  it.scopedLive("says of each outage which alert fires, what callers get, and what the log and the doctor say first", () =>
    Effect.gen(function*() {
      const found = yield* Effect.forEach(
        Record.toEntries(Outages.outages),
        ([name, outage]) =>
          Effect.zipWith(Outages.play(name, outage), Outages.visit(outage), ({ log, scrapes, seen }, doctor) => [
            name,
            rules.filter((rule) => fires(rule, scrapes)).map(({ alert }) => `[${alert}](#${alert.toLowerCase()})`).join(
              " "
            ),
            seen.join(", "),
            log === undefined ? "none" : `\`${log}\``,
            `\`${doctor}\``
          ], { concurrent: true }),
        { concurrency: "unbounded" }
      )
      const start = runbook.findIndex((line) => line.startsWith("| outage |"))
      const rows = runbook.slice(start + 2, start + 2 + found.length)
      deepStrictEqual(rows, found.map((cells) => `| ${cells.join(" | ")} |`))
    }))

  it("has a section for each alert, and no other", () => {
    const sections = runbook.flatMap((line) => /^## (OAuth\w+)$/.exec(line)?.[1] ?? [])
    deepStrictEqual(sections, rules.map(({ alert }) => alert))
    for (const { alert, annotations } of rules) {
      assert.strictEqual(annotations.runbook, `packages/guides/runbook.md#${alert.toLowerCase()}`)
    }
  })
})

describe("the alerts and the dashboard", () => {
  const asked = dashboard.panels.flatMap(({ targets }) =>
    targets.map(({ expr }) => expr.replaceAll("$__rate_interval", "5m"))
  )
  const queries = [...asked, ...rules.map(({ expr }) => expr)]

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

  it.effect("ask for series by the names and labels that exporters give them, the dashboard for every metric", () =>
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
        deepStrictEqual(others.filter((name) => !patterns(asked).some((pattern) => pattern.test(name))), [])
      }
    }))
})
