/**
 * The DPoP proofs that a test's server receives (RFC 9449 §4.3): it verifies
 * each, and may require a nonce (RFC 9449 §8, §9).
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as jose from "jose"
import { fingerprint } from "../../disclosure/Fingerprint.js"
import type { Proof, Side } from "../TestExchange.js"

/** Why a proof is refused. */
export class ProofRefused extends Data.TaggedError("ProofRefused")<{
  readonly error: "invalid_dpop_proof" | "use_dpop_nonce"
  readonly description: string
}> {}

/** Verifies proofs, and issues nonces. */
export interface TestProofs {
  readonly verify: (request: {
    readonly side: Side
    readonly method: string
    readonly url: string
    readonly proof: string
    /** The token of the request; `undefined` at the token endpoint. */
    readonly token?: string | undefined
    readonly now: number
  }) => Effect.Effect<Proof, ProofRefused>
  /** The nonce that a side requires now. */
  readonly nonce: (side: Side) => string | undefined
  /** Requires a new nonce from now on, or none. */
  readonly demandNonce: (side: Side, enabled: boolean) => void
}

/** The accepted algorithms. */
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

/** How far the time of a proof may differ, in milliseconds, as for a strict server (RFC 9449 §11.1). */
const maxSkew = 60_000

/** Makes the check. By default it requires no nonces. */
export const make = (): TestProofs => {
  const seen = new Set<string>()
  const nonces = new Map<Side, string>()
  /** How many nonces each side issued. */
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
