/** The page that holds the figures, each scenario's between marks of its own, and the pictures of the guide. */
import { draw } from "./Chart.js"
import { render, type Report } from "./Report.js"

/** Relative to the guides, as are the pictures. The guide shows these, and links to the figures. */
export const page = "performance/figures.md"

/** A page with the figures of this report in the place of those that it holds, if it holds any. */
export const insert = (text: string, report: Report, machine: string): string => {
  const marked = new RegExp(`(<!-- ${report.name} -->\n)[^]*?(<!-- /${report.name} -->)`)
  return text.replace(marked, (_, begin, end) => `${begin}${render(report)}\n\n${machine}\n${end}`)
}

/** The files of a report's pictures, relative to the guides. */
export const pictures = (
  { name, picture }: Report,
  own: string
): ReadonlyArray<readonly [path: string, text: string]> =>
  picture === undefined ? [] : [[`performance/${name}.svg`, draw(picture, own)]]
