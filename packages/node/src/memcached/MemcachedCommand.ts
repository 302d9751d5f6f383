/**
 * The commands of Memcached's meta protocol that a store needs. A write succeeds
 * only if the item is unchanged since it was read, or still absent.
 */
import * as Option from "effect/Option"
import * as MemcachedError from "./MemcachedError.js"
import type { Found, Item } from "./MemcachedItem.js"

/** Lines to send in order, and the decoder of their responses. It throws if a response is not one of Memcached. */
export interface Command<out A> {
  readonly lines: ReadonlyArray<Line>
  readonly decode: (answers: ReadonlyArray<unknown>) => A
}

export interface Line {
  readonly text: string
  /** The response is a list of values and a last line. */
  readonly isMultiline?: true
}

/** An item that was read; `unique` changes with every write. */
export interface Seen extends Found {
  readonly unique: string
}

/**
 * Reads an item; `"changed"` if it was written meanwhile. The client cannot read a
 * value together with its unique number and lifetime: these are read before and
 * after it, and the number must be the same.
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

/** The unique number in a header; `undefined` if there is no item. */
const uniqueOf = (answer: unknown): string | undefined => {
  if (answer === "EN") return undefined
  const unique = /^HD .*\bc(\d+)/.exec(String(answer))?.[1]
  if (unique === undefined) throw MemcachedError.unexpected()
  return unique
}

/** Replaces the item that was read, or adds one if there was none; `false` if another process was faster. */
export const write = (key: string, { expiry, value }: Item, seen: Option.Option<Seen>): Command<boolean> => ({
  lines: [{ text: `ms ${key} ${Buffer.byteLength(value)} T${expiry} ${placeOf(seen)}\r\n${value}` }],
  decode: decodeChange
})

/** Mode "E" adds an item, and replaces none. */
const placeOf = Option.match({
  onNone: () => "ME",
  onSome: ({ unique }: Seen) => `C${unique}`
})

/** Removes the item that was read; `false` if another process was faster. */
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

/** Checks that the server answers. */
export const greet: Command<void> = {
  lines: [{ text: "mn" }],
  decode: ([answer]) => {
    if (answer !== "MN") throw MemcachedError.unexpected()
  }
}

/** Sends credentials in the form of a write; without authentication the server would store an item that expires at once. */
export const authenticate = (username: string, password: string): Command<void> => {
  const value = `${username} ${password}`
  return {
    lines: [{ text: `set auth 0 -1 ${Buffer.byteLength(value)}\r\n${value}` }],
    decode: ([answer]) => {
      if (answer !== "STORED") throw MemcachedError.unexpected()
    }
  }
}
