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
    const { privateKey, publicKey } = await Jose.generateKeyPair(algorithm, { extractable: true })
    const id = `${algorithm}-${++count}`
    const names = { alg: algorithm, kid: id, use: "sig" }
    return {
      algorithm,
      id,
      pem: Redacted.make(await Jose.exportPKCS8(privateKey)),
      jwk: Redacted.make({ ...await Jose.exportJWK(privateKey), ...names }),
      publicJwk: { ...await Jose.exportJWK(publicKey), ...names },
      key: privateKey
    }
  })

const known = new Map<string, Promise<SigningKey>>()

/** The same key for the same algorithm, throughout the process. */
export const shared = (algorithm: string): Effect.Effect<SigningKey> =>
  Effect.promise(() => {
    const key = known.get(algorithm) ?? Effect.runPromise(make(algorithm))
    known.set(algorithm, key)
    return key
  })
