/**
 * Private keys of every type, made once, in every form in which a user has them.
 */
import type { SigningKey } from "@effect-alf/core"
import type { KeyObject } from "node:crypto"
import { createPublicKey, generateKeyPairSync } from "node:crypto"

export const kinds = ["RSA", "P-256", "P-384", "P-521", "Ed25519"] as const

export type Kind = (typeof kinds)[number]

export const make = (kind: Kind): KeyObject => {
  if (kind === "RSA") return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey
  if (kind === "Ed25519") return generateKeyPairSync("ed25519").privateKey
  return generateKeyPairSync("ec", { namedCurve: kind }).privateKey
}

const made = new Map<Kind, KeyObject>()

export const keyOf = (kind: Kind): KeyObject => {
  const known = made.get(kind) ?? make(kind)
  made.set(kind, known)
  return known
}

export const pemOf = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString()

export const jwkOf = (key: KeyObject) => key.export({ format: "jwk" })

export const publicOf = (key: KeyObject): KeyObject => createPublicKey(key)

/** The algorithms that a kind signs with; the first is the default. */
export const algorithms: Record<Kind, ReadonlyArray<SigningKey.Algorithm>> = {
  RSA: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  "P-521": ["ES512"],
  Ed25519: ["EdDSA", "Ed25519"]
}

/** What must never be seen of a key. */
export const secretsOf = (key: KeyObject): ReadonlyArray<string> => {
  // Node has no JWK of an RSASSA-PSS key
  const { d, dp, dq, p, q, qi } = key.asymmetricKeyType === "rsa-pss" ? {} : jwkOf(key)
  const lines = pemOf(key).split("\n").filter((line) => line !== "" && !line.startsWith("-----"))
  // The first line says only what type the key is of
  return [d, dp, dq, p, q, qi, ...lines.slice(1)].filter((text) => text !== undefined && text.length > 16) as Array<
    string
  >
}

/** Of a key of nobody; where only a certificate matters. */
export const certificatePem = `-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUexTyj7fjvB5IZUAsr/G53NRiONYwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGY2xpZW50MCAXDTI2MTEyNDE3NDYyMVoYDzIxMjYxMDMxMTc0
NjIxWjARMQ8wDQYDVQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASvvkWA1y0yJ4hdMwFLOFYE68ZJaNLS6jBMvqzYhTlDbhUHpKLYhgKh+AJ65wak
pAd5tNCaQ8ofCq1Vi7TLQ89So1MwUTAdBgNVHQ4EFgQU2Ke56oEZwglTmOr24uYW
9Llu8oAwHwYDVR0jBBgwFoAU2Ke56oEZwglTmOr24uYW9Llu8oAwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAsoFaz2O3s8qjRasykf4bL1TZkPoc1
+u5NuVRFZzCXMQIhAKkTNXrl1umY8Zc9lz4HBK1mS114bxC9GfSfWF/ZbYMW
-----END CERTIFICATE-----
`
