/** The dashboard as Grafana would show it, over what was found at the scrapes of an app. */
import { readFileSync } from "node:fs"
import { draw } from "./Picture.js"
import * as PromQl from "./PromQl.js"

interface Target {
  readonly expr: string
  readonly legendFormat: string
}

interface Panel {
  readonly title: string
  readonly fieldConfig: { readonly defaults: { readonly unit: string } }
  readonly targets: ReadonlyArray<Target>
}

const { panels }: { readonly panels: ReadonlyArray<Panel> } = JSON.parse(
  readFileSync(new URL("../alerts/dashboard.json", import.meta.url), "utf8")
)

/** Grafana takes four scrapes for it. */
const rateInterval = "2m"

const queryOf = ({ expr }: Target, job: string) =>
  expr.replaceAll("$__rate_interval", rateInterval).replaceAll("$job", job)

/** What the panels ask for, of all jobs. */
export const queries: ReadonlyArray<string> = panels.flatMap(({ targets }) =>
  targets.map((target) => queryOf(target, ".*"))
)

interface Point {
  readonly minute: number
  readonly value: number
  readonly series: string
}

const pointsOf = (panel: Panel, job: string, scrapes: ReadonlyArray<PromQl.Scrape>): ReadonlyArray<Point> =>
  panel.targets.flatMap((target) =>
    scrapes.flatMap(({ at }) =>
      PromQl.evaluate(queryOf(target, job), scrapes, at).flatMap(({ labels, value }) =>
        Number.isFinite(value)
          ? [{
            minute: at / 60,
            value,
            series: target.legendFormat
              .replaceAll(/\{\{(\w+)\}\}/g, (_, label) => label === "job" ? "shop" : labels[label] ?? "")
              .trim()
          }]
          : []
      )
    )
  )

const units: Readonly<Record<string, string>> = { reqps: "per second", s: "seconds", short: "callers" }

/** The panels over the scrapes of a job, whose outage begins at a minute. */
export const picture = (job: string, scrapes: ReadonlyArray<PromQl.Scrape>, beginning: number): Promise<string> => {
  const last = Math.max(...scrapes.map(({ at }) => at)) / 60
  return draw({
    title: {
      text: `Tokens of the job shop. From minute ${beginning}: ${job}`,
      anchor: "middle",
      offset: 16
    },
    columns: 2,
    resolve: { scale: { color: "independent" } },
    concat: panels.map((panel) => {
      const points = pointsOf(panel, job, scrapes)
      return {
        title: panel.title,
        width: 330,
        height: 90,
        layer: [
          {
            data: { values: [{ minute: beginning }] },
            mark: { type: "rule", color: "#cf222e", strokeDash: [4, 3] },
            encoding: { x: { field: "minute", type: "quantitative" } }
          },
          {
            data: { values: [...points] },
            mark: { type: "line" },
            encoding: {
              x: {
                field: "minute",
                type: "quantitative",
                title: null,
                scale: { domain: [0, last], nice: false },
                axis: { labelExpr: "datum.label + ' min'", tickCount: 6 }
              },
              y: {
                field: "value",
                type: "quantitative",
                title: units[panel.fieldConfig.defaults.unit],
                // A line of zeros is at the bottom, and none is on the frame
                scale: { domain: [0, Math.max(...points.map(({ value }) => value * 1.1)) || 1], nice: 3 },
                axis: { tickCount: 3, labels: points.length > 0 }
              },
              color: {
                field: "series",
                type: "nominal",
                title: null,
                legend: { orient: "bottom", columns: 3, labelLimit: 300 }
              }
            }
          },
          {
            data: { values: points.length === 0 ? [{ minute: last / 2 }] : [] },
            mark: { type: "text", text: "No data", fontSize: 14, color: "#59636e" },
            encoding: { x: { field: "minute", type: "quantitative" }, y: { value: 45 } }
          }
        ]
      }
    })
  })
}
