/** Keys to sign with; an RSA key takes long to make, so there is one for all who do not need one of their own. */
import { Effect, Redacted } from "effect"
import * as Jose from "jose"

export interface SigningKey {
  readonly algorithm: string
  readonly id: string
  /** In PEM (PKCS #8). */
  readonly pem: Redacted.Redacted
  readonly jwk: Redacted.Redacted<Jose.JWK>
  readonly publicJwk: Jose.JWK
  readonly key: Jose.CryptoKey
}

let count = 0

/** A new key for an algorithm of RFC 7518 §3.1 or RFC 8037. */
export const make = (algorithm: string): Effect.Effect<SigningKey> =>
  Effect.promise(async () => {
    const { privateKey } = await Jose.generateKeyPair(algorithm, { extractable: true })
    return describe(algorithm, privateKey)
  })

const describe = async (algorithm: string, key: Jose.CryptoKey): Promise<SigningKey> => {
  const id = `${algorithm}-${++count}`
  const names = { alg: algorithm, kid: id, use: "sig" }
  const jwk = await Jose.exportJWK(key)
  const { d: _d, dp: _dp, dq: _dq, p: _p, q: _q, qi: _qi, ...publicJwk } = jwk
  return {
    algorithm,
    id,
    pem: Redacted.make(await Jose.exportPKCS8(key)),
    jwk: Redacted.make({ ...jwk, ...names }),
    publicJwk: { ...publicJwk, ...names },
    key
  }
}

const known = new Map<string, Promise<SigningKey>>()

const sharedPromise = (algorithm: string): Promise<SigningKey> => {
  const key = known.get(algorithm) ?? (isRsa(algorithm) && algorithm !== "RS256"
    ? withRsaKey(algorithm)
    : Effect.runPromise(make(algorithm)))
  known.set(algorithm, key)
  return key
}

const isRsa = (algorithm: string) => /^[RP]S\d/.test(algorithm)

// One for all of the RSA algorithms
const withRsaKey = async (algorithm: string) => {
  const { pem } = await sharedPromise("RS256")
  return describe(algorithm, await Jose.importPKCS8(Redacted.value(pem), algorithm, { extractable: true }))
}

/** The same key for the same algorithm, throughout the process. */
export const shared = (algorithm: string): Effect.Effect<SigningKey> => Effect.promise(() => sharedPromise(algorithm))
