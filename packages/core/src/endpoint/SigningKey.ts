/**
 * The key that signs JWTs: a PEM, a JWK or a shared secret becomes a WebCrypto
 * key that cannot be read. Errors never show any part of it.
 *
 * The package `jose` is loaded with the first key, so that apps that sign
 * nothing do not need it.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as jose from "jose"
import { fingerprint } from "../disclosure/Fingerprint.js"
import { CredentialsError, isCredentialsError } from "../OAuthError.js"

const algorithms = {
  RS256: "RSA",
  RS384: "RSA",
  RS512: "RSA",
  PS256: "RSA",
  PS384: "RSA",
  PS512: "RSA",
  ES256: "P-256",
  ES384: "P-384",
  ES512: "P-521",
  EdDSA: "Ed25519",
  Ed25519: "Ed25519",
  HS256: "oct",
  HS384: "oct",
  HS512: "oct"
} as const

/** As `JwtSigner` documents it. */
type Algorithm = keyof typeof algorithms

type Kind = (typeof algorithms)[Algorithm]

const kinds: Record<Kind, { readonly description: string; readonly algorithm: Algorithm }> = {
  RSA: { description: "an RSA key", algorithm: "RS256" },
  "P-256": { description: "an EC key on P-256", algorithm: "ES256" },
  "P-384": { description: "an EC key on P-384", algorithm: "ES384" },
  "P-521": { description: "an EC key on P-521", algorithm: "ES512" },
  Ed25519: { description: "an Ed25519 key", algorithm: "EdDSA" },
  oct: { description: "a shared secret", algorithm: "HS256" }
}

const known = "RSA, EC (P-256, P-384, P-521) or Ed25519"

type Key = Redacted.Redacted<string | object>

/** A key that signs. Its private part cannot be exported. */
export interface Signing<A extends Algorithm> {
  readonly algorithm: A
  readonly privateKey: CryptoKey
  /** The public members of the JWK. */
  readonly publicJwk: Readonly<jose.JWK>
  /** Signs a JWT with these claims, which must be JSON (RFC 7515 §3.1). */
  readonly sign: (header: Omit<jose.JWTHeaderParameters, "alg">, claims: Claims) => Promise<string>
}

type Claims = Readonly<Record<string, unknown>>

/** A key that was read. */
export interface SigningKey extends Signing<Algorithm> {
  /** `kid` of the JWK (RFC 7517 §4.5). */
  readonly keyId: string | undefined
  /** The certificate next to the key in the same PEM. */
  readonly certificate: Uint8Array | undefined
  /** A fingerprint of what the key was read from. */
  readonly version: string
}

/**
 * Reads the source at every run, and imports the key again only if it changed.
 * Without an algorithm, the JWK's decides, else the type of the key: RS256,
 * ES256, ES384, ES512, EdDSA, HS256.
 */
export const load = <R = never>(
  source: Key | Effect.Effect<Key, unknown, R>,
  algorithm?: Algorithm | undefined
): Effect.Effect<SigningKey, CredentialsError, R> => {
  const read: Effect.Effect<Key, CredentialsError, R> = Effect.isEffect(source)
    ? Effect.mapError(source, unavailable("the key"))
    : Effect.succeed(source)
  let last: SigningKey | undefined
  return Effect.flatMap(read, (key) => {
    const value: unknown = Redacted.isRedacted(key) ? Redacted.value(key) : undefined
    const text = typeof value === "string" ? value : toJson(value)
    const version = fingerprint(text)
    return last?.version === version
      ? Effect.succeed(last)
      : Effect.tap(make(text, value !== text, version, algorithm), (key) => {
        last = key
      })
  })
}

/**
 * How a failure to read credentials is reported, which could be anything: as it
 * is if it was made to be shown, else only what could not be read.
 */
export const unavailable = (what: string) => (error: unknown): CredentialsError =>
  isCredentialsError(error) ? error : new CredentialsError({ description: `${what} is unavailable` })

const toJson = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return ""
  }
}

const make = Effect.fnUntraced(function*(
  text: string,
  isJwk: boolean,
  version: string,
  asked: Algorithm | undefined
) {
  if (crypto.subtle === undefined) return yield* fail("WebCrypto is missing (browsers have it on https)")
  if (asked !== undefined && !isAlgorithm(asked)) return yield* fail("the algorithm is unknown")
  if (text.trim() === "") return yield* fail("the key is missing, empty, or not made by Redacted.make")
  const jose = yield* loadJose
  const isSecret = asked !== undefined && algorithms[asked] === "oct" && !isJwk
  const jwk = isSecret ? { kty: "oct", k: Encoding.encodeBase64Url(text) } : yield* toJwk(jose, text)

  const kind = kindOf(jwk)
  if (kind === undefined) return yield* fail(`the type of the key is not one of ${known}`)
  const algorithm = asked ?? jwk.alg ?? kinds[kind].algorithm
  if (!isAlgorithm(algorithm)) return yield* fail("the alg of the JWK is not a signature algorithm")
  const wanted = algorithms[algorithm]
  if (wanted !== kind) {
    return yield* fail(`the key is ${kinds[kind].description}, but ${algorithm} needs ${kinds[wanted].description}`)
  }
  if (kind !== "oct" && typeof jwk.d !== "string") {
    return yield* fail("the JWK is a public key, without its private part")
  }
  const { key_ops: operations, use } = jwk
  if ((use ?? "sig") !== "sig" || (Array.isArray(operations) && !operations.includes("sign"))) {
    return yield* fail("the use or key_ops of the JWK do not allow it to sign")
  }

  const imported = yield* attempt(
    "the JWK is damaged or incomplete",
    // Without the members that were checked above
    () => jose.importJWK(pick(jwk, [...publicMembers, ...privateMembers]), algorithm, { extractable: false })
  )
  const privateKey = yield* imported instanceof Uint8Array ? importSecret(imported, algorithm) : checkSize(imported)
  return {
    ...makeSigning(jose, algorithm, privateKey, pick(jwk, publicMembers)),
    keyId: typeof jwk.kid === "string" ? jwk.kid : undefined,
    certificate: isSecret ? undefined : certificate(text),
    version
  }
})

/** Makes a key that nobody else has. */
export const generate = Effect.fnUntraced(function*<A extends Algorithm>(algorithm: A) {
  const jose = yield* loadJose
  const { privateKey, publicKey } = yield* attempt(
    `this runtime cannot make a key for ${algorithm}`,
    () => jose.generateKeyPair(algorithm, { extractable: false })
  )
  return makeSigning(jose, algorithm, privateKey, yield* Effect.promise(() => jose.exportJWK(publicKey)))
})

/** The thumbprint of a key (RFC 7638). */
export const thumbprint = ({ publicJwk }: Signing<Algorithm>): Effect.Effect<string, CredentialsError> =>
  Effect.flatMap(loadJose, (jose) => Effect.promise(() => jose.calculateJwkThumbprint(publicJwk)))

const makeSigning = <A extends Algorithm>(
  { SignJWT }: Jose,
  alg: A,
  privateKey: CryptoKey,
  publicJwk: jose.JWK
): Signing<A> => ({
  algorithm: alg,
  privateKey,
  publicJwk,
  sign: (header, claims) => new SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(privateKey)
})

const fail = (description: string) => Effect.fail(new CredentialsError({ description }))

// Errors of WebCrypto and JSON.parse can quote the key
const attempt = <A>(description: string, evaluate: () => Promise<A>): Effect.Effect<A, CredentialsError> =>
  Effect.tryPromise({ try: evaluate, catch: () => new CredentialsError({ description }) })

type Jose = typeof jose

const loadJose: Effect.Effect<Jose, CredentialsError> = attempt(
  "the package jose, which signs, could not be loaded",
  () => import("jose")
)

const isAlgorithm = (name: unknown): name is Algorithm => typeof name === "string" && Object.hasOwn(algorithms, name)

const kindOf = (jwk: jose.JWK): Kind | undefined => {
  const name = jwk.kty === "RSA" || jwk.kty === "oct" ? jwk.kty : jwk.crv
  return typeof name === "string" && Object.hasOwn(kinds, name) ? name as Kind : undefined
}

// RFC 7518 §6, RFC 8037 §2
const publicMembers = ["kty", "crv", "x", "y", "n", "e"] as const
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const

const pick = (jwk: jose.JWK, names: ReadonlyArray<keyof jose.JWK>): jose.JWK =>
  Object.fromEntries(names.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]))

// RFC 7518 §3.2: not shorter than the hash
const importSecret = (secret: Uint8Array, algorithm: Algorithm) => {
  const bits = Number(algorithm.slice(2))
  return secret.length * 8 < bits
    ? fail(`the secret is too short: ${algorithm} needs ${bits / 8} bytes, it has ${secret.length}`)
    : attempt("the secret cannot be used", () =>
      crypto.subtle.importKey(
        "raw",
        new Uint8Array(secret),
        { name: "HMAC", hash: `SHA-${bits}` },
        false,
        ["sign"]
      ))
}

// RFC 7518 §3.3
const minModulusLength = 2048

const checkSize = (key: CryptoKey) => {
  const { modulusLength } = key.algorithm as Partial<RsaKeyAlgorithm>
  return modulusLength !== undefined && modulusLength < minModulusLength
    ? fail(`the key is too small: RSA needs ${minModulusLength} bits, it has ${modulusLength}`)
    : Effect.succeed(key)
}

// -----------------------------------------------------------------------------
// JWK and PEM
// -----------------------------------------------------------------------------

const toJwk = (jose: Jose, text: string): Effect.Effect<jose.JWK, CredentialsError> => {
  if (text.includes("-----BEGIN ")) return fromPem(jose, text)
  const json = Option.liftThrowable(() => JSON.parse(text.trim()) as unknown)()
  if (Option.isNone(json) || !Predicate.isRecord(json.value)) return fail("the key is neither PEM (PKCS#8) nor a JWK")
  if (typeof json.value.kty === "string") return Effect.succeed(json.value)
  return fail(Array.isArray(json.value.keys) ? "the key is a JWK Set: give one of its keys" : "the JWK has no kty")
}

/** The blocks of a PEM (RFC 7468), by label. An environment variable may contain `\r\n` as four characters. */
const pemBlocks = (text: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(
      text.replaceAll("\\r", "").replaceAll("\\n", "\n").matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^]*?-----END \1-----/g),
      ([block, label]) => [label, block] as const
    ).reverse()
  )

const unusable: ReadonlyArray<readonly [label: string, description: string]> = [
  ["RSA PRIVATE KEY", "PKCS#1 (RSA PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt"],
  ["EC PRIVATE KEY", "SEC1 (EC PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt"],
  ["ENCRYPTED PRIVATE KEY", "encrypted: decrypt it with openssl pkcs8"],
  ["OPENSSH PRIVATE KEY", "in OpenSSH's own format: convert it with ssh-keygen -p -m PKCS8"],
  ["PUBLIC KEY", "a public key, without its private part"],
  ["CERTIFICATE", "a certificate, without its private key"]
]

const fromPem = (jose: Jose, text: string): Effect.Effect<jose.JWK, CredentialsError> => {
  const blocks = pemBlocks(text)
  const pem = blocks.get("PRIVATE KEY")
  if (pem === undefined) {
    const found = unusable.find(([label]) => blocks.has(label))
    return fail(found === undefined ? "the PEM has no complete block BEGIN PRIVATE KEY" : `the PEM is ${found[1]}`)
  }
  // WebCrypto does not report the type of a key: the type that imports is the one
  return Effect.firstSuccessOf(
    Object.values(kinds).filter(({ algorithm }) => algorithm !== "HS256").map(({ algorithm }) =>
      attempt(
        `the PEM is damaged, or its key is not one of ${known}`,
        async () => jose.exportJWK(await jose.importPKCS8(pem, algorithm, { extractable: true }))
      )
    )
  )
}

/** The DER of the first certificate in a PEM, if there is one. */
export const certificate = (pem: string): Uint8Array | undefined => {
  const block = pemBlocks(pem).get("CERTIFICATE")
  return block === undefined
    ? undefined
    : Either.getOrUndefined(Encoding.decodeBase64(block.replaceAll(/-----[A-Z ]+-----|\s/g, "")))
}
