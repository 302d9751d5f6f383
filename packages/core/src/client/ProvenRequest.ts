/**
 * A request with a token that is bound to a key, and with a proof of that key.
 * The key brings this code, so that apps without one do not bundle it.
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as AccessToken from "../AccessToken.js"
import * as WwwAuthenticate from "../WwwAuthenticate.js"
import * as AddressedRequest from "./AddressedRequest.js"
import type * as Authorization from "./Authorization.js"
import * as ManualFetch from "./ManualFetch.js"
import * as Replay from "./Replay.js"

/** Sends with the proofs of a key; `requiresNonce` says whether the error of a challenge requires a nonce. */
export const make = (
  { nonces, proof }: Pick<AccessToken.ProofKey, "nonces" | "proof">,
  requiresNonce: (response: HttpClientResponse.HttpClientResponse, error: string | undefined) => boolean
): Authorization.ProofSending["request"] => {
  const wantsNonce = (response: HttpClientResponse.HttpClientResponse) =>
    response.status === 401 && requiresNonce(
      response,
      Option.getOrUndefined(WwwAuthenticate.errorCode(WwwAuthenticate.fromResponse(response), "dpop"))
    )

  return <A extends Authorization.Attempt, E>(
    via: Authorization.Via,
    attempt: A,
    receive: Authorization.Receive<A, E>
  ) => {
    const { call, token } = attempt
    const request = AddressedRequest.toRequest(attempt)
    const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
    // Platform fails it, as it has no valid URL
    if (url === undefined) return via.client.execute(request)
    const prove = (attempt: A, receive: Authorization.Receive<A, HttpClientError.HttpClientError | E>) =>
      Effect.flatMap(proof({ method: request.method, url, token: token.value }), (proof) => {
        const authorized = via.authorize(attempt)
        const proven = AddressedRequest.carryScope(authorized, HttpClientRequest.setHeader(authorized, "dpop", proof))
        return via.send(execute(via, proven), attempt, (response, attempt) => {
          nonces.set(url.origin, response.headers["dpop-nonce"])
          return receive(response, attempt)
        })
      })
    return prove(attempt, (response, attempt) =>
      // RFC 9449 §9: the nonce is known now
      wantsNonce(response) && Replay.canReplay(request.body, call.replayable)
        ? Effect.zipRight(Replay.drainLater(response), prove({ ...attempt, resends: attempt.resends + 1 }, receive))
        : receive(response, attempt))
  }
}

const execute = ({ client, requestInit }: Authorization.Via, proven: HttpClientRequest.HttpClientRequest) =>
  client.execute(proven).pipe(
    Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, "dpop"]),
    // A proof is for one URL. If fetch followed a redirect, it would send the proof there
    ManualFetch.make(requestInit)
  )
