/**
 * How a request is signed with a token, and how the signature is kept from
 * whatever comes back.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as AccessToken from "./AccessToken.js"
import * as RequestScope from "./RequestScope.js"
import * as UnsignedResponse from "./UnsignedResponse.js"

/**
 * Sends a request with a token; the response and the errors show it without.
 *
 * @since 0.1.0
 * @category models
 */
export type Send = (
  request: HttpClientRequest.HttpClientRequest,
  token: AccessToken.AccessToken
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

/**
 * Signs for the given client. The header of the last token is kept ready.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (client: HttpClient.HttpClient): Send => {
  let lastToken: AccessToken.AccessToken | undefined
  let lastHeader = ""
  const sign = (request: HttpClientRequest.HttpClientRequest, token: AccessToken.AccessToken) => {
    if (token !== lastToken) {
      lastHeader = AccessToken.authorization(token)
      lastToken = token
    }
    return RequestScope.carry(request, HttpClientRequest.setHeader(request, "authorization", lastHeader))
  }

  return (request, token) =>
    Effect.matchCauseEffect(client.execute(sign(request, token)), {
      onFailure: (cause) => Effect.failCause(UnsignedResponse.unsignCause(cause, request)),
      onSuccess: (response) => Effect.succeed(UnsignedResponse.make(response, request))
    })
}

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
