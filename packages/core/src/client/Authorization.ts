/** How a token is added to a request, and how it is kept out of everything that comes back. */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as AccessToken from "../AccessToken.js"
import * as RedactedSpans from "../disclosure/RedactedSpans.js"
import * as StatusFailure from "../endpoint/StatusFailure.js"
import * as HttpTransport from "../HttpTransport.js"
import type { TokenUse } from "../TokenStatus.js"
import * as AddressedRequest from "./AddressedRequest.js"
import * as RedactedResponse from "./RedactedResponse.js"

/** One request with one token. */
export interface Attempt extends AddressedRequest.AddressedRequest {
  readonly token: AccessToken.AccessToken
  /** `withReplayableBodies` declares that any body can be sent again. */
  readonly call: { readonly replayable?: boolean | undefined }
  /** For the span of the request. */
  readonly use: TokenUse | undefined
  /** How often it was sent before. */
  readonly resends: number
}

/**
 * Sends a request with its token, and passes the response on. Response and
 * errors show the request without the token.
 */
type Send = <A extends Attempt, E>(
  attempt: A,
  receive: Receive<A, E>
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>

/** Handles a response. */
export type Receive<A extends Attempt, E = never> = (
  response: HttpClientResponse.HttpClientResponse,
  attempt: A
) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>

/** `Send` for a request that the client has received. */
type SendExecuted = <A extends Attempt, E>(
  executed: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>,
  attempt: A,
  receive: Receive<A, E>
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>

/** `AccessToken.ProofSending`, as requests use it. */
export interface ProofSending extends AccessToken.ProofSending {
  /** RFC 9449 §7.1: sends the token with a proof for this request. */
  readonly request: <A extends Attempt, E>(
    via: Via,
    attempt: A,
    receive: Receive<A, E>
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>
}

/** What is needed to send requests with any token. */
export interface Via {
  readonly client: HttpClient.HttpClient
  readonly requestInit: RequestInit | undefined
  readonly authorize: (attempt: Attempt) => HttpClientRequest.HttpClientRequest
  readonly send: SendExecuted
}

/**
 * Adds tokens to the requests of a client. Caches the header of the last token.
 * `requestInit` is what the app gave platform's fetch client.
 */
export const make = (client: HttpClient.HttpClient, requestInit?: RequestInit): Send => {
  const sendAuthorized = HttpTransport.sendAuthorized(client)
  let lastToken: AccessToken.AccessToken | undefined
  let lastHeader = ""
  const headerOf = (token: AccessToken.AccessToken) => {
    if (token !== lastToken) {
      lastHeader = AccessToken.authorization(token)
      lastToken = token
    }
    return lastHeader
  }
  const authorize = (attempt: Attempt) => AddressedRequest.withHeader(attempt, "authorization", headerOf(attempt.token))

  // The hot path: each combinator would cost every request
  const send: SendExecuted = (executed, attempt, receive) =>
    Effect.matchCauseEffect(
      RedactedSpans.make(
        annotate(executed, attempt),
        (exit) => RedactedResponse.redactExit(exit, attempt)
      ),
      {
        onFailure: (cause) => receiveFailure(cause, attempt, receive),
        onSuccess: (response) => receive(RedactedResponse.make(response, attempt), attempt)
      }
    )

  return (attempt, receive) => {
    const { proofKey } = attempt.token
    if (proofKey !== undefined) {
      return (proofKey.sending as ProofSending).request({ client, requestInit, authorize, send }, attempt, receive)
    }
    if (sendAuthorized === undefined) return send(client.execute(authorize(attempt)), attempt, receive)
    // The response does not show the token
    const sent = sendAuthorized(AddressedRequest.toRequest(attempt), headerOf(attempt.token))
    return Effect.flatMap(annotate(sent, attempt), (response) => receive(response, attempt))
  }
}

/** A response that the client reports as a failure is handled as a response, and then passed on as that failure. */
const receiveFailure = <A extends Attempt, E>(
  cause: Cause.Cause<HttpClientError.HttpClientError>,
  attempt: A,
  receive: Receive<A, E>
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E> => {
  const redacted = RedactedResponse.redactCause(cause, AddressedRequest.toRequest(attempt))
  const failed = Effect.failCause(redacted)
  const response = Option.getOrUndefined(StatusFailure.fromCause(redacted))?.response
  return response === undefined
    ? failed
    : Effect.flatMap(
      receive(response, attempt),
      (received) => received === response ? failed : Effect.succeed(received)
    )
}

/**
 * Keeps the token out of platform's spans, which show every header that is not
 * in this list; an app may have replaced the list.
 */
export const hide = <A, E>(
  effect: Effect.Effect<A, E>,
  redactedNames: ReadonlyArray<string | RegExp>
): Effect.Effect<A, E> =>
  redactedNames.includes("authorization")
    ? effect
    : Effect.locally(effect, Headers.currentRedactedNames, [...redactedNames, "authorization"])

/**
 * Records in the spans of an effect how the token was obtained, and how often
 * the request was sent before (OpenTelemetry's `resend_count`).
 */
export const annotate = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  { resends, use }: Pick<Attempt, "resends" | "use">
): Effect.Effect<A, E, R> =>
  use === undefined && resends === 0
    ? effect
    : Effect.withFiberRuntime((fiber) =>
      // A thousand requests may have waited for one token: where tracing is switched off, this costs them nothing
      fiber.getFiberRef(FiberRef.currentTracerEnabled)
        ? Effect.annotateSpans(effect, {
          ...(use && { "oauth.token.use": use }),
          ...(resends > 0 && { "http.request.resend_count": resends })
        })
        : effect
    )
