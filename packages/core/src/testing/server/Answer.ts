/**
 * What the requests of a test get: a response in plain values, or a broken
 * connection; once, several times, or until changed.
 */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Answer, Reply } from "../TestExchange.js"
import * as Requests from "./Requests.js"

/** A transient failure: 503. */
export const unavailable: Reply = { status: 503, body: "the test server was told to fail" }

/** Sends a response. `headers` are added to its own. */
export const send = (
  request: HttpClientRequest.HttpClientRequest,
  answer: Answer,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.RequestError> =>
  Effect.suspend(() => {
    if (answer === "hang") return Effect.never
    if (answer === "reset") {
      return Effect.fail(Requests.transportError(request)(reset()))
    }
    const web = answer === "cut"
      ? cut()
      : answer instanceof Response
      ? answer.clone()
      : toWeb(request.method, answer)
    return Effect.succeed(HttpClientResponse.fromWeb(request, withHeaders(web, headers)))
  })

/** The headers of a `Response.redirect` are immutable. */
const withHeaders = (web: Response, headers: Readonly<Record<string, string>>): Response => {
  const more = Object.entries(headers)
  if (more.length === 0) return web
  const changed = new Response(web.body, web)
  for (const [name, value] of more) changed.headers.set(name, value)
  return changed
}

const reset = () => Object.assign(new Error("the connection was reset"), { code: "ECONNRESET" })

/** The first bytes of a response, after which the connection breaks. */
const cut = (): Response => {
  let started = false
  return new Response(
    new ReadableStream<Uint8Array>({
      pull(controller) {
        if (started) return controller.error(reset())
        started = true
        controller.enqueue(new TextEncoder().encode("{\"access_token\":\"tok"))
      }
    }),
    { headers: { "content-type": "application/json" } }
  )
}

const statusesWithoutBody = [204, 205, 304]

const toWeb = (method: string, { body, headers, status = 200 }: Reply): Response => {
  if (method === "HEAD" || statusesWithoutBody.includes(status)) {
    return new Response(null, { status, headers: { ...headers } })
  }
  if (typeof body === "string" || body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    return new Response(body as BodyInit, { status, headers: { ...headers } })
  }
  // A response without bytes has no content type, unlike one with an empty text
  if (body === undefined) return new Response(new Uint8Array(), { status, headers: { ...headers } })
  const web = new Response(JSON.stringify(body), { status, headers: { ...headers } })
  if (new Headers(headers).get("content-type") === null) web.headers.set("content-type", "application/json")
  return web
}

/** What one endpoint does with its requests. */
export interface Script {
  /** The next `n` requests get this response, after those of earlier calls. */
  readonly failNext: (n: number, answer: Answer) => void
  /** All others get this response, until `undefined`. */
  readonly fail: (answer: Answer | undefined) => void
  readonly setDelay: (delay: Duration.DurationInput) => void
  /** The response to the current request; `undefined` if the endpoint answers itself. */
  readonly next: () => Answer | undefined
  /** The last argument of `fail`. */
  readonly failure: () => Answer | undefined
  /** Waits for the delay that was set when it is called. */
  readonly wait: () => Effect.Effect<void>
}

/** Makes a script that only delays. */
export const makeScript = (initialDelay: Duration.DurationInput = Duration.zero): Script => {
  const answers: Array<Answer> = []
  let failure: Answer | undefined
  let delay = Duration.decode(initialDelay)
  return {
    failNext: (n, answer) => {
      for (let i = 0; i < n; i++) answers.push(answer)
    },
    fail: (answer) => {
      failure = answer
    },
    setDelay: (newDelay) => {
      delay = Duration.decode(newDelay)
    },
    next: () => answers.shift() ?? failure,
    failure: () => failure,
    wait: () => Duration.toMillis(delay) > 0 ? Effect.sleep(delay) : Effect.void
  }
}
