import type { OAuthError } from "@effect-alf/core"
import { JwtSigner, SigningKey } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Random, Redacted, Ref, TestClock } from "effect"
import * as jose from "jose"
import { createSecretKey, generateKeyPairSync, X509Certificate } from "node:crypto"
import { leaks, reaches } from "./Secrets.js"
import { algorithms, jwkOf, keyOf, kinds, make, pemOf, publicOf, secretsOf } from "./SigningKeys.js"

const sign = <R = never>(options: JwtSigner.Options<R>, claims: JwtSigner.Claims = {}) =>
  Effect.map(JwtSigner.make(options).sign(claims), ({ jwt }) => Redacted.value(jwt))

const headerOf = (jwt: string) => jose.decodeProtectedHeader(jwt)

/** As a server checks it, at the time of the test's clock. */
const verify = (jwt: string, key: Parameters<typeof jose.jwtVerify>[1], now = 0) =>
  Effect.promise(() => jose.jwtVerify(jwt, key, { currentDate: new Date(now) }))

const signs = <R = never>(options: JwtSigner.Options<R>, claims?: JwtSigner.Claims) =>
  Effect.flip(sign(options, claims))

const certificatePem = `-----BEGIN CERTIFICATE-----
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
const certificate = new X509Certificate(certificatePem)
const x5t = Buffer.from(certificate.fingerprint.replaceAll(":", ""), "hex").toString("base64url")
const x5tS256 = Buffer.from(certificate.fingerprint256.replaceAll(":", ""), "hex").toString("base64url")

describe("JwtSigner", () => {
  describe("signs so that the public key verifies it, and the header names the algorithm (RFC 7518 §3.1)", () => {
    for (const kind of kinds) {
      const key = keyOf(kind)
      const jwk = jwkOf(key)
      const forms: Record<string, SigningKey.Key> = {
        PEM: Redacted.make(pemOf(key)),
        "a PEM among other blocks, from an environment's variable": Redacted.make(
          `${certificatePem}Bag Attributes\n${pemOf(key)}`.replaceAll("\n", "\\n")
        ),
        JWK: Redacted.make(jwk),
        "JWK as text": Redacted.make(JSON.stringify(jwk, null, 2))
      }
      for (const [form, redacted] of Object.entries(forms)) {
        for (const algorithm of [undefined, ...algorithms[kind]]) {
          it.effect(`${kind}, ${form}, ${algorithm ?? "the default"}`, () =>
            Effect.gen(function*() {
              const jwt = yield* sign({ key: redacted, algorithm }, { iss: "app" })
              assert.strictEqual(headerOf(jwt).alg, algorithm ?? algorithms[kind][0])
              assert.strictEqual((yield* verify(jwt, publicOf(key))).payload.iss, "app")
            }))
        }
      }

      for (const algorithm of algorithms[kind]) {
        it.effect(`${kind}: the algorithm of the JWK, ${algorithm}, is the default`, () =>
          Effect.gen(function*() {
            const jwt = yield* sign({ key: Redacted.make({ ...jwk, alg: algorithm }) })
            assert.strictEqual(headerOf(jwt).alg, algorithm)
            yield* verify(jwt, publicOf(key))
          }))
      }
    }

    it.effect("an algorithm that is asked for comes before that of the JWK", () =>
      Effect.gen(function*() {
        const key = keyOf("Ed25519")
        const jwt = yield* sign({ key: Redacted.make({ ...jwkOf(key), alg: "EdDSA" }), algorithm: "Ed25519" })
        assert.strictEqual(headerOf(jwt).alg, "Ed25519")
      }))

    it.effect("a JWK for signatures alone, that lets nobody read it", () =>
      Effect.gen(function*() {
        const key = keyOf("RSA")
        const jwk = { ...jwkOf(key), use: "sig", key_ops: ["sign", "verify"], ext: false, x5c: [] }
        yield* verify(yield* sign({ key: Redacted.make(jwk) }), publicOf(key))
      }))

    for (const bits of [256, 384, 512] as const) {
      const secret = "ключ-".repeat(8)
      const algorithm = `HS${bits}` as const
      const key = createSecretKey(Buffer.from(secret))

      it.effect(`a shared secret, ${algorithm}`, () =>
        Effect.gen(function*() {
          const jwt = yield* sign({ key: Redacted.make(secret), algorithm })
          assert.strictEqual(headerOf(jwt).alg, algorithm)
          yield* verify(jwt, key)
        }))

      it.effect(`a shared secret as JWK, ${algorithm}`, () =>
        Effect.gen(function*() {
          const jwt = yield* sign({ key: Redacted.make(key.export({ format: "jwk" })), algorithm })
          assert.strictEqual(headerOf(jwt).alg, algorithm)
          yield* verify(jwt, key)
        }))
    }

    it.effect("a shared secret is taken as it is, though it looks like a JWK", () =>
      Effect.gen(function*() {
        const secret = JSON.stringify(jwkOf(keyOf("RSA")))
        const jwt = yield* sign({ key: Redacted.make(secret), algorithm: "HS256" })
        yield* verify(jwt, createSecretKey(Buffer.from(secret)))
      }))
  })

  describe("header (RFC 7515 §4.1)", () => {
    const key = Redacted.make(pemOf(keyOf("P-256")))
    const rows: ReadonlyArray<readonly [what: string, options: Omit<JwtSigner.Options, "key">, header: object]> = [
      ["says no more than it must", {}, {}],
      ["kid", { keyId: "2026-11" }, { kid: "2026-11" }],
      ["typ", { typ: "client-authentication+jwt" }, { typ: "client-authentication+jwt" }],
      ["x5t and x5t#S256 as text", { x5t: "one", x5tS256: "two" }, { x5t: "one", "x5t#S256": "two" }],
      ["both thumbprints of a certificate in PEM", { certificate: certificatePem }, { x5t, "x5t#S256": x5tS256 }],
      ["both thumbprints of a certificate in DER", { certificate: certificate.raw }, { x5t, "x5t#S256": x5tS256 }],
      ["of a chain, those of the first", {
        certificate: `${certificatePem}-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n`
      }, { x5t, "x5t#S256": x5tS256 }],
      ["a thumbprint as text before that of the certificate", { certificate: certificatePem, x5t: "one" }, {
        x5t: "one",
        "x5t#S256": x5tS256
      }]
    ]
    for (const [what, options, header] of rows) {
      it.effect(what, () =>
        Effect.gen(function*() {
          deepStrictEqual(headerOf(yield* sign({ key, ...options })), { alg: "ES256", typ: "JWT", ...header })
        }))
    }

    it.effect("the thumbprints of the certificate beside the key", () =>
      Effect.gen(function*() {
        const jwt = yield* sign({ key: Redacted.make(pemOf(keyOf("RSA")) + certificatePem) })
        deepStrictEqual(headerOf(jwt), { alg: "RS256", typ: "JWT", x5t, "x5t#S256": x5tS256 })
      }))

    it.effect("the certificate is read at every signature", () =>
      Effect.gen(function*() {
        const current = yield* Ref.make<string | Uint8Array>(certificatePem)
        const signer = JwtSigner.make({ key, certificate: Ref.get(current) })
        const header = Effect.map(signer.sign({}), ({ jwt }) => headerOf(Redacted.value(jwt)))
        assert.strictEqual((yield* header).x5t, x5t)
        yield* Ref.set(current, Uint8Array.of(0x30, 0))
        assert.notStrictEqual((yield* header).x5t, x5t)
      }))

    it.effect("kid of the JWK, unless another is given", () =>
      Effect.gen(function*() {
        const jwk = Redacted.make({ ...jwkOf(keyOf("RSA")), kid: "of the JWK" })
        assert.strictEqual(headerOf(yield* sign({ key: jwk })).kid, "of the JWK")
        assert.strictEqual(headerOf(yield* sign({ key: jwk, keyId: "given" })).kid, "given")
      }))
  })

  describe("claims (RFC 7519 §4.1)", () => {
    const key = Redacted.make("s".repeat(32))
    const signer = (options?: JwtSigner.JwtOptions) => JwtSigner.make({ key, algorithm: "HS256", ...options })
    const claimsOf = (options?: JwtSigner.JwtOptions, claims: JwtSigner.Claims = {}) =>
      Effect.map(signer(options).sign(claims), ({ jwt }) => jose.decodeJwt(Redacted.value(jwt)))

    it.effect("iat is the Clock's second, exp is 60 seconds later, and there is no nbf", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_999)
        const { jti, ...claims } = yield* claimsOf(undefined, { iss: "app", nested: { list: [1, null, "x"] } })
        deepStrictEqual(claims, {
          iat: 1_700_000_000,
          exp: 1_700_000_060,
          iss: "app",
          nested: { list: [1, null, "x"] }
        })
        assert.match(String(jti), /^[\w-]{22}$/)
      }))

    it.effect("lifetime and nbf are what the options say, in whole seconds", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const { exp, iat, nbf } = yield* claimsOf({ lifetime: "2500 millis", notBefore: "30 seconds" })
        deepStrictEqual([iat, exp, nbf], [1_700_000_000, 1_700_000_003, 1_699_999_970])
        assert.strictEqual((yield* claimsOf({ notBefore: 0 })).nbf, 1_700_000_000)
      }))

    it.effect("a claim that is given takes the place of one that would be added", () =>
      Effect.gen(function*() {
        const { exp, jti } = yield* claimsOf(undefined, { jti: "mine", exp: 7 })
        deepStrictEqual([jti, exp], ["mine", 7])
      }))

    it.effect("jti never repeats, however Effect's Random is seeded", () =>
      Effect.gen(function*() {
        const ids = yield* Effect.all(
          Array.from({ length: 500 }, () => Effect.withRandom(claimsOf(), Random.make("seed")))
        )
        assert.strictEqual(new Set(ids.map(({ jti }) => jti)).size, 500)
      }))

    it.effect("a server that is at the same time takes it until it ends, and not after", () =>
      Effect.gen(function*() {
        const { jwt } = yield* signer({ notBefore: 0 }).sign({})
        const secret = createSecretKey(Buffer.from("s".repeat(32)))
        yield* verify(Redacted.value(jwt), secret, 0)
        yield* verify(Redacted.value(jwt), secret, 59_999)
        const late = yield* Effect.promise(() =>
          jose.jwtVerify(Redacted.value(jwt), secret, { currentDate: new Date(60_000) }).then(() => "", String)
        )
        assert.match(late, /JWTExpired/)
      }))
  })

  describe("rotation", () => {
    it.effect("the key is read at every signature, and a new one signs at once", () =>
      Effect.gen(function*() {
        const [one, two] = [make("P-256"), make("Ed25519")]
        const current = yield* Ref.make(one)
        const signer = JwtSigner.make({ key: Effect.map(Ref.get(current), (key) => Redacted.make(pemOf(key))) })
        const first = yield* signer.sign({})
        yield* verify(Redacted.value(first.jwt), publicOf(one))
        assert.strictEqual(yield* signer.version, first.version)
        yield* Ref.set(current, two)
        const second = yield* signer.sign({})
        yield* verify(Redacted.value(second.jwt), publicOf(two))
        assert.notStrictEqual(second.version, first.version)
        yield* Ref.set(current, one)
        assert.strictEqual(yield* signer.version, first.version)
      }))

    it.effect("a key is imported once, as long as it is the same", () =>
      Effect.gen(function*() {
        const pem = pemOf(keyOf("P-256"))
        const current = yield* Ref.make(pem)
        const load = SigningKey.load(Effect.map(Ref.get(current), Redacted.make))
        const first = yield* load
        assert.strictEqual((yield* load).privateKey, first.privateKey)
        yield* Ref.set(current, `${pem}\n`)
        assert.notStrictEqual((yield* load).privateKey, first.privateKey)
      }))

    it.effect("an object that is changed in place is another key", () =>
      Effect.gen(function*() {
        const [one, two] = [make("P-256"), make("P-256")]
        const jwk = { ...jwkOf(one) }
        const signer = JwtSigner.make({ key: Redacted.make(jwk) })
        yield* verify(Redacted.value((yield* signer.sign({})).jwt), publicOf(one))
        Object.assign(jwk, jwkOf(two))
        yield* verify(Redacted.value((yield* signer.sign({})).jwt), publicOf(two))
      }))

    it.effect("a key that could not be read does not stay so", () =>
      Effect.gen(function*() {
        const current = yield* Ref.make("not yet there")
        const signer = JwtSigner.make({ key: Effect.map(Ref.get(current), Redacted.make) })
        assert.match((yield* Effect.flip(signer.sign({}))).message, /neither PEM/)
        yield* Ref.set(current, pemOf(keyOf("P-256")))
        yield* signer.sign({})
      }))
  })

  describe("says what is wrong, and shows no part of the key", () => {
    const rsa = keyOf("RSA")
    const ec = keyOf("P-256")
    const { d: _, ...publicJwk } = jwkOf(ec)
    const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey
    const pss = generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey
    const koblitz = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey
    const known = "RSA, EC (P-256, P-384, P-521) or Ed25519"
    const encrypted = { format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "pass" } as const

    const rows: ReadonlyArray<
      readonly [what: string, key: unknown, message: string, options?: Partial<JwtSigner.Options>]
    > = [
      ["nothing", Redacted.make(undefined), "the key is missing, empty, or not made by Redacted.make"],
      ["an empty text", Redacted.make(" \n"), "the key is missing, empty, or not made by Redacted.make"],
      ["a key in the open", pemOf(ec), "the key is missing, empty, or not made by Redacted.make"],
      ["any text", Redacted.make(jwkOf(ec).d), "the key is neither PEM (PKCS#8) nor a JWK"],
      [
        "a damaged JWK text",
        Redacted.make(JSON.stringify(jwkOf(ec)).slice(0, -1)),
        "the key is neither PEM (PKCS#8) nor a JWK"
      ],
      ["a JSON of something else", Redacted.make(JSON.stringify({ d: jwkOf(ec).d })), "the JWK has no kty"],
      ["a JWK Set", Redacted.make({ keys: [jwkOf(ec)] }), "the key is a JWK Set: give one of its keys"],
      [
        "a JWK of another type",
        Redacted.make({ ...jwkOf(ec), crv: "secp256k1" }),
        `the key's type is none of ${known}`
      ],
      ["a public JWK", Redacted.make(publicJwk), "the JWK is a public key, without its private part"],
      ["a JWK that lacks a part", Redacted.make({ ...jwkOf(rsa), n: undefined }), "the JWK is damaged or incomplete"],
      ["a JWK with a damaged part", Redacted.make({ ...jwkOf(ec), x: "%%%" }), "the JWK is damaged or incomplete"],
      ["a JWK with a part of another type", Redacted.make({ ...jwkOf(ec), x: 7 }), "the JWK is damaged or incomplete"],
      [
        "a JWK for encryption",
        Redacted.make({ ...jwkOf(rsa), alg: "RSA-OAEP" }),
        "the alg of the JWK is none that signs"
      ],
      [
        "a JWK with use enc",
        Redacted.make({ ...jwkOf(rsa), use: "enc" }),
        "the use or key_ops of the JWK do not allow it to sign"
      ],
      [
        "a JWK that may only verify",
        Redacted.make({ ...jwkOf(rsa), key_ops: ["verify"] }),
        "the use or key_ops of the JWK do not allow it to sign"
      ],
      [
        "PKCS#1",
        Redacted.make(rsa.export({ format: "pem", type: "pkcs1" })),
        "the PEM is PKCS#1 (RSA PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt"
      ],
      [
        "SEC1",
        Redacted.make(ec.export({ format: "pem", type: "sec1" })),
        "the PEM is SEC1 (EC PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt"
      ],
      ["an encrypted PEM", Redacted.make(ec.export(encrypted)), "the PEM is encrypted: decrypt it with openssl pkcs8"],
      [
        "a public PEM",
        Redacted.make(publicOf(ec).export({ format: "pem", type: "spki" })),
        "the PEM is a public key, without its private part"
      ],
      ["a certificate", Redacted.make(certificatePem), "the PEM is a certificate, without its private key"],
      [
        "a PEM that was cut off",
        Redacted.make(pemOf(rsa).slice(0, 900)),
        "the PEM has no whole block BEGIN PRIVATE KEY"
      ],
      [
        "a PEM that lost a line",
        Redacted.make(pemOf(rsa).split("\n").filter((_, line) => line !== 3).join("\n")),
        `the PEM is damaged, or its key none of ${known}`
      ],
      [
        "a PEM with other characters",
        Redacted.make(pemOf(ec).replace("MI", "%%")),
        `the PEM is damaged, or its key none of ${known}`
      ],
      ["RSASSA-PSS alone", Redacted.make(pemOf(pss)), `the PEM is damaged, or its key none of ${known}`],
      ["secp256k1", Redacted.make(pemOf(koblitz)), `the PEM is damaged, or its key none of ${known}`],
      ["1024 bits of RSA", Redacted.make(pemOf(small)), "the key is too small: RSA needs 2048 bits, it has 1024"],
      ["RSA for ES256", Redacted.make(pemOf(rsa)), "the key is an RSA key, but ES256 needs an EC key on P-256", {
        algorithm: "ES256"
      }],
      [
        "P-256 for ES384",
        Redacted.make(jwkOf(ec)),
        "the key is an EC key on P-256, but ES384 needs an EC key on P-384",
        { algorithm: "ES384" }
      ],
      ["P-256 for PS256", Redacted.make(pemOf(ec)), "the key is an EC key on P-256, but PS256 needs an RSA key", {
        algorithm: "PS256"
      }],
      ["P-256 for EdDSA", Redacted.make(pemOf(ec)), "the key is an EC key on P-256, but EdDSA needs an Ed25519 key", {
        algorithm: "EdDSA"
      }],
      ["a JWK for HS256", Redacted.make(jwkOf(ec)), "the key is an EC key on P-256, but HS256 needs a shared secret", {
        algorithm: "HS256"
      }],
      [
        "a secret for RS256",
        Redacted.make({ kty: "oct", k: jwkOf(ec).d }),
        "the key is a shared secret, but RS256 needs an RSA key",
        { algorithm: "RS256" }
      ],
      ["a short secret", Redacted.make("пароль"), "the secret is too short: HS384 needs 48 bytes, it has 12", {
        algorithm: "HS384"
      }],
      ["no algorithm", Redacted.make(jwkOf(ec)), "the algorithm is none that is known", { algorithm: "none" as never }],
      ["an effect that fails", Effect.fail(pemOf(ec)), "the key is unavailable"],
      ["a certificate that is none", Redacted.make(jwkOf(ec)), "the certificate is neither PEM nor DER", {
        certificate: "x"
      }],
      ["a certificate that cannot be had", Redacted.make(jwkOf(ec)), "the certificate is unavailable", {
        certificate: Effect.fail(pemOf(ec))
      }],
      ["a lifetime of nothing", Redacted.make(jwkOf(ec)), "the option lifetime must be longer than zero", {
        lifetime: 0
      }],
      ["a negative nbf", Redacted.make(jwkOf(ec)), "the option notBefore is negative", { notBefore: -1 }]
    ]
    const secrets = [...[rsa, ec, small, pss, koblitz].flatMap(secretsOf), "пароль"]
    for (const [what, key, message, options] of rows) {
      it.effect(what, () =>
        Effect.gen(function*() {
          const error: OAuthError.CredentialsError = yield* signs({ key: key as SigningKey.Key, ...options })
          assert.strictEqual(error._tag, "CredentialsError")
          assert.strictEqual(error.message, message)
          deepStrictEqual(leaks(error, secrets), [])
        }))
    }

    it.effect("claims that are not JSON", () =>
      Effect.gen(function*() {
        for (const claim of [1n, () => {}]) {
          assert.strictEqual(
            (yield* signs({ key: Redacted.make(jwkOf(ec)) }, { claim })).message,
            "the claims are not JSON"
          )
        }
      }))

    it.effect("a runtime without WebCrypto", () =>
      Effect.gen(function*() {
        Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true })
        // It runs up to the check at once: no other test is without WebCrypto
        const fiber = Effect.runFork(signs({ key: Redacted.make(jwkOf(ec)) }))
        Reflect.deleteProperty(crypto, "subtle")
        assert.strictEqual((yield* Fiber.join(fiber)).message, "WebCrypto is missing (browsers have it on https)")
      }))

    for (const kind of kinds) {
      it.effect(`neither the signer, nor what it signs, nor its key shows the ${kind} key (rule 9)`, () =>
        Effect.gen(function*() {
          const key = keyOf(kind)
          const secrets = secretsOf(key)
          for (const form of [pemOf(key), jwkOf(key)]) {
            const signer = JwtSigner.make({ key: Redacted.make<string | jose.JWK>(form) })
            const signed = yield* signer.sign({})
            deepStrictEqual(leaks(signer, secrets), [])
            deepStrictEqual(leaks(signed, [...secrets, Redacted.value(signed.jwt)]), [])
            const loaded = yield* SigningKey.load(Redacted.make<string | jose.JWK>(form))
            deepStrictEqual(reaches(loaded, secrets), [])
            assert.isFalse(loaded.privateKey.extractable)
            deepStrictEqual({ ...loaded.publicJwk }, { ...publicOf(key).export({ format: "jwk" }) })
          }
        }))
    }
  })
})
