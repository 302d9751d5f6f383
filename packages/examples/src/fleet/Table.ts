/** The findings on paper. */
import { Console, Effect } from "effect"
import { Style } from "../Style.js"
import * as Finding from "./Finding.js"
import type { Played, Scenario } from "./Scenarios.js"

const width = { what: 48, limit: 12, value: 12, alone: 16 }

/** The heading of the columns. */
export const header = Effect.flatMap(Style, (style) =>
  Console.log(style.dim([
    "".padEnd(4 + width.what),
    "should be".padStart(width.limit),
    "is".padStart(width.value),
    "without leases".padStart(width.alone)
  ].join(""))))

/** Prints what a scenario has shown, beside what it should be. */
export const print = ({ title }: Scenario, { failure, findings }: Played) =>
  Effect.gen(function*() {
    const style = yield* Style
    yield* Console.log(`\n${style.bold(title)}`)
    for (const finding of findings) {
      const { alone, limit, unit, value, what } = finding
      const mark = limit === undefined ? " " : Finding.holds(finding) ? style.green("✔") : style.red("✘")
      const cells = [
        `  ${mark} ${what.padEnd(width.what)}`,
        (limit === undefined ? "" : withUnit(limit.text, unit)).padStart(width.limit),
        withUnit(number(value), unit).padStart(width.value),
        alone === undefined ? "" : style.dim(withUnit(number(alone), unit).padStart(width.alone))
      ]
      yield* Console.log(cells.join("").trimEnd())
    }
    if (failure !== undefined) yield* Console.log(`    ${style.red(`first failure: ${failure}`)}`)
  })

/** Says why a scenario is played again. */
export const printPause = ({ title }: Scenario, { pause }: Played) =>
  Effect.flatMap(
    Style,
    (style) => Console.log(`\n${style.dim(`${title}: the machine stood still for ${number(pause)} ms, so once more`)}`)
  )

const number = (value: number) => Number.isFinite(value) ? Math.ceil(value).toLocaleString("en") : "never"

const withUnit = (text: string, unit: string) => unit === "" || text === "never" ? text : `${text} ${unit}`
