/** What a resource server does with a DPoP proof (RFC 9449 §4.3, §7, §9). */
import { Data, Effect } from "effect"
import * as Jose from "jose"
import { createHash, randomBytes } from "node:crypto"

export class ProofError extends Data.TaggedError("ProofError")<{
  readonly error: "invalid_dpop_proof" | "use_dpop_nonce"
  readonly message: string
}> {}

export interface ProofVerifier {
  /** Gives the thumbprint of the proof's key (RFC 7638). */
  readonly verify: (proof: Proof) => Effect.Effect<string, ProofError>
  /** The nonce that clients use from now on. */
  readonly nonce: () => string
  /** There is a new nonce. The one before it is still good, those before that are not. */
  readonly rotateNonce: () => void
}

export interface Proof {
  /** What came in the header, if anything. */
  readonly header: string | undefined
  readonly method: string
  readonly url: string
  readonly token: string
  readonly requireNonce: boolean
}

const algorithms = ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519"]

/** How far a proof's `iat` may be from now, in seconds. */
const window = 60

export const make = (): ProofVerifier => {
  const used = new Map<string, number>()
  const nonces = [newNonce()]
  const invalid = (message: string) => Effect.fail(new ProofError({ error: "invalid_dpop_proof", message }))
  const needNonce = (message: string) => Effect.fail(new ProofError({ error: "use_dpop_nonce", message }))

  const isReplay = (thumbprint: string, jti: string, now: number) => {
    for (const [key, at] of used) {
      if (now - at > 2 * window) used.delete(key)
    }
    const key = `${thumbprint} ${jti}`
    if (used.has(key)) return true
    used.set(key, now)
    return false
  }

  return {
    nonce: () => nonces[0],
    rotateNonce: () => {
      nonces.unshift(newNonce())
      nonces.length = Math.min(nonces.length, 2)
    },
    verify: Effect.fnUntraced(function*({ header, method, requireNonce, token, url }) {
      if (header === undefined) return yield* invalid("there is no proof")
      // Node joins several headers of one name
      if (header.includes(",")) return yield* invalid("there is more than one proof")
      const { payload, protectedHeader } = yield* Effect.tryPromise({
        // Refuses a private key in the header, too
        try: () => Jose.jwtVerify(header, Jose.EmbeddedJWK, { typ: "dpop+jwt", algorithms }),
        catch: (error) => new ProofError({ error: "invalid_dpop_proof", message: `the proof: ${messageOf(error)}` })
      })
      const { ath, htm, htu, iat, jti, nonce } = payload
      if (typeof jti !== "string" || jti === "") return yield* invalid("the proof has no jti")
      if (htm !== method) return yield* invalid("htm is another method")
      if (typeof htu !== "string" || !URL.canParse(htu) || bare(htu) !== bare(url)) {
        return yield* invalid("htu is another address")
      }
      if (ath !== createHash("sha256").update(token).digest("base64url")) return yield* invalid("ath is another token")
      if (requireNonce && nonce === undefined) return yield* needNonce("the proof needs a nonce")
      if (nonce !== undefined && !nonces.includes(String(nonce))) return yield* needNonce("the nonce is not good")
      const now = Math.floor(Date.now() / 1000)
      if (typeof iat !== "number" || Math.abs(now - iat) > window) return yield* invalid("iat is not now")
      const thumbprint = yield* Effect.promise(() => Jose.calculateJwkThumbprint(protectedHeader.jwk!))
      if (isReplay(thumbprint, jti, now)) return yield* invalid("the proof has been used")
      return thumbprint
    })
  }
}

const newNonce = () => randomBytes(16).toString("base64url")

const messageOf = (error: unknown) => error instanceof Error ? error.message : "is not good"

/** Without query and fragment. */
const bare = (url: string) => {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
