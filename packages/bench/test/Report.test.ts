import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { draw } from "../src/Chart.js"
import { atMost, type Goal, verdict } from "../src/Goal.js"
import * as Page from "../src/Page.js"
import { render, type Report, round } from "../src/Report.js"
import * as Rounds from "../src/Rounds.js"

const goal: Goal = {
  what: "time",
  figure: { value: 1.1, noise: 0.05 },
  bound: "at most",
  limit: 1.08,
  unit: "×"
}

const samples: Rounds.Samples = new Map([
  ["ours", [{ time: 2 }, { time: 4 }, { time: 3 }]],
  ["<theirs>", [{ time: 4 }, { time: 8 }, { time: 6 }]]
])

const table = { title: "", samples, measures: [{ key: "time", title: "time", unit: "µs", against: "ours" }] }

const report: Report = {
  name: "a-scenario",
  title: "A scenario",
  method: "How it is measured.",
  tables: [table],
  goals: [goal],
  picture: { title: "Time", table, measure: "time", better: "less" }
}

describe("Rounds", () => {
  it("each subject is measured once in a round, and none always follows the same other subject", () => {
    const subjects = ["a", "b", "c", "d"]
    const orders = subjects.map((_, round) => Rounds.order(subjects, round))
    for (const order of orders) deepStrictEqual([...order].sort(), subjects)
    deepStrictEqual(orders.map(([first]) => first), ["a", "a", "c", "c"])
    const afterA = new Set(orders.map((order) => order[order.indexOf("a") + 1]))
    assert.isAbove(afterA.size, 1)
  })

  it("warm-up rounds do not count", async () => {
    let calls = 0
    const measured = await Rounds.measure([{ name: "a", sample: async () => ({ call: ++calls }) }], {
      rounds: 2,
      warmUps: 3
    })
    deepStrictEqual(Rounds.values(measured, "a", "call"), [4, 5])
  })

  it("short samples are combined into their median", () => {
    const many: Rounds.Samples = new Map([["a", [1, 90, 2, 5, 4, 3].map((time) => ({ time }))]])
    deepStrictEqual(Rounds.values(Rounds.condense(many, 3), "a", "time"), [2, 4])
  })
})

describe("Goal", () => {
  it("a goal is missed only by more than the noise", () => {
    assert.strictEqual(verdict({ ...goal, figure: { value: 1.08, noise: 0 } }), "ok")
    assert.strictEqual(verdict(goal), "within noise")
    assert.strictEqual(verdict({ ...goal, figure: { value: 1.1, noise: 0.01 } }), "missed")
    assert.strictEqual(verdict({ ...goal, bound: "at least", limit: 1.2 }), "missed")
  })

  it("for counts, the worst round decides", () => {
    assert.strictEqual(verdict(atMost("token requests", 1, [1, 1, 1])), "ok")
    assert.strictEqual(verdict(atMost("token requests", 1, [1, 2, 1])), "missed")
  })

  it("a goal without a measurement is missed", () => {
    assert.strictEqual(verdict({ ...goal, figure: { value: NaN, noise: NaN } }), "missed")
    assert.strictEqual(verdict(atMost("token requests", 1, [])), "missed")
  })
})

describe("Report", () => {
  it("shows medians, their noise and the ratio to one of them", () => {
    assert.strictEqual(
      render(report),
      `How it is measured.

|          | time (µs) | ratio |
| -------- | --------: | ----: |
| ours     |  3 ±33.3% | 1.00× |
| <theirs> |  6 ±33.3% | 2.00× |

| goal |         limit |      figure |      verdict |
| ---- | ------------: | ----------: | -----------: |
| time | at most 1.08× | 1.10 ±0.05× | within noise |`
    )
  })

  it("shows three significant digits", () => {
    deepStrictEqual([0, 1, 1.234, 12.34, 1234.5, NaN].map(round), ["0", "1", "1.23", "12.3", "1,235", "–"])
  })
})

describe("Chart", () => {
  it("is well-formed, has the best subject on top and highlights ours", () => {
    const svg = draw(report.picture!, "ours")
    assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /)
    assert.isTrue(svg.endsWith("</svg>\n"))
    assert.strictEqual(svg.match(/<rect /g)?.length, 2)
    assert.strictEqual(svg.match(/<g class="own">/g)?.length, 1)
    assert.isBelow(svg.indexOf(">ours<"), svg.indexOf(">&lt;theirs&gt;<"))
    assert.include(svg, "prefers-color-scheme: dark")
  })
})

describe("Page", () => {
  const text =
    "# A page\n\n<!-- a-scenario -->\nold\n<!-- /a-scenario -->\n\n<!-- another -->\nkept\n<!-- /another -->\n"

  it("holds the figures of each scenario between its own marks", () => {
    const inserted = Page.insert(text, report, "Measured here.")
    assert.include(inserted, "How it is measured.")
    assert.include(inserted, "<!-- another -->\nkept\n")
    assert.notInclude(inserted, "old")
    assert.strictEqual(Page.insert(inserted, report, "Measured here."), inserted)
  })
})
