/**
 * How a request is signed with a token, and how the signature is kept from
 * whatever comes back.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AccessToken from "./AccessToken.js"
import * as AddressedRequest from "./AddressedRequest.js"
import * as DPoP from "./DPoP.js"
import * as Replay from "./Replay.js"
import * as RequestScope from "./RequestScope.js"
import * as TokenUse from "./TokenUse.js"
import * as UnsignedResponse from "./UnsignedResponse.js"
import * as WwwAuthenticate from "./WwwAuthenticate.js"

/**
 * One request on its way with one token.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt extends AddressedRequest.AddressedRequest {
  readonly token: AccessToken.AccessToken
  /** `replayable` is the caller's word for a body that nobody else knows to be so. */
  readonly call: { readonly replayable: boolean }
  /** For the span of the request. */
  readonly use: TokenUse.TokenUse | undefined
  /** How often it was sent before. */
  readonly resends: number
}

/**
 * Sends a request with its token, and hands the response on. That and the
 * errors show the request without the token.
 *
 * @since 0.1.0
 * @category models
 */
export type Send = <A extends Attempt, E>(
  attempt: A,
  receive: Receive<A, E>
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E>

/**
 * What becomes of a response.
 *
 * @since 0.1.0
 * @category models
 */
export type Receive<A extends Attempt, E = never> = (
  response: HttpClientResponse.HttpClientResponse,
  attempt: A
) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>

/**
 * Signs for the given client. The header of the last token is kept ready.
 * `requestInit` is what the app gave platform's fetch client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (client: HttpClient.HttpClient, requestInit?: RequestInit): Send => {
  let lastToken: AccessToken.AccessToken | undefined
  let lastHeader = ""
  const sign = (attempt: Attempt) => {
    const { token } = attempt
    if (token !== lastToken) {
      lastHeader = AccessToken.authorization(token)
      lastToken = token
    }
    return AddressedRequest.withHeader(attempt, "authorization", lastHeader)
  }

  // The hot path: with a stream of combinators each request would pay for each
  const send = <A extends Attempt, E>(
    signed: HttpClientRequest.HttpClientRequest,
    attempt: A,
    receive: Receive<A, E>
  ) =>
    Effect.matchCauseEffect(TokenUse.annotate(client.execute(signed), attempt.use, attempt.resends), {
      onFailure: (cause) => Effect.failCause(UnsignedResponse.unsignCause(cause, AddressedRequest.toRequest(attempt))),
      onSuccess: (response) => receive(UnsignedResponse.make(response, attempt), attempt)
    })

  /** RFC 9449 §7.1: the token, and a proof for this request alone. */
  const sendProven = <A extends Attempt, E>(
    attempt: A,
    { nonces, proof }: DPoP.ProofKey,
    receive: Receive<A, E>
  ) => {
    const { call, token } = attempt
    const request = AddressedRequest.toRequest(attempt)
    const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
    // Platform fails it, for it can be sent nowhere
    if (url === undefined) return client.execute(request)
    const prove = (attempt: A) =>
      proof({ method: request.method, url, token: token.value }).pipe(
        Effect.map((proof) => {
          const signed = sign(attempt)
          return RequestScope.carry(signed, HttpClientRequest.setHeader(signed, "dpop", proof))
        }),
        Effect.flatMap((signed) => send(signed, attempt, Effect.succeed)),
        Effect.map((response) => {
          nonces.set(url.origin, response.headers["dpop-nonce"])
          return { response, attempt }
        })
      )
    return prove(attempt).pipe(
      // RFC 9449 §9: the nonce is known by now
      Effect.flatMap((sent) =>
        wantsNonce(sent.response) && Replay.canReplay(request.body, call.replayable)
          ? Effect.zipRight(Replay.drainLater(sent.response), prove({ ...attempt, resends: attempt.resends + 1 }))
          : Effect.succeed(sent)
      ),
      Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, "dpop"]),
      // A proof is for one address. Where fetch follows a redirect, it would take the proof along
      Effect.mapInputContext((context: Context.Context<never>) =>
        Context.add(context, FetchHttpClient.RequestInit, {
          ...requestInit,
          ...Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)),
          redirect: "manual"
        })
      ),
      Effect.flatMap(({ attempt, response }) => receive(response, attempt))
    )
  }

  return (attempt, receive) =>
    attempt.token.proofKey === undefined
      ? send(sign(attempt), attempt, receive)
      : sendProven(attempt, attempt.token.proofKey, receive)
}

const wantsNonce = (response: HttpClientResponse.HttpClientResponse): boolean =>
  response.status === 401 && Option.isSome(DPoP.requiredNonce({
    status: response.status,
    headers: response.headers,
    error: Option.getOrUndefined(
      Option.map(WwwAuthenticate.error(WwwAuthenticate.fromResponse(response), "dpop"), ({ code }) => code)
    )
  }))

/**
 * Keeps the signature out of platform's spans, which show every header that is
 * not in this list; an app may have replaced the list.
 *
 * @since 0.1.0
 * @category combinators
 */
export const hide = <A, E>(
  effect: Effect.Effect<A, E>,
  redactedNames: ReadonlyArray<string | RegExp>
): Effect.Effect<A, E> =>
  redactedNames.includes("authorization")
    ? effect
    : Effect.locally(effect, Headers.currentRedactedNames, [...redactedNames, "authorization"])
