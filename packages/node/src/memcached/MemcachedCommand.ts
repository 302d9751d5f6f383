/**
 * The commands of Memcached's meta protocol that a store needs: each write is
 * made only where an item is still as it was seen, or is not there.
 */
import * as Option from "effect/Option"
import * as MemcachedError from "./MemcachedError.js"
import type { Found, Item } from "./MemcachedItem.js"

/** Lines to send one after the other, and what their answers say. It throws at what Memcached does not answer. */
export interface Command<out A> {
  readonly lines: ReadonlyArray<Line>
  readonly decode: (answers: ReadonlyArray<unknown>) => A
}

export interface Line {
  readonly text: string
  /** Answered with values, up to a line that ends them. */
  readonly isMultiline?: true
}

/** An item as it was seen; `unique` changes with every write. */
export interface Seen extends Found {
  readonly unique: string
}

/**
 * Reads an item; `"changed"` where it was written meanwhile. The client cannot read a
 * value with its unique number and its time: these stand around it, and must be
 * the same before and after.
 */
export const look = (key: string): Command<Option.Option<Seen> | "changed"> => ({
  lines: [{ text: `mg ${key} c t` }, { text: `get ${key}`, isMultiline: true }, { text: `mg ${key} c` }],
  decode: ([before, values, after]) => {
    const unique = uniqueOf(before)
    if (unique !== uniqueOf(after)) return "changed"
    if (unique === undefined) return Option.none()
    const seconds = /^HD .*\bt(-?\d+)/.exec(String(before))?.[1]
    if (seconds === undefined || !Array.isArray(values)) throw MemcachedError.unexpected()
    return Option.some({ unique, value: String(values[0]), seconds: Number(seconds) })
  }
})

/** Of a header; `undefined` where nothing is. */
const uniqueOf = (answer: unknown): string | undefined => {
  if (answer === "EN") return undefined
  const unique = /^HD .*\bc(\d+)/.exec(String(answer))?.[1]
  if (unique === undefined) throw MemcachedError.unexpected()
  return unique
}

/** Writes an item in the place of the one that was seen, or where none was; `false` where another was quicker. */
export const write = (key: string, { expiry, value }: Item, seen: Option.Option<Seen>): Command<boolean> => ({
  lines: [{ text: `ms ${key} ${Buffer.byteLength(value)} T${expiry} ${placeOf(seen)}\r\n${value}` }],
  decode: decodeChange
})

/** "E" is the mode that only adds. */
const placeOf = Option.match({
  onNone: () => "ME",
  onSome: ({ unique }: Seen) => `C${unique}`
})

/** Takes away the item that was seen; `false` where another was quicker. */
export const remove = (key: string, { unique }: Seen): Command<boolean> => ({
  lines: [{ text: `md ${key} C${unique}` }],
  decode: decodeChange
})

const decodeChange = ([answer]: ReadonlyArray<unknown>): boolean => {
  if (answer === "HD") return true
  // Not stored, exists, not found
  if (answer === "NS" || answer === "EX" || answer === "NF") return false
  throw MemcachedError.unexpected()
}

/** Asks whether somebody answers. */
export const greet: Command<void> = {
  lines: [{ text: "mn" }],
  decode: ([answer]) => {
    if (answer !== "MN") throw MemcachedError.unexpected()
  }
}

/** Sends credentials, as a value that would be over at once where nobody asks for them. */
export const authenticate = (username: string, password: string): Command<void> => {
  const value = `${username} ${password}`
  return {
    lines: [{ text: `set auth 0 -1 ${Buffer.byteLength(value)}\r\n${value}` }],
    decode: ([answer]) => {
      if (answer !== "STORED") throw MemcachedError.unexpected()
    }
  }
}
