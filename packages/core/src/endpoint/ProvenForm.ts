/**
 * A form for the token endpoint with a proof of the key that the token is bound
 * to. The key brings this code, so that apps without one do not bundle it.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as AccessToken from "../AccessToken.js"
import type { AuthorizationServerError } from "../OAuthError.js"
import type { Answer } from "./ServerExchange.js"

/** `AccessToken.ProofSending`, as forms use it. */
export interface Sending extends AccessToken.ProofSending {
  /** RFC 9449 §5: makes a request with a proof for it. */
  readonly form: <E extends AuthorizationServerError>(
    url: URL,
    send: (proof: Readonly<Record<"dpop", Redacted.Redacted>>) => Effect.Effect<Answer<E>, E>
  ) => Effect.Effect<Answer<E>, E>
  /** Whether the request may succeed if it is made anew: the server's nonce is known now (RFC 9449 §8). */
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
