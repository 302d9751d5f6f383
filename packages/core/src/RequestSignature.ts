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
import * as DPoP from "./DPoP.js"
import * as Replay from "./Replay.js"
import * as RequestScope from "./RequestScope.js"
import * as TokenUse from "./TokenUse.js"
import * as UnsignedResponse from "./UnsignedResponse.js"
import * as WwwAuthenticate from "./WwwAuthenticate.js"

/**
 * Sends a request with a token; the response and the errors show it without.
 * `replayable` is the caller's word for bodies that nobody else knows to be so.
 * `use` is for the span of the request.
 *
 * @since 0.1.0
 * @category models
 */
export type Send = (
  request: HttpClientRequest.HttpClientRequest,
  token: AccessToken.AccessToken,
  replayable: boolean,
  use?: TokenUse.TokenUse
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

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
  const sign = (request: HttpClientRequest.HttpClientRequest, token: AccessToken.AccessToken) => {
    if (token !== lastToken) {
      lastHeader = AccessToken.authorization(token)
      lastToken = token
    }
    return RequestScope.carry(request, HttpClientRequest.setHeader(request, "authorization", lastHeader))
  }

  const send = (
    request: HttpClientRequest.HttpClientRequest,
    signed: HttpClientRequest.HttpClientRequest,
    use: TokenUse.TokenUse | undefined,
    resends: number
  ) =>
    Effect.matchCauseEffect(
      TokenUse.annotate(client.execute(signed), use, resends),
      {
        onFailure: (cause) => Effect.failCause(UnsignedResponse.unsignCause(cause, request)),
        onSuccess: (response) => Effect.succeed(UnsignedResponse.make(response, request))
      }
    )

  /** RFC 9449 §7.1: the token, and a proof for this request alone. */
  const sendProven = (
    request: HttpClientRequest.HttpClientRequest,
    token: AccessToken.AccessToken,
    { nonces, proof }: DPoP.ProofKey,
    replayable: boolean,
    use: TokenUse.TokenUse | undefined
  ) => {
    const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
    // Platform fails it, for it can be sent nowhere
    if (url === undefined) return client.execute(request)
    const prove = (resends: number) =>
      proof({ method: request.method, url, token: token.value }).pipe(
        Effect.map((proof) => {
          const signed = sign(request, token)
          return RequestScope.carry(signed, HttpClientRequest.setHeader(signed, "dpop", proof))
        }),
        Effect.flatMap((signed) => send(request, signed, use, resends)),
        Effect.tap(({ headers }) => Effect.sync(() => nonces.set(url.origin, headers["dpop-nonce"])))
      )
    const resends = resendsOf(use)
    return prove(resends).pipe(
      // RFC 9449 §9: the nonce is known by now
      Effect.flatMap((response) =>
        wantsNonce(response) && Replay.canReplay(request.body, replayable)
          ? Effect.zipRight(Replay.drainLater(response), prove(resends + 1))
          : Effect.succeed(response)
      ),
      Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, "dpop"]),
      // A proof is for one address. Where fetch follows a redirect, it would take the proof along
      Effect.mapInputContext((context: Context.Context<never>) =>
        Context.add(context, FetchHttpClient.RequestInit, {
          ...requestInit,
          ...Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)),
          redirect: "manual"
        })
      )
    )
  }

  return (request, token, replayable, use) =>
    token.proofKey === undefined
      ? send(request, sign(request, token), use, resendsOf(use))
      : sendProven(request, token, token.proofKey, replayable, use)
}

const resendsOf = (use: TokenUse.TokenUse | undefined): number => use === "replayed" ? 1 : 0

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
