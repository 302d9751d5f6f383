import { JwtSigner } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, FastCheck as fc, Random, Redacted, Ref, TestClock } from "effect"
import * as jose from "jose"
import { createSecretKey, X509Certificate } from "node:crypto"
import { rowsEffect } from "./support/Rows.js"
import { isThorough, runs } from "./support/Runs.js"
import { leaks } from "./support/Secrets.js"
import {
  algorithms,
  certificatePem,
  jwkOf,
  keyOf,
  kinds,
  make,
  pemOf,
  publicOf,
  secretsOf
} from "./support/SigningKeys.js"

const sign = <R = never>(options: JwtSigner.Options<R>, claims: JwtSigner.Claims = {}) =>
  Effect.map(JwtSigner.make(options).sign(claims), ({ jwt }) => Redacted.value(jwt))

const headerOf = (jwt: string) => jose.decodeProtectedHeader(jwt)

/** As a server checks it, at the time of the test's clock. */
const verify = (jwt: string, key: Parameters<typeof jose.jwtVerify>[1], now = 0) =>
  Effect.promise(() => jose.jwtVerify(jwt, key, { currentDate: new Date(now) }))

const certificate = new X509Certificate(certificatePem)
const x5t = Buffer.from(certificate.fingerprint.replaceAll(":", ""), "hex").toString("base64url")
const x5tS256 = Buffer.from(certificate.fingerprint256.replaceAll(":", ""), "hex").toString("base64url")

describe("JwtSigner", () => {
  describe("the public key verifies the signature, and the header names the algorithm (RFC 7518 §3.1)", () => {
    const keys = kinds.flatMap((kind) => {
      const key = keyOf(kind)
      const jwk = jwkOf(key)
      const forms: Record<string, JwtSigner.Key> = {
        PEM: Redacted.make(pemOf(key)),
        "a PEM among other blocks, from an environment's variable": Redacted.make(
          `${certificatePem}Bag Attributes\n${pemOf(key)}`.replaceAll("\n", "\\n")
        ),
        "a PEM with the line ends of Windows": Redacted.make(pemOf(key).replaceAll("\n", "\r\n")),
        "a PEM with those in four characters each": Redacted.make(pemOf(key).replaceAll("\n", "\\r\\n")),
        JWK: Redacted.make(jwk),
        "JWK as text": Redacted.make(JSON.stringify(jwk, null, 2)),
        "JWK as text with a byte order mark": Redacted.make(`\ufeff${JSON.stringify(jwk)}\n`)
      }
      return Object.entries(forms).flatMap(([form, redacted]) =>
        [undefined, ...(isThorough || form === "JWK" ? algorithms[kind] : [])].map((algorithm) => ({
          kind,
          key,
          form,
          redacted,
          algorithm
        }))
      )
    })
    it.effect("with a key of any kind in any form, for each of its algorithms", () =>
      rowsEffect(
        keys,
        ({ algorithm, form, kind }) => `${kind}, ${form}, ${algorithm ?? "the default"}`,
        ({ algorithm, key, kind, redacted }) =>
          Effect.gen(function*() {
            const jwt = yield* sign({ key: redacted, algorithm }, { iss: "app" })
            assert.strictEqual(headerOf(jwt).alg, algorithm ?? algorithms[kind][0])
            assert.strictEqual((yield* verify(jwt, publicOf(key))).payload.iss, "app")
          })
      ))

    it.effect("the algorithm of the JWK is the default", () =>
      rowsEffect(
        kinds.flatMap((kind) => algorithms[kind].map((algorithm) => ({ kind, algorithm }))),
        ({ algorithm, kind }) => `${kind}: the algorithm of the JWK, ${algorithm}, is the default`,
        ({ algorithm, kind }) =>
          Effect.gen(function*() {
            const key = keyOf(kind)
            const jwt = yield* sign({ key: Redacted.make({ ...jwkOf(key), alg: algorithm }) })
            assert.strictEqual(headerOf(jwt).alg, algorithm)
            yield* verify(jwt, publicOf(key))
          })
      ))

    it.effect("the algorithm of the options overrides that of the JWK", () =>
      Effect.gen(function*() {
        const key = keyOf("Ed25519")
        const jwt = yield* sign({ key: Redacted.make({ ...jwkOf(key), alg: "EdDSA" }), algorithm: "Ed25519" })
        assert.strictEqual(headerOf(jwt).alg, "Ed25519")
      }))

    it.effect("a JWK for signatures only that cannot be exported", () =>
      Effect.gen(function*() {
        const key = keyOf("RSA")
        const jwk = { ...jwkOf(key), use: "sig", key_ops: ["sign", "verify"], ext: false, x5c: [] }
        yield* verify(yield* sign({ key: Redacted.make(jwk) }), publicOf(key))
      }))

    it.effect("a shared secret, as text and as JWK", () => {
      const secret = "ключ-".repeat(8)
      const key = createSecretKey(Buffer.from(secret))
      const forms: Record<string, JwtSigner.Key> = {
        text: Redacted.make(secret),
        JWK: Redacted.make(key.export({ format: "jwk" }))
      }
      return rowsEffect(
        Object.entries(forms).flatMap(([form, redacted]) =>
          (["HS256", "HS384", "HS512"] as const).map((algorithm) => ({ form, redacted, algorithm }))
        ),
        ({ algorithm, form }) => `a shared secret as ${form}, ${algorithm}`,
        ({ algorithm, redacted }) =>
          Effect.gen(function*() {
            const jwt = yield* sign({ key: redacted, algorithm })
            assert.strictEqual(headerOf(jwt).alg, algorithm)
            yield* verify(jwt, key)
          })
      )
    })

    it.effect("a shared secret that looks like a JWK is used as it is", () =>
      Effect.gen(function*() {
        const secret = JSON.stringify(jwkOf(keyOf("RSA")))
        const jwt = yield* sign({ key: Redacted.make(secret), algorithm: "HS256" })
        yield* verify(jwt, createSecretKey(Buffer.from(secret)))
      }))
  })

  describe("header (RFC 7515 §4.1)", () => {
    const key = Redacted.make(pemOf(keyOf("P-256")))
    const table: ReadonlyArray<readonly [what: string, options: Omit<JwtSigner.Options, "key">, header: object]> = [
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
    it.effect("contains what the options and the certificate say, and nothing else", () =>
      rowsEffect(table, ([what]) => what, ([, options, header]) =>
        Effect.gen(function*() {
          deepStrictEqual(headerOf(yield* sign({ key, ...options })), { alg: "ES256", typ: "JWT", ...header })
        })))

    it.effect("contains the thumbprints of the certificate of the key", () =>
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

    it.effect("kid is that of the JWK unless the options name another", () =>
      Effect.gen(function*() {
        const jwk = Redacted.make({ ...jwkOf(keyOf("RSA")), kid: "of the JWK" })
        assert.strictEqual(headerOf(yield* sign({ key: jwk })).kid, "of the JWK")
        assert.strictEqual(headerOf(yield* sign({ key: jwk, keyId: "given" })).kid, "given")
        const numbered = Redacted.make(JSON.stringify({ ...jwkOf(keyOf("RSA")), kid: 7 }))
        assert.notProperty(headerOf(yield* sign({ key: numbered })), "kid")
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

    it.effect("a given claim replaces the one that would be added", () =>
      Effect.gen(function*() {
        const { exp, jti } = yield* claimsOf(undefined, { jti: "mine", exp: 7 })
        deepStrictEqual([jti, exp], ["mine", 7])
      }))

    it.live.prop(
      "every claim that is JSON arrives unchanged",
      [fc.dictionary(fc.string(), fc.jsonValue())],
      ([given]) =>
        Effect.gen(function*() {
          const claims = yield* claimsOf(undefined, given)
          deepStrictEqual({ ...claims, ...JSON.parse(JSON.stringify(given)) }, claims)
        }),
      runs(100)
    )

    it.effect("jti never repeats, however Effect's Random is seeded", () =>
      Effect.gen(function*() {
        const ids = yield* Effect.all(
          Array.from({ length: 100 }, () => Effect.withRandom(claimsOf(), Random.make("seed")))
        )
        assert.strictEqual(new Set(ids.map(({ jti }) => jti)).size, 100)
      }))

    it.effect("a server with the same clock accepts the JWT until it expires", () =>
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
    it.effect("the key is read for every signature; a new key is used at once", () =>
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

    it.effect("a replaced certificate with the same key is another version", () =>
      Effect.gen(function*() {
        const der = new Uint8Array(certificate.raw)
        const current = yield* Ref.make(der)
        const signer = JwtSigner.make({ key: Redacted.make(pemOf(keyOf("RSA"))), certificate: Ref.get(current) })
        const first = yield* signer.sign({})
        assert.strictEqual(yield* signer.version, first.version)
        yield* Ref.set(current, Uint8Array.from([...der, 0]))
        const second = yield* signer.sign({})
        assert.notStrictEqual(second.version, first.version)
        assert.strictEqual(yield* signer.version, second.version)
      }))
  })

  describe("errors say what is wrong, and show no part of the key", () => {
    const key = Redacted.make(pemOf(keyOf("P-256")))
    const table: Record<string, readonly [options: Partial<JwtSigner.Options>, message: string]> = {
      "a key of another type": [
        { algorithm: "ES384" },
        "the key is an EC key on P-256, but ES384 needs an EC key on P-384"
      ],
      "a certificate that is none": [{ certificate: "x" }, "the certificate is neither PEM nor DER"],
      "a certificate in DER that is none": [
        { certificate: Uint8Array.of(1, 2) },
        "the certificate is neither PEM nor DER"
      ],
      "a certificate that cannot be had": [
        { certificate: Effect.fail(pemOf(keyOf("P-256"))) },
        "the certificate is unavailable"
      ],
      "a lifetime of nothing": [{ lifetime: 0 }, "the option lifetime must be longer than zero"],
      "a negative nbf": [{ notBefore: -1 }, "the option notBefore is negative"]
    }
    it.effect("wrong options", () =>
      rowsEffect(Object.entries(table), ([what]) => what, ([, [options, message]]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(sign({ key, ...options }))
          assert.strictEqual(String(error), `CredentialsError: ${message}`)
          deepStrictEqual(leaks(error, secretsOf(keyOf("P-256"))), [])
        })))

    it.effect("claims that are not JSON", () =>
      Effect.gen(function*() {
        for (const claim of [1n, () => {}]) {
          assert.strictEqual((yield* Effect.flip(sign({ key }, { claim }))).message, "the claims are not JSON")
        }
      }))

    it.effect("neither the signer nor what it signs shows the key or the JWT (rule 9)", () =>
      Effect.gen(function*() {
        const signer = JwtSigner.make({ key })
        const signed = yield* signer.sign({})
        deepStrictEqual(leaks([signer, signed], [...secretsOf(keyOf("P-256")), Redacted.value(signed.jwt)]), [])
      }))
  })
})
