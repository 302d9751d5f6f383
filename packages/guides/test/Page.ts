/** The page about errors, as a check reads it. */
import { readFileSync } from "node:fs"

export const path = "packages/guides/errors.md"

const text = readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

/** All text that is formatted as code, which a reader can search for. */
export const code: string = text.split("```").map((part, index) =>
  index % 2 === 1 ? part : Array.from(part.matchAll(/`([^`\n]+)`/g), ([, code]) => code).join("\n")
).join("\n")

const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** A text with parts that differ. */
export const pattern = (text: string, hole: string): RegExp => new RegExp(text.split(hole).map(escape).join("[^\\n]*"))
