import { type JwtSigner, OAuthError } from "@effect-alf/core"
import { assert, describe, it, vi } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Redacted, Ref } from "effect"
import type * as jose from "jose"
import { createPrivateKey, generateKeyPairSync } from "node:crypto"
import * as SigningKey from "../../src/endpoint/SigningKey.js"
import { rowsEffect } from "../support/Rows.js"
import { leaks, reaches } from "../support/Secrets.js"
import {
  certificatePem,
  jwkOf,
  keyOf,
  kinds,
  make,
  pemOf,
  pssPem,
  publicOf,
  secretsOf
} from "../support/SigningKeys.js"

// That each kind of key signs with each of its algorithms is shown in JwtSigner.test.ts
describe("SigningKey", () => {
  it.live("the private part of a key of any kind can be neither reached nor exported (rule 9)", () =>
    rowsEffect(
      kinds,
      (kind) => `the private part of ${kind} can be neither reached nor exported (rule 9)`,
      (kind) =>
        Effect.gen(function*() {
          const key = keyOf(kind)
          for (const form of [pemOf(key), jwkOf(key)]) {
            const loaded = yield* SigningKey.load(Redacted.make<string | jose.JWK>(form))
            deepStrictEqual(reaches(loaded, secretsOf(key)), [])
            assert.isFalse(loaded.privateKey.extractable)
            deepStrictEqual({ ...loaded.publicJwk }, { ...jwkOf(publicOf(key)) })
          }
        })
    ))

  it.live("no part of a shared secret can be read or exported", () =>
    Effect.gen(function*() {
      const loaded = yield* SigningKey.load(Redacted.make("s3cr3t".repeat(6)), "HS256")
      deepStrictEqual(leaks(loaded, ["s3cr3t"]), [])
      assert.isFalse(loaded.privateKey.extractable)
    }))

  it.live("returns the first certificate of a PEM, also without a key", () =>
    Effect.gen(function*() {
      const { certificate } = yield* SigningKey.load(
        Redacted.make(certificatePem + pemOf(keyOf("RSA")) + certificatePem)
      )
      assert.strictEqual(certificate?.length, 381)
      deepStrictEqual(SigningKey.certificate(certificatePem), certificate)
      assert.isUndefined(SigningKey.certificate(pemOf(keyOf("RSA"))))
      assert.isUndefined(SigningKey.certificate(certificatePem.replace("MI", "%%")))
    }))

  describe("rotation", () => {
    it.live("a key is imported once, as long as it is the same", () =>
      Effect.gen(function*() {
        const pem = pemOf(keyOf("P-256"))
        const current = yield* Ref.make(pem)
        const load = SigningKey.load(Effect.map(Ref.get(current), Redacted.make))
        const first = yield* load
        assert.strictEqual((yield* load).privateKey, first.privateKey)
        yield* Ref.set(current, `${pem}\n`)
        assert.notStrictEqual((yield* load).privateKey, first.privateKey)
      }))

    it.live("an object that is changed in place is another key", () =>
      Effect.gen(function*() {
        const [one, two] = [make("P-256"), make("P-256")]
        const jwk = { ...jwkOf(one) }
        const load = SigningKey.load(Redacted.make(jwk))
        deepStrictEqual({ ...(yield* load).publicJwk }, { ...jwkOf(publicOf(one)) })
        Object.assign(jwk, jwkOf(two))
        deepStrictEqual({ ...(yield* load).publicJwk }, { ...jwkOf(publicOf(two)) })
      }))

    it.live("a key that could not be read is read again", () =>
      Effect.gen(function*() {
        const current = yield* Ref.make("not yet there")
        const load = SigningKey.load(Effect.map(Ref.get(current), Redacted.make))
        assert.match((yield* Effect.flip(load)).message, /neither PEM/)
        yield* Ref.set(current, pemOf(keyOf("P-256")))
        yield* load
      }))
  })

  describe("says what is wrong, and shows no part of the key", () => {
    const rsa = keyOf("RSA")
    const ec = keyOf("P-256")
    const { d: _, ...publicJwk } = jwkOf(ec)
    const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey
    const pss = createPrivateKey(pssPem)
    const koblitz = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey
    const known = "RSA, EC (P-256, P-384, P-521) or Ed25519"
    const encrypted = { format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "pass" } as const

    const table: ReadonlyArray<
      readonly [what: string, key: unknown, message: string, algorithm?: JwtSigner.Algorithm]
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
      ["a JSON that is no object", Redacted.make("42"), "the key is neither PEM (PKCS#8) nor a JWK"],
      ["a JSON of something else", Redacted.make(JSON.stringify({ d: jwkOf(ec).d })), "the JWK has no kty"],
      ["a JWK Set", Redacted.make({ keys: [jwkOf(ec)] }), "the key is a JWK Set: give one of its keys"],
      [
        "a JWK of another type",
        Redacted.make({ ...jwkOf(ec), crv: "secp256k1" }),
        `the type of the key is not one of ${known}`
      ],
      ["a public JWK", Redacted.make(publicJwk), "the JWK is a public key, without its private part"],
      ["a JWK that lacks a part", Redacted.make({ ...jwkOf(rsa), n: undefined }), "the JWK is damaged or incomplete"],
      ["a JWK with a damaged part", Redacted.make({ ...jwkOf(ec), x: "%%%" }), "the JWK is damaged or incomplete"],
      ["a JWK with a part of another type", Redacted.make({ ...jwkOf(ec), x: 7 }), "the JWK is damaged or incomplete"],
      [
        "a JWK for encryption",
        Redacted.make({ ...jwkOf(rsa), alg: "RSA-OAEP" }),
        "the alg of the JWK is not a signature algorithm"
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
      [
        "PKCS#1 with a passphrase",
        Redacted.make(rsa.export({ ...encrypted, type: "pkcs1" })),
        "the PEM is PKCS#1 (RSA PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt"
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
        "the PEM has no complete block BEGIN PRIVATE KEY"
      ],
      [
        "a PEM that lost a line",
        Redacted.make(pemOf(rsa).split("\n").filter((_, line) => line !== 3).join("\n")),
        `the PEM is damaged, or its key is not one of ${known}`
      ],
      [
        "a PEM with other characters",
        Redacted.make(pemOf(ec).replace("MI", "%%")),
        `the PEM is damaged, or its key is not one of ${known}`
      ],
      ["RSASSA-PSS alone", Redacted.make(pemOf(pss)), `the PEM is damaged, or its key is not one of ${known}`],
      ["secp256k1", Redacted.make(pemOf(koblitz)), `the PEM is damaged, or its key is not one of ${known}`],
      ["1024 bits of RSA", Redacted.make(pemOf(small)), "the key is too small: RSA needs 2048 bits, it has 1024"],
      [
        "RSA for ES256",
        Redacted.make(pemOf(rsa)),
        "the key is an RSA key, but ES256 needs an EC key on P-256",
        "ES256"
      ],
      [
        "P-256 for ES384",
        Redacted.make(jwkOf(ec)),
        "the key is an EC key on P-256, but ES384 needs an EC key on P-384",
        "ES384"
      ],
      [
        "P-256 for PS256",
        Redacted.make(pemOf(ec)),
        "the key is an EC key on P-256, but PS256 needs an RSA key",
        "PS256"
      ],
      [
        "P-256 for EdDSA",
        Redacted.make(pemOf(ec)),
        "the key is an EC key on P-256, but EdDSA needs an Ed25519 key",
        "EdDSA"
      ],
      [
        "a JWK for HS256",
        Redacted.make(jwkOf(ec)),
        "the key is an EC key on P-256, but HS256 needs a shared secret",
        "HS256"
      ],
      [
        "a secret for RS256",
        Redacted.make({ kty: "oct", k: jwkOf(ec).d }),
        "the key is a shared secret, but RS256 needs an RSA key",
        "RS256"
      ],
      ["a short secret", Redacted.make("пароль"), "the secret is too short: HS384 needs 48 bytes, it has 12", "HS384"],
      ["no algorithm", Redacted.make(jwkOf(ec)), "the algorithm is unknown", "none" as never],
      ["an effect that fails", Effect.fail(pemOf(ec)), "the key is unavailable"],
      [
        "an effect that fails with what may be told",
        new OAuthError.CredentialsError({ description: "the vault is sealed" }),
        "the vault is sealed"
      ]
    ]
    const secrets = [...[rsa, ec, small, pss, koblitz].flatMap(secretsOf), "пароль"]
    it.live("for every unusable key", () =>
      rowsEffect(table, ([what]) => what, ([, key, message, algorithm]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(SigningKey.load(key as JwtSigner.Key, algorithm))
          assert.strictEqual(error._tag, "CredentialsError")
          assert.strictEqual(error.message, message)
          deepStrictEqual(leaks(error, secrets), [])
        })))

    it.live("if jose is not installed", () =>
      Effect.gen(function*() {
        vi.doMock("jose", () => {
          throw new Error("Cannot find package 'jose'")
        })
        const error = yield* Effect.ensuring(
          Effect.flip(SigningKey.load(Redacted.make(jwkOf(ec)))),
          Effect.sync(() => vi.doUnmock("jose"))
        )
        assert.strictEqual(error.message, "the package jose, which signs, could not be loaded")
      }))

    it.live("if the runtime has no WebCrypto", () =>
      Effect.gen(function*() {
        Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true })
        // It runs up to the check at once: no other test is without WebCrypto
        const fiber = Effect.runFork(Effect.flip(SigningKey.load(Redacted.make(jwkOf(ec)))))
        Reflect.deleteProperty(crypto, "subtle")
        assert.strictEqual((yield* Fiber.join(fiber)).message, "WebCrypto is missing (browsers have it on https)")
      }))
  })
})
