import { type Goal, verdict } from "./Goal.js"
import { type Samples, values } from "./Rounds.js"
import { estimate, ratio } from "./Statistics.js"

/** A column of a table. */
export interface Measure {
  /** The key in the samples. */
  readonly key: string
  readonly title: string
  readonly unit: string
  /** The subject that the others are set against, if any is. */
  readonly against?: string | undefined
}

export interface Table {
  readonly title: string
  readonly samples: Samples
  readonly measures: ReadonlyArray<Measure>
}

/** A picture of one measure. */
export interface Picture {
  readonly title: string
  readonly table: Table
  readonly measure: string
  readonly better: "more" | "less"
}

export interface Report {
  readonly name: string
  readonly title: string
  readonly method: string
  readonly tables: ReadonlyArray<Table>
  readonly goals: ReadonlyArray<Goal>
  readonly picture?: Picture | undefined
}

/** Three digits that matter, and never an exponent. */
export const round = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
  const size = Math.abs(value)
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString("en")
  return value.toFixed(size >= 10 ? 1 : 2)
}

const withUnit = (text: string, unit: string) => unit === "" ? text : unit === "×" ? `${text}×` : `${text} ${unit}`

const noiseOf = (noise: number, value: number) =>
  noise === 0 || value === 0 ? "" : ` ±${round(Math.abs(noise / value) * 100)}%`

const cells = (table: Table, subject: string): ReadonlyArray<string> =>
  table.measures.flatMap(({ against, key }) => {
    const own = values(table.samples, subject, key)
    const { noise, value } = estimate(own)
    const median = `${round(value)}${noiseOf(noise, value)}`
    if (against === undefined) return [median]
    const other = ratio(own, values(table.samples, against, key))
    return [median, Number.isFinite(other.value) ? `${other.value.toFixed(2)}×` : "–"]
  })

const heading = ({ measures }: Table): ReadonlyArray<string> => [
  "",
  ...measures.flatMap(({ against, title, unit }) => [
    unit === "" ? title : `${title} (${unit})`,
    ...(against === undefined ? [] : ["ratio"])
  ])
]

const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

/** Lines of cells as a table in Markdown, with columns of one width so that a terminal shows it well. */
const align = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = lines[0].map((_, column) => Math.max(3, ...lines.map((cells) => cells[column].length)))
  const [head, ...body] = lines.map((cells) =>
    row(cells.map((cell, column) => column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
  )
  const rule = row(widths.map((width, column) => column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
  return [head, rule, ...body].join("\n")
}

export const renderTable = (table: Table): string =>
  align([heading(table), ...[...table.samples.keys()].map((subject) => [subject, ...cells(table, subject)])])

const goalCells = (goal: Goal): ReadonlyArray<string> => {
  const { bound, figure: { noise, value }, limit, unit, what } = goal
  return [
    what,
    `${bound} ${withUnit(round(limit), unit)}`,
    withUnit(`${round(value)}${noise === 0 ? "" : ` ±${noise.toFixed(2)}`}`, unit),
    verdict(goal)
  ]
}

export const renderGoals = (goals: ReadonlyArray<Goal>): string =>
  align([["goal", "limit", "figure", "verdict"], ...goals.map(goalCells)])

/** A report in Markdown. */
export const render = ({ goals, method, tables }: Report): string =>
  [
    method,
    ...tables.flatMap((table) => [...(table.title === "" ? [] : [`**${table.title}**`]), renderTable(table)]),
    ...(goals.length === 0 ? [] : [renderGoals(goals)])
  ].join("\n\n")
