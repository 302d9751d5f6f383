/**
 * Looks for secrets in a value in every way in which a program, a log or a
 * person at a debugger can look at it.
 */
import { AccessToken } from "@effect-alf/core"
import { Cause, Effect, Exit, FiberRef, HashSet, Inspectable, Logger } from "effect"
import { Console } from "node:console"
import { Writable } from "node:stream"
import { format, inspect, type InspectOptions } from "node:util"

/** The forms in which a secret may be written, in small letters. */
const formsOf = (secret: string): ReadonlyArray<string> =>
  [
    secret,
    encodeURIComponent(secret),
    new URLSearchParams([["", secret]]).toString().slice(1),
    JSON.stringify(secret).slice(1, -1),
    JSON.stringify(secret).slice(1, -1).replaceAll("/", "\\/"),
    JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1),
    secret.replaceAll(/[^a-z0-9]/gi, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`),
    secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
      .replaceAll("'", "&#39;"),
    Buffer.from(secret).toString("latin1"),
    Buffer.from(secret).toString("hex"),
    ...[0, 1, 2].flatMap((offset) => base64At(secret, offset))
  ].map((form) => form.toLowerCase())

/** What of a secret's base64 does not depend on what surrounds it, so many bytes into a text. */
const base64At = (secret: string, offset: number): ReadonlyArray<string> => {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)])
  return (["base64", "base64url"] as const).map((encoding) =>
    bytes.toString(encoding).slice(Math.ceil(offset * 4 / 3), Math.floor(bytes.length * 4 / 3))
  )
}

const attempt = (f: () => string): string => {
  try {
    return f()
  } catch (error) {
    return `threw ${(error as Error).message}`
  }
}

const consoleLog = (value: unknown): string => {
  let text = ""
  const stdout = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk)
      done()
    }
  })
  new Console({ stdout }).log(value)
  return text
}

const logged = (logger: Logger.Logger<unknown, unknown>) => (value: unknown): string => {
  const lines: Array<string> = []
  const capture = Logger.map(logger, (output) => {
    lines.push(
      typeof output === "string" ? output : inspect(output, { depth: 20 }),
      attempt(() => JSON.stringify(output))
    )
  })
  Effect.log(value).pipe(
    Effect.annotateLogs("value", value),
    Effect.locally(FiberRef.currentLoggers, HashSet.make(capture)),
    Effect.runSync
  )
  return lines.join("\n")
}

const causeOf = (value: unknown): Cause.Cause<unknown> =>
  Exit.isExit(value)
    ? Exit.isFailure(value) ? value.cause : Cause.empty
    : Cause.isCause(value)
    ? value
    : Cause.fail(value)

// To lay it out in columns takes as long as to look at it
const whole: InspectOptions = { depth: 20, showHidden: true, compact: false }

const ways: Record<string, (value: unknown) => string> = {
  String: (value) => String(value),
  "JSON.stringify": (value) => JSON.stringify(value),
  "Inspectable.format": (value) => Inspectable.format(value),
  "console.log": consoleLog,
  format: (value) => format("%s %d %o %O %j", value, value, value, value, value),
  inspect: (value) => inspect(value, { ...whole, getters: true, maxStringLength: null }),
  "inspect without toJSON": (value) =>
    inspect(value, { ...whole, getters: true, customInspect: false, maxStringLength: null }),
  structuredClone: (value) => inspect(structuredClone(value), whole),
  "Cause.pretty": (value) => Cause.pretty(causeOf(value), { renderErrorCause: true }),
  "Cause.prettyErrors": (value) => Cause.prettyErrors(causeOf(value)).map((error) => inspect(error, whole)).join("\n"),
  "the string logger": logged(Logger.stringLogger),
  "the logfmt logger": logged(Logger.logfmtLogger),
  "the JSON logger": logged(Logger.jsonLogger),
  "the structured logger": logged(Logger.structuredLogger)
}

/** Whatever can be reached from a value by reading properties, with the path to it. */
function* reachable(root: unknown): Generator<readonly [path: string, text: string]> {
  const seen = new Set<unknown>()
  const queue: Array<readonly [string, unknown]> = [["", root]]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const [path, value] = next
    if (typeof value === "string") yield [path, value]
    if (typeof value === "symbol") yield [path, value.description ?? ""]
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue
    seen.add(value)
    if (seen.size > 100_000) throw new Error("too much is reachable to look at all of it")
    if (ArrayBuffer.isView(value)) {
      yield [path, Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1")]
      continue
    }
    if (value instanceof ArrayBuffer) {
      yield [path, Buffer.from(value).toString("latin1")]
      continue
    }
    if (Symbol.iterator in value && typeof value[Symbol.iterator] === "function" && isCollection(value)) {
      for (const entry of value) queue.push([`${path}[]`, entry])
    }
    for (
      let object: object | null = value;
      object !== null && !isBuiltIn(object);
      object = Object.getPrototypeOf(object)
    ) {
      for (const key of Reflect.ownKeys(object)) {
        yield [path, String(key)]
        // The one place that is meant to build the secret
        if (object === AccessToken.AccessToken.prototype && key === "authorization") continue
        const step = `${path}.${String(key)}`
        const read = attemptRead(value, key)
        if (read !== undefined) queue.push([step, read])
      }
    }
  }
}

const isCollection = (value: object): value is Iterable<unknown> =>
  value instanceof Map || value instanceof Set || value instanceof Headers || value instanceof FormData ||
  value instanceof URLSearchParams

const isBuiltIn = (object: object): boolean =>
  object === Object.prototype || object === Function.prototype || object === Array.prototype ||
  object === Map.prototype || object === Set.prototype || object === Error.prototype

const attemptRead = (value: object, key: PropertyKey): unknown => {
  try {
    const read = (value as Record<PropertyKey, unknown>)[key]
    // A getter read off its prototype may answer with a promise that nobody waits for
    if (read instanceof Promise) read.catch(() => {})
    return read
  } catch (error) {
    return error
  }
}

// A test looks for the same secrets again and again
let known: { readonly secrets: string; readonly forms: RegExp } = { secrets: "", forms: /(?!)/ }

/** All forms of the secrets as one expression, which takes one look at a text. */
const anyFormOf = (secrets: ReadonlyArray<string>): RegExp => {
  const text = JSON.stringify(secrets)
  if (text !== known.secrets) {
    const forms = new Set(secrets.flatMap(formsOf))
    known = { secrets: text, forms: new RegExp(Array.from(forms, escape).join("|")) }
  }
  return known.forms
}

const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")

/** Tells whether a text holds one of the secrets in any of its forms, in capitals or in small letters. */
export const finder = (secrets: ReadonlyArray<string>) => {
  const forms = anyFormOf(secrets)
  return (text: string) => forms.test(text.toLowerCase())
}

/** In which of the ways the secrets can be seen in a value. */
export const leaks = (value: unknown, secrets: ReadonlyArray<string>): ReadonlyArray<string> =>
  leaksOf([value], secrets)

/** The same for values that have much in common, as a failure, its cause and its exit: that is searched once. */
export const leaksOf = (values: ReadonlyArray<unknown>, secrets: ReadonlyArray<string>): ReadonlyArray<string> => {
  const has = finder(secrets)
  const shown = Object.entries(ways).filter(([, show]) =>
    Array.from(new Set(values)).some((value) => has(attempt(() => show(value))))
  )
  return [...shown.map(([way]) => way), ...reaches(values.length === 1 ? values[0] : values, secrets)]
}

/** At which paths a program can read the secrets in a value. */
export const reaches = (value: unknown, secrets: ReadonlyArray<string>): ReadonlyArray<string> => {
  const has = finder(secrets)
  const paths = Array.from(reachable(value)).filter(([, text]) => has(text)).map(([path]) => `at ${path}`)
  return Array.from(new Set(paths))
}
