/**
 * How a request is signed with a token, and how the signature is kept from
 * whatever comes back.
 */
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

/** One request on its way with one token. */
export interface Attempt extends AddressedRequest.AddressedRequest {
  readonly token: AccessToken.AccessToken
  /** `withReplayableBodies` is the caller's word for a body that nobody else knows to be so. */
  readonly call: { readonly replayable: boolean }
  /** For the span of the request. */
  readonly use: TokenUse | undefined
  /** How often it was sent before. */
  readonly resends: number
}

/**
 * Sends a request with its token, and hands the response on. That and the
 * errors show the request without the token.
 */
export type Send = <A extends Attempt, E>(
  attempt: A,
  receive: Receive<A, E>
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>

/** What becomes of a response. */
export type Receive<A extends Attempt, E = never> = (
  response: HttpClientResponse.HttpClientResponse,
  attempt: A
) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>

/** The same for a request that the client has been given. */
export type SendExecuted = <A extends Attempt, E>(
  executed: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>,
  attempt: A,
  receive: Receive<A, E>
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>

/** `AccessToken.ProofSending`, as requests see it. */
export interface ProofSending extends AccessToken.ProofSending {
  /** RFC 9449 §7.1: sends the token, and a proof for this request alone. */
  readonly request: <A extends Attempt, E>(
    via: Via,
    attempt: A,
    receive: Receive<A, E>
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>
}

/** What requests with any token are sent by. */
export interface Via {
  readonly client: HttpClient.HttpClient
  readonly requestInit: RequestInit | undefined
  readonly sign: (attempt: Attempt) => HttpClientRequest.HttpClientRequest
  readonly send: SendExecuted
}

/**
 * Signs for the given client. The header of the last token is kept ready.
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
  const sign = (attempt: Attempt) => AddressedRequest.withHeader(attempt, "authorization", headerOf(attempt.token))

  // The hot path: with a stream of combinators each request would pay for each
  const send: SendExecuted = (executed, attempt, receive) =>
    Effect.matchCauseEffect(
      RedactedSpans.make(
        annotate(executed, attempt.use, attempt.resends),
        (exit) => RedactedResponse.redactExit(exit, attempt)
      ),
      {
        onFailure: (cause) => receiveFailure(cause, attempt, receive),
        onSuccess: (response) => receive(RedactedResponse.make(response, attempt), attempt)
      }
    )

  return (attempt, receive) => {
    const { resends, token, use } = attempt
    const { proofKey } = token
    if (proofKey === undefined) {
      if (sendAuthorized === undefined) return send(client.execute(sign(attempt)), attempt, receive)
      // Nothing is to be hidden of what comes back
      const sent = sendAuthorized(AddressedRequest.toRequest(attempt), headerOf(token))
      return Effect.flatMap(annotate(sent, use, resends), (response) => receive(response, attempt))
    }
    return (proofKey.sending as ProofSending).request({ client, requestInit, sign, send }, attempt, receive)
  }
}

/** An answer that comes as a failure is received like any other, and goes on as the failure that it was. */
const receiveFailure = <A extends Attempt, E>(
  cause: Cause.Cause<HttpClientError.HttpClientError>,
  attempt: A,
  receive: Receive<A, E>
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E> => {
  const unsigned = RedactedResponse.redactCause(cause, AddressedRequest.toRequest(attempt))
  return Option.match(StatusFailure.fromCause(unsigned), {
    onNone: () => Effect.failCause(unsigned),
    onSome: ({ response }) =>
      Effect.flatMap(
        receive(response, attempt),
        (received) => received === response ? Effect.failCause(unsigned) : Effect.succeed(received)
      )
  })
}

/**
 * Keeps the signature out of platform's spans, which show every header that is
 * not in this list; an app may have replaced the list.
 */
export const hide = <A, E>(
  effect: Effect.Effect<A, E>,
  redactedNames: ReadonlyArray<string | RegExp>
): Effect.Effect<A, E> =>
  redactedNames.includes("authorization")
    ? effect
    : Effect.locally(effect, Headers.currentRedactedNames, [...redactedNames, "authorization"])

/**
 * Shows in the spans of an effect how the token came about, and how often the
 * request was sent before, as OpenTelemetry counts it.
 */
export const annotate = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  use: TokenUse | undefined,
  resends: number
): Effect.Effect<A, E, R> =>
  use === undefined && resends === 0
    ? effect
    : Effect.withFiberRuntime((fiber) =>
      // A thousand requests may have waited for one token: where nobody traces, none pays for it
      fiber.getFiberRef(FiberRef.currentTracerEnabled)
        ? Effect.annotateSpans(effect, {
          ...(use && { "oauth.token.use": use }),
          ...(resends > 0 && { "http.request.resend_count": resends })
        })
        : effect
    )
