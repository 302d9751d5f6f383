/** The data of a request as it is given on a command line: as curl takes it. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpBody from "@effect/platform/HttpBody"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Failure from "./Failure.js"

/**
 * A text, `@file`, or `@-` for the standard input, which is read completely, so
 * that the body can be sent again after a 401.
 */
export const read = <E>(
  data: string,
  stdin: Stream.Stream<Uint8Array, E>
): Effect.Effect<Uint8Array, Failure.Failure, FileSystem.FileSystem> => {
  if (!data.startsWith("@")) return Effect.succeed(new TextEncoder().encode(data))
  const path = data.slice(1)
  if (path === "-") {
    return Stream.runCollect(stdin).pipe(
      Effect.map((chunks) => new Uint8Array(Buffer.concat(Array.from(chunks)))),
      Effect.mapError(() => Failure.usage("the standard input cannot be read"))
    )
  }
  return Effect.flatMap(FileSystem.FileSystem, (fs) =>
    Effect.mapError(
      fs.readFile(path),
      (error) =>
        Failure.usage(
          `the file ${path} cannot be read: ${error._tag === "SystemError" ? error.reason : "not a path"}`
        )
    ))
}

/**
 * The body, of the type that a header names; else JSON where it is that, and a
 * form like curl's where not.
 */
export const make = (bytes: Uint8Array, contentType: string | undefined): HttpBody.Uint8Array =>
  HttpBody.uint8Array(bytes, contentType ?? (isJson(bytes) ? "application/json" : "application/x-www-form-urlencoded"))

const isJson = (bytes: Uint8Array): boolean => {
  const text = new TextDecoder().decode(bytes)
  if (!/^\s*[[{]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
