/** The findings on paper. */
import { Console, Effect } from "effect"
import { Style } from "../Style.js"
import type { Finding, Scenario } from "./Scenarios.js"

const width = { what: 46, limit: 12, fleet: 12, alone: 16 }

const number = (value: number, unit: string) => {
  const text = Number.isFinite(value) ? Math.ceil(value).toLocaleString("en") : "never"
  return unit === "" || text === "never" ? text : `${text} ${unit}`
}

const holds = ({ fleet, limit }: Finding) => limit === undefined || limit.holds(fleet)

/** The heading of the columns. */
export const header = Effect.flatMap(Style, (style) =>
  Console.log(style.dim(
    "".padEnd(4 + width.what) + "should be".padStart(width.limit) + "is".padStart(width.fleet) +
      "without leases".padStart(width.alone)
  )))

/** Prints what a scenario has shown; says whether it is what it should be. */
export const print = ({ title }: Scenario, findings: ReadonlyArray<Finding>) =>
  Effect.gen(function*() {
    const style = yield* Style
    yield* Console.log(`\n${style.bold(title)}`)
    for (const finding of findings) {
      const { alone, fleet, limit, unit, what } = finding
      const mark = limit === undefined ? " " : holds(finding) ? style.green("✔") : style.red("✘")
      const expected = limit === undefined ? "" : unit === "" ? limit.text : `${limit.text} ${unit}`
      const other = alone === undefined ? "" : number(alone, unit)
      yield* Console.log(
        `  ${mark} ${what.padEnd(width.what)}${expected.padStart(width.limit)}` +
          `${number(fleet, unit).padStart(width.fleet)}${style.dim(other.padStart(width.alone))}`.trimEnd()
      )
    }
    return findings.every(holds)
  })
