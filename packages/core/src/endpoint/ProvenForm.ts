/**
 * A form for the token endpoint with a proof of the key that the token is to be
 * bound to. The key brings it, so that only who has one ships it.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as AccessToken from "../AccessToken.js"
import type { AuthorizationServerError } from "../OAuthError.js"
import type { Answer } from "./ServerExchange.js"

/** `AccessToken.ProofSending`, as forms see it. */
export interface Sending extends AccessToken.ProofSending {
  /** RFC 9449 §5: makes a request with a proof for it. */
  readonly form: <E extends AuthorizationServerError>(
    url: URL,
    send: (proof: Readonly<Record<"dpop", Redacted.Redacted>>) => Effect.Effect<Answer<E>, E>
  ) => Effect.Effect<Answer<E>, E>
  /** Whether it may succeed when it is made anew: RFC 9449 §8, the server's nonce is known by now. */
  readonly wantsNonce: (error: AuthorizationServerError) => boolean
}

/** Sends with the proofs of a key. */
export const make =
  ({ nonces, proof }: Pick<AccessToken.ProofKey, "nonces" | "proof">): Sending["form"] => (url, send) => {
    const keepNonce = (headers: Headers.Headers | undefined) =>
      Effect.sync(() => nonces.set(url.origin, headers?.["dpop-nonce"]))

    return Effect.flatMap(
      proof({ method: "POST", url }),
      (proof) =>
        Effect.tapBoth(send({ dpop: Redacted.make(proof) }), {
          onFailure: ({ headers }) => keepNonce(headers),
          onSuccess: ({ headers }) => Effect.suspend(() => keepNonce(headers()))
        })
    )
  }
