/** The page that holds the figures, each scenario's between marks of its own. */
import { draw } from "./Chart.js"
import { render, type Report } from "./Report.js"

/** Relative to the guides. */
export const page = "performance.md"

const pictureOf = (name: string) => `performance/${name}.svg`

/** A page with the figures of this report in the place of those that it holds, if it holds any. */
export const insert = (text: string, report: Report, machine: string): string => {
  const marked = new RegExp(`(<!-- ${report.name} -->\n)[^]*?(<!-- /${report.name} -->)`)
  const picture = report.picture === undefined ? "" : `![${report.picture.title}](${pictureOf(report.name)})\n\n`
  return text.replace(marked, (_, begin, end) => `${begin}${picture}${render(report)}\n\n${machine}\n${end}`)
}

/** The files of a report's pictures, relative to the guides. */
export const pictures = (
  { name, picture }: Report,
  own: string
): ReadonlyArray<readonly [path: string, text: string]> =>
  picture === undefined ? [] : [[pictureOf(name), draw(picture, own)]]
