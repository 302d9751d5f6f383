/** The page about errors, as a test or a check reads it. */
import { readFileSync } from "node:fs"

export const path = "packages/guides/errors.md"

const text = readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

/** The cells of a row of a table. */
const cellsOf = (line: string): ReadonlyArray<string> => line.split("|").slice(1, -1).map((cell) => cell.trim())

const codeOf = (cell: string): string | undefined => /^`(.*)`$/.exec(cell)?.[1]

const lines = text.split("\n")

/** What the tables of messages show, in their order. */
export const messages: ReadonlyArray<string> = lines.flatMap((line, index) => {
  if (!line.startsWith("| message |")) return []
  const end = lines.findIndex((line, at) => at > index && !line.startsWith("|"))
  return lines.slice(index + 2, end).map((row) => {
    const message = codeOf(cellsOf(row)[0])
    if (message === undefined) throw new Error(`A row does not begin with a message: ${row}`)
    return message
  })
})

/** The messages that are shown whole, between the tables. */
export const examples: ReadonlyArray<string> = [...text.matchAll(/^```\n(.*)\n```$/gm)].map(([, message]) => message)

/** All that is set as code, which is what somebody finds. */
export const code: string = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code).concat(examples).join("\n")

const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** A text with parts that differ. */
export const pattern = (text: string, hole: string): RegExp => new RegExp(text.split(hole).map(escape).join("[^\\n]*"))
