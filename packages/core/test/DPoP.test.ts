import { AccessToken, DPoP } from "@effect-alf/core"
import { Headers } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Effect, FastCheck as fc, Option, Random, Redacted, TestClock } from "effect"
import * as jose from "jose"
import { createHash } from "node:crypto"
import * as SigningKey from "../src/endpoint/SigningKey.js"
import { rowsEffect } from "./support/Rows.js"
import { isThorough, runs } from "./support/Runs.js"
import { leaks, reaches } from "./support/Secrets.js"
import { algorithms, jwkOf, keyOf, kinds, pemOf, publicOf, secretsOf } from "./support/SigningKeys.js"

const url = "https://api.example.com/orders"

/** As a server verifies it (RFC 9449 §4.3), at the time of the test's clock. */
const verify = (proof: string, now = 0) =>
  Effect.promise(() =>
    jose.jwtVerify(proof, jose.EmbeddedJWK, {
      typ: "dpop+jwt",
      requiredClaims: ["jti", "htm", "htu", "iat"],
      currentDate: new Date(now)
    })
  )

const claims = (key: DPoP.ProofKey, options?: Partial<Parameters<DPoP.ProofKey["proof"]>[0]>) =>
  Effect.map(key.proof({ method: "GET", url, ...options }), jose.decodeJwt)

const asymmetric = kinds.flatMap((kind) =>
  algorithms[kind].map((algorithm) => [kind, algorithm as DPoP.Algorithm] as const)
)

/** To make a key of RSA takes as long as a hundred tests. */
const isCheap = ([kind, algorithm]: (typeof asymmetric)[number]) =>
  isThorough || kind !== "RSA" || algorithm === "RS256"

/** The RSA key of RFC 7517 Appendix A.2, whose thumbprint is the example of RFC 7638 §3.1. */
const rfc7517 = {
  kty: "RSA",
  n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
  e: "AQAB",
  d: "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURknchnrRweUkC7hT5fJLM0WbFAKNLWY2vv7B6NqXSzUvxT0_YSfqijwp3RTzlBaCxWp4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t8MN6TNwm0dSawm9v47UiCl3Sk5ZiG7xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bgkuqsk0GjskDJk19Z4qwjwbsnn4j2WBii3RL-Us2lGVkY8fkFzme1z0HbIkfz0Y6mqnOYtqc0X4jfcKoAC8Q",
  p: "83i-7IvMGXoMXCskv73TKr8637FiO7Z27zv8oj6pbWUQyLPQBQxtPVnwD20R-60eTDmD2ujnMt5PoqMrm8RfmNhVWDtjjMmCMjOpSXicFHj7XOuVIYQyqVWlWEh6dN36GVZYk93N8Bc9vY41xy8B9RzzOGVQzXvNEvn7O0nVbfs",
  q: "3dfOR9cuYq-0S-mkFLzgItgMEfFzB2q3hWehMuG0oCuqnb3vobLyumqjVZQO1dIrdwgTnCdpYzBcOfW5r370AFXjiWft_NGEiovonizhKpo9VVS78TzFgxkIdrecRezsZ-1kYd_s1qDbxtkDEgfAITAG9LUnADun4vIcb6yelxk",
  dp:
    "G4sPXkc6Ya9y8oJW9_ILj4xuppu0lzi_H7VTkS8xj5SdX3coE0oimYwxIi2emTAue0UOa5dpgFGyBJ4c8tQ2VF402XRugKDTP8akYhFo5tAA77Qe_NmtuYZc3C3m3I24G2GvR5sSDxUyAN2zq8Lfn9EUms6rY3Ob8YeiKkTiBj0",
  dq:
    "s9lAH9fggBsoFR8Oac2R_E2gw282rT2kGOAhvIllETE1efrA6huUUvMfBcMpn8lqeW6vzznYY5SSQF7pMdC_agI3nG8Ibp1BUb0JUiraRNqUfLhcQb_d9GF4Dh7e74WbRsobRonujTYN1xCaP6TO61jvWrX-L18txXw494Q_cgk",
  qi:
    "GyM_p6JrXySiz1toFgKbWV-JdI3jQ4ypu9rbMWx3rQJBfmt0FoYzgUIZEVFEcOqwemRN81zoDAaa-Bk0KWNGDjJHZDdDmFhW3AN7lI-puxk_mHZGJ11rxyR8O55XLSe3SPmRfKwZI6yU24ZxvQKFYItdldUKGzO6Ia6zTKhAVRU"
}

/** The key of RFC 8037 Appendix A.1. */
const rfc8037 = {
  kty: "OKP",
  crv: "Ed25519",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}

describe("DPoP", () => {
  describe("proof (RFC 9449 §4.2)", () => {
    it.effect("with a generated key: a server verifies the proof with the public key in its header", () =>
      rowsEffect(asymmetric.filter(isCheap), ([, algorithm]) => algorithm, ([, algorithm]) =>
        Effect.gen(function*() {
          const key = yield* DPoP.generate({ algorithm })
          const { protectedHeader } = yield* verify(yield* key.proof({ method: "GET", url }))
          assert.strictEqual(protectedHeader.alg, algorithm)
          assert.strictEqual(key.algorithm, algorithm)
          const { jwk } = protectedHeader
          assert(jwk !== undefined)
          assert.strictEqual(yield* Effect.promise(() => jose.calculateJwkThumbprint(jwk)), key.thumbprint)
          assert.isFalse(key.isShared)
        })))

    it.effect("with a given key: the header contains its public part only", () =>
      rowsEffect(asymmetric, ([, algorithm]) => algorithm, ([kind, algorithm]) =>
        Effect.gen(function*() {
          const given = keyOf(kind)
          for (const form of [pemOf(given), jwkOf(given), { ...jwkOf(given), kid: "kid", use: "sig", x5u: "secret" }]) {
            const key = yield* DPoP.fromKey(Redacted.make<string | jose.JWK>(form), { algorithm })
            const proof = yield* key.proof({ method: "GET", url })
            yield* verify(proof)
            deepStrictEqual(jose.decodeProtectedHeader(proof), {
              alg: algorithm,
              typ: "dpop+jwt",
              jwk: { ...publicOf(given).export({ format: "jwk" }) }
            })
            assert.isTrue(key.isShared)
          }
        })))

    it.effect("ES256 is the default for generated keys; no two keys are equal", () =>
      Effect.gen(function*() {
        const [one, two] = [yield* DPoP.generate(), yield* DPoP.generate()]
        assert.strictEqual(one.algorithm, "ES256")
        assert.notStrictEqual(one.thumbprint, two.thumbprint)
      }))

    it.effect("contains method, URL and the Clock's second; ath and nonce only where they exist", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_999)
        const key = yield* DPoP.generate()
        const { jti, ...rest } = yield* claims(key, { method: "POST", url: new URL("https://auth.example.com/token") })
        assert.match(String(jti), /^[\w-]{22}$/)
        deepStrictEqual(rest, { htm: "POST", htu: "https://auth.example.com/token", iat: 1_700_000_000 })
      }))

    it.effect("jti never repeats, however Effect's Random is seeded", () =>
      Effect.gen(function*() {
        const key = yield* DPoP.generate()
        const all = yield* Effect.all(Array.from({ length: 200 }, () => Effect.withRandom(claims(key), Random.make(1))))
        assert.strictEqual(new Set(all.map(({ jti }) => jti)).size, 200)
      }))

    it.effect("ath is the hash of the token (the example of RFC 9449 §7.1)", () =>
      Effect.gen(function*() {
        const token = Redacted.make("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
        assert.strictEqual(
          (yield* claims(yield* DPoP.generate(), { token })).ath,
          "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
        )
      }))

    const key = Effect.runSync(Effect.cached(DPoP.generate()))

    it.effect.prop("ath is the hash of the token, for any token", [fc.string()], ([token]) =>
      Effect.gen(function*() {
        const { ath } = yield* claims(yield* key, { token: Redacted.make(token) })
        assert.strictEqual(ath, createHash("sha256").update(token).digest("base64url"))
      }), runs(100))

    describe("htu is the URL as it is sent, without query and fragment (RFC 9449 §4.3)", () => {
      const rows: ReadonlyArray<readonly [url: string, htu: string]> = [
        ["https://api.example.com", "https://api.example.com/"],
        ["HTTPS://API.Example.com:443/a", "https://api.example.com/a"],
        ["http://localhost:80/a", "http://localhost/a"],
        ["http://localhost:8080/a", "http://localhost:8080/a"],
        ["https://[2001:DB8::1]/a", "https://[2001:db8::1]/a"],
        ["https://api.example.com/a/./b/../c", "https://api.example.com/a/c"],
        ["https://api.example.com/a?b=c#d", "https://api.example.com/a"],
        ["https://api.example.com/a?#", "https://api.example.com/a"],
        ["https://user:pass@api.example.com/a", "https://api.example.com/a"],
        ["https://api.example.com/a b/ü/%7e%2f", "https://api.example.com/a%20b/%C3%BC/%7e%2f"],
        ["https://bücher.example/a", "https://xn--bcher-kva.example/a"]
      ]
      it.effect("htu of a URL is as the request sends it", () =>
        rowsEffect(rows, ([given]) => given, ([given, htu]) =>
          Effect.gen(function*() {
            assert.strictEqual((yield* claims(yield* key, { url: given })).htu, htu)
          })))

      it.effect.prop(
        "of any address",
        [fc.webUrl({ withQueryParameters: true, withFragments: true })],
        ([given]) =>
          Effect.gen(function*() {
            const { htu } = yield* claims(yield* key, { url: given })
            const wire = new URL(given)
            wire.search = wire.hash = ""
            assert.strictEqual(htu, wire.href)
          }),
        runs(100)
      )
    })
  })

  describe("thumbprint (RFC 7638)", () => {
    it.effect("is that of the example of RFC 7638 §3.1", () =>
      Effect.gen(function*() {
        const key = yield* DPoP.fromKey(Redacted.make(rfc7517))
        assert.strictEqual(key.thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
        yield* verify(yield* key.proof({ method: "GET", url }))
      }))

    it.effect("is that of the example of RFC 8037 Appendix A.3", () =>
      Effect.gen(function*() {
        const key = yield* DPoP.fromKey(Redacted.make(rfc8037))
        assert.strictEqual(key.thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
        yield* verify(yield* key.proof({ method: "GET", url }))
      }))

    for (const kind of kinds) {
      it.effect(`is the same in each process that has the ${kind} key, in whatever form`, () =>
        Effect.gen(function*() {
          const pem = yield* DPoP.fromKey(Redacted.make(pemOf(keyOf(kind))))
          const jwk = yield* DPoP.fromKey(Effect.succeed(Redacted.make(JSON.stringify(jwkOf(keyOf(kind))))))
          assert.strictEqual(pem.thumbprint, jwk.thumbprint)
          assert.strictEqual(pem.algorithm, algorithms[kind][0])
        }))
    }
  })

  describe("an unusable key", () => {
    const rows: Record<string, readonly [effect: Effect.Effect<DPoP.ProofKey, Error>, message: string]> = {
      "a shared secret": [
        DPoP.fromKey(Redacted.make({ kty: "oct", k: Buffer.alloc(64, 7).toString("base64url") })),
        "the key is a shared secret, which cannot sign a proof"
      ],
      "a key of another type than asked for": [
        DPoP.fromKey(Redacted.make(pemOf(keyOf("RSA"))), { algorithm: "ES256" }),
        "the key is an RSA key, but ES256 needs an EC key on P-256"
      ],
      "an effect that fails": [DPoP.fromKey(Effect.fail(pemOf(keyOf("RSA")))), "the key is unavailable"],
      "an algorithm that needs a secret": [
        DPoP.generate({ algorithm: "HS256" as never }),
        "this runtime cannot make a key for HS256"
      ]
    }
    it.effect("is reported with its reason, and not shown", () =>
      rowsEffect(Object.entries(rows), ([what]) => what, ([, [effect, message]]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(effect)
          assert.strictEqual(String(error), `CredentialsError: ${message}`)
          deepStrictEqual(leaks(error, [...secretsOf(keyOf("RSA")), Buffer.alloc(64, 7).toString("base64url")]), [])
        })))
  })

  describe("nonces (RFC 9449 §8)", () => {
    const origin = new URL(url).origin

    it.effect("the newest nonce of an origin is in the next proof for that origin, and in no other", () =>
      Effect.gen(function*() {
        const key = yield* DPoP.generate()
        assert.isUndefined((yield* claims(key)).nonce)
        key.nonces.set(origin, "one")
        assert.strictEqual((yield* claims(key)).nonce, "one")
        key.nonces.set(origin, "two")
        assert.strictEqual((yield* claims(key, { url: "https://API.example.com:443/other?q" })).nonce, "two")
        for (const other of ["http://api.example.com/", "https://api.example.com:8443/", "https://auth.example.com/"]) {
          assert.isUndefined((yield* claims(key, { url: other })).nonce)
        }
      }))

    it("nonces of 100 origins are kept; the least recently used is removed", () => {
      const nonces = DPoP.makeNonces()
      for (let index = 0; index < 100; index++) nonces.set(`origin ${index}`, `${index}`)
      nonces.set("origin 0", "again")
      nonces.set("one more", "new")
      assert.strictEqual(nonces.get("origin 0"), "again")
      assert.isUndefined(nonces.get("origin 1"))
      assert.strictEqual(nonces.get("origin 2"), "2")
      assert.strictEqual(nonces.get("one more"), "new")
    })

    const none: Record<string, string | undefined> = {
      "nothing": undefined,
      "an empty text": "",
      "a space": "a b",
      "two of them in one header": "one, two",
      "a quote": "a\"b",
      "a backslash": "a\\b",
      "a line break": "a\r\nx: y",
      "a line break at the end": "a\n",
      "another script": "é",
      "more than 1024 characters": "n".repeat(1025)
    }
    for (const [what, text] of Object.entries(none)) {
      it(`${what} is ignored: it is no nonce`, () => {
        const nonces = DPoP.makeNonces()
        nonces.set(origin, "good")
        nonces.set(origin, text)
        assert.strictEqual(nonces.get(origin), "good")
        const headers = Headers.fromInput(text === undefined ? {} : { "dpop-nonce": text })
        deepStrictEqual(DPoP.requiredNonce({ status: 401, headers, error: "use_dpop_nonce" }), Option.none())
      })
    }

    it("accepts every character allowed in a nonce, and no other", () => {
      for (let code = 0; code < 0x180; code++) {
        const character = String.fromCharCode(code)
        const nonces = DPoP.makeNonces()
        nonces.set(origin, character)
        const isGood = code === 0x21 || (code >= 0x23 && code <= 0x5b) || (code >= 0x5d && code <= 0x7e)
        assert.strictEqual(nonces.get(origin), isGood ? character : undefined)
      }
    })

    it("keeps a nonce of the greatest allowed length", () => {
      const nonces = DPoP.makeNonces()
      nonces.set(origin, "n".repeat(1024))
      assert.strictEqual(nonces.get(origin)?.length, 1024)
    })

    const headers = Headers.fromInput({ "DPoP-Nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v" })
    const answers: ReadonlyArray<readonly [status: number, error: string | undefined, asks: boolean]> = [
      [400, "use_dpop_nonce", true],
      [401, "use_dpop_nonce", true],
      [200, "use_dpop_nonce", false],
      [403, "use_dpop_nonce", false],
      [500, "use_dpop_nonce", false],
      [400, "invalid_client", false],
      [401, "invalid_token", false],
      [401, undefined, false]
    ]
    for (const [status, error, asks] of answers) {
      it(`${status} ${error ?? "without an error"} ${asks ? "asks" : "does not ask"} for a nonce`, () => {
        deepStrictEqual(
          DPoP.requiredNonce({ status, headers, error }),
          asks ? Option.some("eyJ7S_zG.eyJH0-Z.HX4w-7v") : Option.none()
        )
      })
    }
  })

  describe("rule 9: no output shows the private key", () => {
    for (const kind of kinds) {
      it.effect(`${kind}: neither the proof key, nor a token that is bound to it, nor a proof`, () =>
        Effect.gen(function*() {
          const secrets = secretsOf(keyOf(kind))
          for (const form of [pemOf(keyOf(kind)), jwkOf(keyOf(kind))]) {
            const key = yield* DPoP.fromKey(Redacted.make<string | jose.JWK>(form))
            const token = AccessToken.make({
              value: Redacted.make("the-token-value"),
              obtainedAt: DateTime.unsafeMake(0),
              proofKey: key
            })
            assert.strictEqual(AccessToken.authorization(token), "DPoP the-token-value")
            deepStrictEqual(leaks(key, secrets), [])
            deepStrictEqual(leaks(token, [...secrets, "the-token-value"]), [])
            const proof = yield* key.proof({ method: "GET", url, token: token.value })
            const read = [jose.decodeProtectedHeader(proof), jose.decodeJwt(proof), proof]
            deepStrictEqual(reaches(read, [...secrets, "the-token-value"]), [])
          }
        }))
    }

    it.effect("a WebCrypto key cannot be reached or exported", () =>
      Effect.gen(function*() {
        const loaded = yield* SigningKey.load(Redacted.make(pemOf(keyOf("P-256"))))
        const exported = yield* Effect.promise(() =>
          jose.exportJWK(loaded.privateKey).then(() => "exported", () => "no")
        )
        assert.strictEqual(exported, "no")
        for (const key of [yield* DPoP.generate(), yield* DPoP.fromKey(Redacted.make(rfc8037))]) {
          deepStrictEqual(Object.keys(key).sort(), [
            "algorithm",
            "isShared",
            "nonces",
            "proof",
            "sending",
            "thumbprint"
          ])
          deepStrictEqual(Object.keys(key.nonces).sort(), ["get", "set"])
          deepStrictEqual(Object.keys(key.sending).sort(), ["_tag", "form", "request", "wantsNonce"])
        }
      }))
  })
})
