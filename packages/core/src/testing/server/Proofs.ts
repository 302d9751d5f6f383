/**
 * The DPoP proofs that reach a test's server (RFC 9449 §4.3): each is verified,
 * and may have to carry a nonce of the server (RFC 9449 §8, §9).
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as jose from "jose"
import { fingerprint } from "../../disclosure/Fingerprint.js"
import type { Proof, Side } from "../TestExchange.js"

/** A proof that is not taken, and why. */
export class ProofRefused extends Data.TaggedError("ProofRefused")<{
  readonly error: "invalid_dpop_proof" | "use_dpop_nonce"
  readonly description: string
}> {}

/** Verifies proofs, and gives out nonces. */
export interface TestProofs {
  readonly verify: (request: {
    readonly side: Side
    readonly method: string
    readonly url: string
    readonly proof: string
    /** The token that the request carries; none at the token endpoint. */
    readonly token?: string | undefined
    readonly now: number
  }) => Effect.Effect<Proof, ProofRefused>
  /** The nonce that a side asks for now. */
  readonly nonce: (side: Side) => string | undefined
  /** Asks for a new nonce from now on, or for none. */
  readonly demandNonce: (side: Side, enabled: boolean) => void
}

/** How proofs may be signed. */
export const algorithms: ReadonlyArray<string> = [
  "ES256",
  "ES384",
  "ES512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "EdDSA",
  "Ed25519"
]

/** How far the time of a proof may be off, in milliseconds: as a strict server has it (RFC 9449 §11.1). */
const maxSkew = 60_000

/** Makes the check. Without being told it asks for no nonces. */
export const make = (): TestProofs => {
  const seen = new Set<string>()
  const nonces = new Map<Side, string>()
  /** How many each side gave. */
  const given = { token: 0, api: 0 }

  const invalid = (description: string) => new ProofRefused({ error: "invalid_dpop_proof", description })

  return {
    nonce: (side) => nonces.get(side),
    demandNonce: (side, enabled) => {
      if (enabled) nonces.set(side, `${side}-nonce-${++given[side]}`)
      else nonces.delete(side)
    },
    verify: Effect.fnUntraced(function*({ method, now, proof, side, token, url }) {
      const { payload, protectedHeader } = yield* Effect.tryPromise({
        try: () =>
          jose.jwtVerify(proof, jose.EmbeddedJWK, {
            typ: "dpop+jwt",
            algorithms: [...algorithms],
            currentDate: new Date(now),
            requiredClaims: ["jti", "htm", "htu", "iat"]
          }),
        catch: (error) => invalid(error instanceof Error ? error.message : String(error))
      })
      const { origin, pathname } = new URL(url)
      const { iat = 0, jti = "" } = payload
      if (payload.htm !== method) return yield* invalid("htm is another method")
      if (payload.htu !== origin + pathname) return yield* invalid("htu is another address")
      if (Math.abs(iat * 1000 - now) > maxSkew) return yield* invalid("iat is too far from the server's time")
      if (payload.ath !== (token === undefined ? undefined : fingerprint(token))) {
        return yield* invalid("ath is of another token")
      }
      if (seen.has(jti)) return yield* invalid("jti was used before")
      seen.add(jti)
      const nonce = nonces.get(side)
      if (nonce !== undefined && payload.nonce !== nonce) {
        return yield* new ProofRefused({ error: "use_dpop_nonce", description: "the proof needs the server's nonce" })
      }
      const { jwk } = protectedHeader
      if (jwk === undefined) return yield* invalid("jwk is missing")
      return {
        thumbprint: yield* Effect.promise(() => jose.calculateJwkThumbprint(jwk)),
        nonce: typeof payload.nonce === "string" ? payload.nonce : undefined
      }
    })
  }
}
