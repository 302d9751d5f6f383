import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as DoctorReport from "../src/DoctorReport.js"
import { Finding } from "../src/Finding.js"
import { describe as describeProblem, Problem } from "../src/Problem.js"
import * as Style from "../src/Style.js"

const down = Problem.StoreDown({ store: { variable: "ALF_STORE_URL", scheme: "redis" }, description: "refused" })
const short = Problem.LifetimeShort({ seconds: 5 })

const findings = [
  Finding.Ok({ check: "credentials", says: "a Bearer token was given" }),
  Finding.Concern({ check: "lifetime", problem: short }),
  Finding.Failed({ check: "store", problem: down }),
  Finding.Skipped({ check: "api", because: "not asked for" })
]

describe("DoctorReport", () => {
  it("names the cause first, then what to do, then every check, then the rest of the advice", () => {
    deepStrictEqual(DoctorReport.toText(findings, Style.make(false)).split("\n"), [
      describeProblem(down).cause,
      describeProblem(down).advice,
      "",
      "  ok       credentials  a Bearer token was given",
      `  concern  lifetime     ${describeProblem(short).cause}`,
      "  failed   store        see above",
      "  skipped  api          not asked for",
      "",
      `lifetime: ${describeProblem(short).advice}`
    ])
  })

  it("reports that everything works if no check failed", () => {
    const text = DoctorReport.toText(findings.slice(0, 1), Style.make(false))
    assert.match(text, /^Everything works/)
  })

  it("does not claim that an API works which was not checked", () => {
    const unknown = Finding.Skipped({ check: "origin", because: "ALF_BASE_URL is not set" })
    const text = DoctorReport.toText([...findings.slice(0, 1), unknown], Style.make(false))
    assert.match(text, /^A token was issued\. No API was checked: set ALF_BASE_URL/)
  })

  it("contains the same as JSON, with the details of each problem", () => {
    const json = JSON.parse(JSON.stringify(DoctorReport.toJson(findings)))
    deepStrictEqual([json.ok, json.exitCode, json.cause], [false, 4, describeProblem(down).cause])
    deepStrictEqual(json.checks[1], {
      check: "lifetime",
      outcome: "concern",
      ...describeProblem(short),
      problem: { _tag: "LifetimeShort", seconds: 5 }
    })
    const well = DoctorReport.toJson(findings.slice(0, 1))
    deepStrictEqual([well.ok, well.exitCode, "cause" in well], [true, 0, false])
  })
})
