/**
 * Tokens bound to a key (RFC 9449). Each request carries a proof, signed for
 * that request, that the sender has the key.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as AccessToken from "./AccessToken.js"
import type * as Authorization from "./client/Authorization.js"
import * as ProvenRequest from "./client/ProvenRequest.js"
import { fingerprint } from "./disclosure/Fingerprint.js"
import * as ProvenForm from "./endpoint/ProvenForm.js"
import * as SigningKey from "./endpoint/SigningKey.js"
import * as JwtSigner from "./JwtSigner.js"
import { CredentialsError } from "./OAuthError.js"

/**
 * A key and the function that makes proofs with it. The private key cannot be
 * read.
 *
 * @since 0.1.0
 * @category models
 */
export type ProofKey = AccessToken.ProofKey

/**
 * The algorithm of the proofs; never one with a shared secret (RFC 9449 §4.2).
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = AccessToken.ProofKey["algorithm"]

/**
 * Generates a key that only this process has.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate = Effect.fnUntraced(function*(
  options: {
    /** The default is `ES256`, which every server with DPoP supports. */
    readonly algorithm?: Algorithm | undefined
  } = {}
) {
  return yield* make(yield* SigningKey.generate(options.algorithm ?? "ES256"), false)
})

/**
 * Imports a key that all processes of an app have, so that they can share the
 * tokens that are bound to it: PEM (PKCS#8) or a JWK. It is read once: for
 * another key, build the layer again.
 *
 * @example
 * ```ts
 * import { ClientAuth, DPoP } from "@effect-alf/core"
 *
 * const dpop = DPoP.fromKey(ClientAuth.secretFile("/run/secrets/dpop.pem"))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromKey = Effect.fnUntraced(function*<R = never>(
  key: JwtSigner.Source<R>,
  options: {
    /** The default is that of the JWK, else RS256, ES256, ES384, ES512 or EdDSA by the type of the key. */
    readonly algorithm?: Algorithm | undefined
  } = {}
) {
  const loaded = yield* SigningKey.load(key, options.algorithm)
  const { algorithm } = loaded
  if (isAsymmetric(algorithm)) return yield* make({ ...loaded, algorithm }, true)
  return yield* new CredentialsError({ description: "the key is a shared secret, which cannot sign a proof" })
})

const isAsymmetric = (algorithm: JwtSigner.Algorithm): algorithm is Algorithm => !algorithm.startsWith("HS")

const make = Effect.fnUntraced(function*(key: SigningKey.Signing<Algorithm>, isShared: boolean) {
  const { algorithm, publicJwk } = key
  const thumbprint = yield* SigningKey.thumbprint(key)
  const header = { typ: "dpop+jwt", jwk: publicJwk }
  const nonces = makeNonces()
  const proof: ProofKey["proof"] = Effect.fnUntraced(function*({ method, token, url }) {
    const { origin, pathname } = new URL(url)
    const nonce = nonces.get(origin)
    const claims = {
      jti: yield* JwtSigner.makeId,
      htm: method,
      // As it is sent: the server normalizes both sides before it compares them (RFC 9449 §4.3)
      htu: origin + pathname,
      iat: yield* JwtSigner.now,
      ...(token && { ath: fingerprint(Redacted.value(token)) }),
      ...(nonce !== undefined && { nonce })
    }
    return yield* Effect.promise(() => key.sign(header, claims))
  })
  const sending: Authorization.ProofSending & ProvenForm.Sending = {
    _tag: "ProofSending",
    request: ProvenRequest.make(
      { nonces, proof },
      ({ headers, status }, error) => isRequired({ status, headers, error })
    ),
    form: ProvenForm.make({ nonces, proof }),
    wantsNonce: ({ error, headers, status }) =>
      status !== undefined && headers !== undefined && isRequired({ status, headers, error })
  }
  const proofKey: ProofKey = { thumbprint, algorithm, isShared, nonces, proof, sending }
  return proofKey
})

// -----------------------------------------------------------------------------
// nonces
// -----------------------------------------------------------------------------

/**
 * The newest nonce of each origin. A nonce of one server is never sent to
 * another (RFC 9449 §8.2).
 *
 * @since 0.1.0
 * @category nonces
 */
export type Nonces = AccessToken.Nonces

// More servers than an app uses with one key; a server whose nonce was dropped requests it again
const maxOrigins = 100

/**
 * Keeps the nonces of the 100 origins that sent one last.
 *
 * @since 0.1.0
 * @category nonces
 */
export const makeNonces = (): Nonces => {
  const nonces = new Map<string, string>()
  return {
    get: (origin) => nonces.get(origin),
    set: (origin, nonce) => {
      if (!isNonce(nonce)) return
      nonces.delete(origin)
      nonces.set(origin, nonce)
      if (nonces.size > maxOrigins) nonces.delete(Array.from(nonces.keys())[0])
    }
  }
}

// RFC 9449 §8.1. A nonce is signed and sent back; encrypted nonces are the longest
const nonceText = /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/

const isNonce = (text: string | undefined): text is string => text !== undefined && nonceText.test(text)

/**
 * The nonce that a server requires: the same request may succeed with a proof
 * that contains it. `error` is that of the token endpoint's JSON (RFC 9449 §8),
 * or of the API's challenge for DPoP (RFC 9449 §9).
 *
 * @since 0.1.0
 * @category nonces
 */
export const requiredNonce = (answer: {
  readonly status: number
  readonly headers: Headers.Headers
  readonly error: string | undefined
}): Option.Option<string> =>
  answer.error === "use_dpop_nonce" && (answer.status === 400 || answer.status === 401)
    ? Option.liftPredicate(answer.headers["dpop-nonce"], isNonce)
    : Option.none()

const isRequired = (answer: Parameters<typeof requiredNonce>[0]): boolean => Option.isSome(requiredNonce(answer))
