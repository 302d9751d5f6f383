/** Bars as a picture that can be read in light and in dark. */
import { type Picture, round } from "./Report.js"
import { values } from "./Rounds.js"
import { estimate } from "./Statistics.js"

const width = 760
const labelWidth = 250
const valueWidth = 110
const rowHeight = 26
const barHeight = 16
const top = 58

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .note { fill: #59636e }
  .own text { font-weight: 600 }
  rect { fill: #b6c2cf }
  .own rect { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    rect { fill: #4d5966 }
    .own rect { fill: #4493f8 }
  }`

/** Draws one bar for each subject, the best first; those whose name begins with `own` stand out. */
export const draw = ({ better, measure, table, title }: Picture, own: string): string => {
  const unit = table.measures.find(({ key }) => key === measure)?.unit ?? ""
  const bars = [...table.samples.keys()]
    .map((subject) => ({ subject, ...estimate(values(table.samples, subject, measure)) }))
    .sort((left, right) => better === "more" ? right.value - left.value : left.value - right.value)
  const largest = Math.max(...bars.map(({ value }) => value))
  const scale = (width - labelWidth - valueWidth) / largest
  const rows = bars.map(({ subject, value }, index) => {
    const y = top + index * rowHeight
    const length = Math.max(1, value * scale)
    return [
      subject.startsWith(own) ? "  <g class=\"own\">" : "  <g>",
      `    <text x="${labelWidth - 10}" y="${y + 13}" text-anchor="end">${escape(subject)}</text>`,
      `    <rect x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`,
      `    <text x="${(labelWidth + length + 8).toFixed(1)}" y="${y + 13}">${escape(round(value))}</text>`,
      "  </g>"
    ].join("\n")
  })
  const height = top + bars.length * rowHeight + 8
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ` +
    `aria-label="${escape(title)}">`,
    `  <style>${style}\n  </style>`,
    `  <text class="title" x="16" y="24">${escape(title)}</text>`,
    `  <text class="note" x="16" y="43">${escape(unit === "" ? "" : `${unit}; `)}${better} is better</text>`,
    ...rows,
    "</svg>\n"
  ].join("\n")
}
