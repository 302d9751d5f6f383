/**
 * One exchange with an authorization server, friendly or hostile: limited in
 * size, without redirects, and with errors that contain no secret.
 */
import type * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import * as ErrorAttributes from "../disclosure/ErrorAttributes.js"
import * as RedactedSpans from "../disclosure/RedactedSpans.js"
import * as Redaction from "../disclosure/Redaction.js"
import {
  type AuthorizationServerError,
  type AuthorizationServerErrorFields,
  codeOf,
  describe,
  oneLine
} from "../OAuthError.js"
import { FetchRequestInit } from "./FetchRequestInit.js"
import { isStatusFailure } from "./StatusFailure.js"
import * as TokenResponse from "./TokenResponse.js"

/** The class of the errors of an endpoint. */
export interface ErrorClass<E extends AuthorizationServerError> {
  new(fields: AuthorizationServerErrorFields): E
}

/** The fields of an error in addition to its subject. */
type ErrorFields = Omit<AuthorizationServerErrorFields, "endpoint">

/** What is wrong with a response; without a reason, its status says it. */
type ResponseFault = Omit<ErrorFields, "reason"> & Partial<ErrorFields>

/** Reads an object, or says what is wrong with it. */
type Decode<A> = (body: Readonly<Record<string, unknown>>) => Either.Either<A, string>

/** A good response: a status of 2xx, and no OAuth error. */
export interface Answer<E extends AuthorizationServerError> {
  /** When the request was sent (epoch milliseconds). */
  readonly sentAt: number
  /** Without secrets, which are searched for only when the headers are shown. */
  readonly headers: () => Headers.Headers
  /** The body; `undefined` if it is neither JSON nor a form. */
  readonly body: unknown
  /** Reads the body, which must be an object. `decode` says which field is invalid. */
  readonly read: <A>(decode: Decode<A>) => Either.Either<A, E>
  /** Makes the error for a response that is of no use after all. */
  readonly reject: (description: string) => E
  /** Removes secrets from a part of the body. */
  readonly clean: Redaction.Clean
}

/** Sends a request. `secrets` are those that it contains, which no error may show. */
export type ServerExchange<E extends AuthorizationServerError> = (
  endpoint: string,
  request: HttpClientRequest.HttpClientRequest,
  secrets: ReadonlyArray<string>
) => Effect.Effect<Answer<E>, E>

/**
 * Makes exchanges over the given `HttpClient`, which must not follow redirects
 * itself (platform's `followRedirects` would send the credentials along).
 */
export const make = <E extends AuthorizationServerError>(ServerError: ErrorClass<E>, options: {
  readonly maxResponseBytes: number
  readonly requestInit?: RequestInit | undefined
  /** The field of a response that contains the token, if it has another name. */
  readonly tokenField?: string | undefined
}): Effect.Effect<ServerExchange<E>, never, HttpClient.HttpClient> =>
  Effect.map(Effect.context<HttpClient.HttpClient>(), (context) => {
    const { maxResponseBytes } = options
    const client = HttpClient.withScope(Context.get(context, HttpClient.HttpClient))
    // A redirect would send the credentials elsewhere
    const requestInit: RequestInit = {
      ...Option.getOrUndefined(Context.getOption(context, FetchRequestInit)),
      ...options.requestInit,
      redirect: "manual"
    }

    const receive = (endpoint: string, request: HttpClientRequest.HttpClientRequest, clean: Redaction.Clean) => {
      const failed = (failure: unknown) => new ServerError({ endpoint, ...transportFields(failure, clean) })
      // A client below could show the credentials in spans of its own
      const redact: RedactedSpans.Redact = (exit) => {
        if (Exit.isSuccess(exit)) return Exit.void
        return Cause.isInterruptedOnly(exit.cause) ? exit : Exit.fail(failed(Cause.squash(exit.cause)))
      }
      return RedactedSpans.make(client.execute(request), redact).pipe(
        Effect.catchAllDefect((defect) =>
          HttpClientError.isHttpClientError(defect) ? Effect.fail(defect) : Effect.die(defect)
        ),
        // This code decides what a status means, even if the client below filters them
        Effect.catchIf(isStatusFailure, ({ response }) => Effect.succeed(response)),
        // Within the span, which would keep the client's failure and with it the request
        Effect.mapError(failed)
      )
    }

    const exchange = Effect.fnUntraced(
      function*(
        endpoint: string,
        request: HttpClientRequest.HttpClientRequest,
        secrets: ReadonlyArray<string>,
        span: Tracer.Span | undefined
      ) {
        const sentAt = yield* Clock.currentTimeMillis
        const cleanSent = Redaction.make(secrets)
        const response = yield* receive(endpoint, request, cleanSent)
        const { status } = response
        span?.attribute("http.response.status_code", status)
        const read = yield* Effect.either(readBody(response, maxResponseBytes, cleanSent))
        const text = Either.getOrElse(read, () => "")
        const type = response.headers["content-type"] ?? ""
        const body = parse(type, text)
        const clean = Redaction.make([...secrets, ...tokensOf(body, options.tokenField)])
        const now = yield* Clock.currentTimeMillis
        const headers = () => Redaction.headers(response.headers, clean)
        const reason = reasonOf(status)
        const error = (fault: ResponseFault) =>
          new ServerError({
            reason,
            status,
            headers: headers(),
            retryAfter: parseRetryAfter(response.headers["retry-after"], now),
            ...fault,
            endpoint
          })
        const fail = (fault: ResponseFault) => Effect.fail(error(fault))
        if (Either.isLeft(read)) return yield* fail(read.left)
        if (reason === "Redirect") return yield* fail({ description: "a redirect, which is not followed" })
        const failure = TokenResponse.decodeError(body, clean)
        if (failure !== undefined) return yield* fail({ reason: "OAuth", description: failure.error, ...failure })
        const reasons = () => TokenResponse.reasonsOf(body)
        if (reason === "Status") {
          const description = `no OAuth error in ${describeBody(headers(), text)}`
          const said = clean(reasons() || plainReason(type, text))
          return yield* fail({ description: withReason(description, said) })
        }
        // A text instead of a token may be a token
        const reject = (description: string) => error({ description: withReason(clean(description), clean(reasons())) })
        return {
          sentAt,
          headers,
          body,
          clean,
          reject,
          read: <A>(decode: Decode<A>) =>
            Predicate.isRecord(body)
              ? Either.mapLeft(decode(body), reject)
              : Either.left(reject(
                body === undefined ? `no valid JSON in ${describeBody(headers(), text)}` : "the JSON is not an object"
              ))
        }
      },
      // Ends a body that was not read completely, which would keep its connection busy
      Effect.scoped,
      Effect.provideService(FetchRequestInit, requestInit)
    )

    return (endpoint, request, secrets) =>
      traced(endpoint, request, (request, span) => exchange(endpoint, request, secrets, span))
  })

/** Describes a body without showing any of it. */
const describeBody = (headers: Headers.Headers, body: string): string => {
  if (body.trim() === "") return "an empty body"
  const type = oneLine(headers["content-type"]?.split(";")[0] ?? "untyped")
  const encoding = headers["content-encoding"]
  const encoded = encoding === undefined || encoding === "identity"
    ? ""
    : `, ${oneLine(encoding)} though identity was requested`
  return `a body of ${body.length} characters (${type}${encoded})`
}

/** The error fields of a transport failure. */
const transportFields = (failure: unknown, clean: Redaction.Clean): ErrorFields => {
  const cause = HttpClientError.isHttpClientError(failure)
    ? failure.cause ?? failure.description ?? failure.reason
    : failure
  return { reason: "Transport", description: describe(cause, clean), code: codeOf(cause) }
}

/** A text for people: no page, no truncated document, and no word that could be a token. */
const plainReason = (type: string, text: string): string =>
  /^(text\/plain|$)/i.test(type) && /^\s*[^\s<{[]/.test(text) && !/[^\s.]{32}/.test(text)
    ? text
    : ""

const maxReason = 200

const withReason = (description: string, reason: string): string =>
  reason === ""
    ? description
    : `${description}: ${oneLine(reason.length > maxReason ? `${reason.slice(0, maxReason)}…` : reason)}`

/** The reason of a failed response without an OAuth error. */
const reasonOf = (status: number): "Redirect" | "Status" | "InvalidResponse" => {
  // A browser hides the status of a redirect that is not followed
  if (status === 0 || (status >= 300 && status < 400 && status !== 304)) return "Redirect"
  return status >= 200 && status < 300 ? "InvalidResponse" : "Status"
}

/**
 * A span as OpenTelemetry defines it for HTTP clients, with platform's name,
 * but without what the server chooses: even the name of a header may contain
 * what the server was sent. It ends with the body, and fails if the exchange
 * does.
 */
const traced = <A, E extends AuthorizationServerError>(
  endpoint: string,
  request: HttpClientRequest.HttpClientRequest,
  exchange: (
    request: HttpClientRequest.HttpClientRequest,
    span: Tracer.Span | undefined
  ) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.withFiberRuntime((fiber) => {
    if (fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)(request)) return exchange(request, undefined)
    const { hostname, port, protocol } = new URL(endpoint)
    const attributes = {
      "http.request.method": request.method,
      "server.address": hostname,
      "server.port": Number(port || (protocol === "https:" ? 443 : 80)),
      "url.full": endpoint,
      "url.scheme": protocol.slice(0, -1)
    }
    const isPropagated = fiber.getFiberRef(HttpClient.currentTracerPropagation)
    return ErrorAttributes.inSpan(`http.client ${request.method}`, { kind: "client", attributes }, (span) =>
      exchange(
        isPropagated ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span)) : request,
        span
      ).pipe(
        // The span keeps the result, which contains the token
        Effect.map(Redacted.make),
        Effect.locally(HttpClient.currentTracerDisabledWhen, constTrue)
      )).pipe(Effect.map(Redacted.value))
  })

/**
 * Fails with what is wrong with the body: a failure that is logged on its way
 * contains no request, and so no credentials.
 */
const readBody = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number,
  clean: Redaction.Clean
): Effect.Effect<string, ResponseFault, Scope.Scope> =>
  Effect.suspend(() => {
    const tooLarge = Effect.fail({ description: `the body is larger than ${maxBytes} bytes (maxResponseBytes)` })
    if (Number(response.headers["content-length"]) > maxBytes) return tooLarge
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    const failed = (error: HttpClientError.ResponseError): Effect.Effect<void, ResponseFault> =>
      error.reason === "EmptyBody" ? Effect.void : Effect.fail(transportFields(error, clean))
    // Running the stream would take a fiber of its own
    const rest = (pull: Pull): Effect.Effect<void, ResponseFault> =>
      Effect.matchEffect(pull, {
        onFailure: Option.match({ onNone: () => Effect.void, onSome: failed }),
        onSuccess: (chunks) => {
          for (const chunk of chunks) {
            bytes += chunk.byteLength
            if (bytes > maxBytes) return tooLarge
            text += decoder.decode(chunk, { stream: true })
          }
          return rest(pull)
        }
      })
    return Effect.map(Effect.flatMap(Stream.toPull(response.stream), rest), () => text + decoder.decode())
  })

type Pull = Effect.Effect<Iterable<Uint8Array>, Option.Option<HttpClientError.ResponseError>>

/** JSON, whatever the content type; else a form, as early OAuth 2 servers sent it. */
const parse = (type: string, text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return formTypes.test(type) && formOfOAuth.test(text)
      ? formFields(new URLSearchParams(text.trim()))
      : undefined
  }
}

// GitHub says x-www-form-urlencoded, Facebook said text/plain
const formTypes = /^\s*(application\/x-www-form-urlencoded|text\/plain)\s*(;|$)/i
const formOfOAuth = /(^|&)(access_token|error)=/

/** Facebook names `expires_in` `expires`. */
const formFields = (form: URLSearchParams): Readonly<Record<string, string>> => {
  const expires = form.get("expires")
  return { ...(expires === null ? {} : { expires_in: expires }), ...Object.fromEntries(form) }
}

/** The tokens of a response that may be refused for another reason. */
const tokensOf = (body: unknown, tokenField = "access_token"): ReadonlyArray<string> =>
  Predicate.isRecord(body)
    ? [tokenField, "access_token", "refresh_token", "id_token"].map((name) => body[name]).filter(Predicate.isString)
    : []

// RFC 9110 §10.2.3: a number of seconds, or a date, which starts with the day of the week
const parseRetryAfter = (value: string | undefined, now: number): Duration.Duration | undefined => {
  const given = value?.trim() ?? ""
  if (/^\d+$/.test(given)) return Duration.seconds(Number(given))
  if (!/^(mon|tue|wed|thu|fri|sat|sun)/i.test(given)) return undefined
  // The oldest format means GMT without saying so (RFC 9110 §5.6.7)
  const date = Date.parse(given.endsWith("GMT") ? given : `${given} GMT`)
  return Number.isNaN(date) ? undefined : Duration.millis(Math.max(0, date - now))
}
