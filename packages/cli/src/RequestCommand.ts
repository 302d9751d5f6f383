/** `alf request`: calls an API with a token, as curl would. */
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Origin from "@effect-alf/core/Origin"
import * as NodeAuthedHttpClient from "@effect-alf/node/NodeAuthedHttpClient"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as NodeSink from "@effect/platform-node/NodeSink"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Headers from "@effect/platform/Headers"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { isHttpMethod } from "@effect/platform/HttpMethod"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { constants, createWriteStream } from "node:fs"
import { access, stat } from "node:fs/promises"
import { STATUS_CODES } from "node:http"
import { dirname } from "node:path"
import * as Examples from "./Examples.js"
import { ExitCode } from "./ExitCode.js"
import * as Failure from "./Failure.js"
import { Naming } from "./Naming.js"
import { Process } from "./Process.js"
import * as RequestBody from "./RequestBody.js"
import * as Settings from "./Settings.js"
import { Spinner } from "./Spinner.js"

const argument = (name: string, description: string) =>
  Args.text({ name }).pipe(
    Args.withDescription(description),
    Args.mapEffect((value) =>
      value.startsWith("-")
        ? Effect.fail(HelpDoc.p(`Received unknown argument: '${value}'`))
        : Effect.succeed(value)
    )
  )

const makeConfig = (naming: Naming["Type"]) => ({
  method: argument("method", "GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS."),
  url: argument("url", `A path below ${naming.names.baseUrl}, or a URL.`),
  header: Options.text("header").pipe(
    Options.withAlias("H"),
    Options.withPseudoName("name: value"),
    Options.withDescription("A header."),
    Options.repeated
  ),
  data: Options.text("data").pipe(
    Options.withAlias("d"),
    Options.withPseudoName("data"),
    Options.withDescription(
      "What is sent: a text, @file, or @- for the standard input. JSON is sent as JSON, anything " +
        "else as a form, unless a header Content-Type says otherwise."
    ),
    Options.optional
  ),
  include: Options.boolean("include").pipe(
    Options.withAlias("i"),
    Options.withDescription("Writes the status and the headers of the response before its body.")
  ),
  output: Options.text("output").pipe(
    Options.withAlias("o"),
    Options.withPseudoName("file"),
    Options.withDescription("Writes the body into a file."),
    Options.optional
  ),
  fail: Options.boolean("fail").pipe(
    Options.withAlias("f"),
    Options.withDescription("Ends with exit code 1 when the status is 400 or above.")
  ),
  ...Settings.makeOptions(naming)
})

/** The command. */
export const make = (naming: Naming["Type"]) =>
  Command.make("request", makeConfig(naming), (options) =>
    Effect.gen(function*() {
      const request = yield* makeRequest(options)
      if (Option.isSome(options.output)) yield* checkOutput(options.output.value)
      const { baseUrl, names, origins } = yield* NodeAuthedHttpClient.readEnvironment()
      if (baseUrl === undefined && !Origin.isAbsolute(options.url)) {
        return yield* Failure.usage(
          (yield* Naming).nameOptions(`${names.baseUrl.name} is not set, and ${options.url} is not a URL`)
        )
      }
      // Who writes out a whole address means that the token goes there
      const isSaid = (baseUrl ?? origins) !== undefined
      const layer = NodeAuthedHttpClient.layerEnv(isSaid ? {} : { origins: [originOf(options.url)] })
      yield* Effect.provide(Effect.scoped(send(request, options)), layer)
    }).pipe(Settings.configured(options))).pipe(
      Command.withDescription(Examples.describe(
        "Sends a request with a token, and writes the body of the response. After a 401 it is sent once more with a new " +
          `token. A token goes to the origins of ${naming.names.baseUrl} and ${naming.names.origins}, or, if neither is ` +
          "set, to that of the URL.",
        [
          "alf request GET /orders",
          "alf request POST /orders -d '{\"item\":\"tea\"}' --fail",
          "alf request PUT /orders/1 -d @order.json -H 'If-Match: \"7\"' -i",
          "alf request GET https://api.example.com/report.pdf -o report.pdf"
        ]
      ))
    )

interface Given {
  readonly method: string
  readonly url: string
  readonly header: ReadonlyArray<string>
  readonly data: Option.Option<string>
  readonly include: boolean
  readonly output: Option.Option<string>
  readonly fail: boolean
  readonly json: boolean
}

const originOf = (url: string): string => Origin.parse(url)?.origin ?? url

const makeRequest = Effect.fnUntraced(function*({ data, header, method, url }: Given) {
  const name = method.toUpperCase()
  if (!isHttpMethod(name)) return yield* Failure.usage(`${method} is not a method`)
  const headers: Array<readonly [string, string]> = []
  for (const line of header) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) {
      return yield* Failure.usage("a header is written as \"name: value\"")
    }
    if (name.toLowerCase() === "authorization") {
      return yield* Failure.usage("the header Authorization is what this command adds by itself")
    }
    headers.push([name, value])
  }
  const request = HttpClientRequest.make(name)(url, { headers: combine(headers) })
  if (Option.isNone(data)) return request
  if (name === "GET" || name === "HEAD") return yield* Failure.usage(`a ${name} has no data`)
  const process = yield* Process
  const stdin = NodeStream.fromReadable(() => process.stdin, identity, { closeOnDone: false })
  const bytes = yield* RequestBody.read(data.value, Stream.orDie(stdin))
  return HttpClientRequest.setBody(request, RequestBody.make(bytes, request.headers["content-type"]))
})

/** One line of each name: of those that are given twice it holds all values (RFC 9110 §5.3, RFC 6265 §5.4). */
const combine = (lines: ReadonlyArray<readonly [name: string, value: string]>): Headers.Headers =>
  lines.reduce((headers, [name, value]) => {
    const before = Headers.get(headers, name)
    const separator = name.toLowerCase() === "cookie" ? "; " : ", "
    return Headers.set(headers, name, Option.isSome(before) ? before.value + separator + value : value)
  }, Headers.empty)

const send = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, options: Given) {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  const spinner = yield* Spinner
  const response = yield* spinner.during(`waiting for ${request.method} ${request.url}`)(client.execute(request))
  if (options.include && !options.json) yield* writeOut(Stream.succeed(headOf(response)))
  const content = options.json ? Stream.fromEffect(toJson(response)) : Stream.catchAll(
    response.stream,
    (error) => error.reason === "EmptyBody" ? Stream.empty : Stream.fail(error)
  )
  yield* Option.match(options.output, {
    onNone: () => writeOut(content),
    onSome: (path) => writeFile(content, path)
  })
  if (options.fail && response.status >= 400) {
    const { method } = request
    return yield* new Failure.Failure({
      message: `${method} ${request.url} was answered with ${statusOf(response)}`,
      exitCode: ExitCode.refused,
      kind: "Status"
    })
  }
})

const statusOf = ({ status }: HttpClientResponse.HttpClientResponse): string =>
  `${status} ${STATUS_CODES[status] ?? ""}`.trim()

const headOf = (response: HttpClientResponse.HttpClientResponse): string =>
  [
    `HTTP ${statusOf(response)}`,
    ...Object.entries(response.headers).map(([name, value]) => `${name}: ${value}`),
    "",
    ""
  ].join("\n")

const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))

const decodeText = Option.liftThrowable((bytes: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(bytes))

/** JSON stands as it came, with the digits of its numbers. What is no text is written so that none of its bytes is lost. */
const describeBody = (bytes: Uint8Array): ReadonlyArray<string> =>
  Option.match(decodeText(bytes), {
    onNone: () => [`"body": "${Encoding.encodeBase64(bytes)}"`, "\"bodyEncoding\": \"base64\""],
    onSome: (text) => [`"body": ${Option.isSome(parseJson(text)) ? text.trim() : JSON.stringify(text)}`]
  })

const toJson = ({ arrayBuffer, headers, status }: HttpClientResponse.HttpClientResponse) =>
  Effect.map(arrayBuffer, (bytes) => {
    const members = [
      `"status": ${status}`,
      `"headers": ${JSON.stringify(headers, undefined, 2).replaceAll("\n", "\n  ")}`,
      ...describeBody(new Uint8Array(bytes))
    ]
    return new TextEncoder().encode(`{\n  ${members.join(",\n  ")}\n}\n`)
  })

const writeOut = <E, R>(content: Stream.Stream<Uint8Array | string, E, R>) =>
  Effect.flatMap(Process, ({ stdout }) =>
    Stream.run(
      content,
      NodeSink.fromWritable(
        () => stdout,
        () => new Failure.Failure({ message: "the output was closed", exitCode: ExitCode.unexpected, kind: "Output" }),
        { endOnDone: false }
      )
    ))

const unwritable = (path: string, error: unknown): string => `the file ${path} cannot be written: ${codeOf(error)}`

/** What can be known of that before anything is requested. */
const checkOutput = (path: string) =>
  Effect.tryPromise({
    try: async () => {
      const known = await stat(path).catch(() => undefined)
      if (known?.isDirectory() === true) throw Object.assign(new Error("a directory"), { code: "EISDIR" })
      await access(known === undefined ? dirname(path) : path, constants.W_OK)
    },
    catch: (error) => Failure.usage(unwritable(path, error))
  })

/** Written from its beginning to its end, as a pipe has no positions. */
const writeFile = <E, R>(content: Stream.Stream<Uint8Array, E, R>, path: string) =>
  Stream.run(
    content,
    NodeSink.fromWritable(
      () => createWriteStream(path),
      (error) =>
        new Failure.Failure({ message: unwritable(path, error), exitCode: ExitCode.unexpected, kind: "Output" })
    )
  )

const codeOf = (error: unknown): string =>
  Predicate.hasProperty(error, "code") ? String(error.code) : OAuthError.describe(error)
