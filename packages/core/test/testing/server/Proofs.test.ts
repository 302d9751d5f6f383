import { DPoP } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted, TestClock } from "effect"
import * as jose from "jose"
import * as Proofs from "../../../src/testing/server/Proofs.js"

const url = "https://api.test/orders?page=1"

const request = { side: "api", method: "GET", url, token: "token-1", now: 0 } as const

const sign = (key: DPoP.ProofKey, token: string | undefined = "token-1") =>
  key.proof({ method: "GET", url, token: token === undefined ? undefined : Redacted.make(token) })

describe("Proofs (RFC 9449 §4.3)", () => {
  it.effect("accepts a proof for its request, once", () =>
    Effect.gen(function*() {
      const key = yield* DPoP.generate()
      const proofs = Proofs.make()
      const proof = yield* sign(key)
      deepStrictEqual(yield* proofs.verify({ ...request, proof }), { thumbprint: key.thumbprint, nonce: undefined })
      const again = yield* Effect.flip(proofs.verify({ ...request, proof }))
      deepStrictEqual([again.error, again.description], ["invalid_dpop_proof", "jti was used before"])
    }))

  it.effect("rejects a proof for another method, URL, token or time", () =>
    Effect.gen(function*() {
      const key = yield* DPoP.generate()
      const proofs = Proofs.make()
      const proof = yield* sign(key)
      const refusals = [
        [{ method: "POST" }, "htm is another method"],
        [{ url: "https://api.test/other" }, "htu is another address"],
        [{ token: "token-2" }, "ath is of another token"],
        [{ token: undefined }, "ath is of another token"],
        [{ now: 61_000 }, "iat is too far from the server's time"]
      ] as const
      for (const [change, description] of refusals) {
        const refused = yield* Effect.flip(proofs.verify({ ...request, proof, ...change }))
        deepStrictEqual([refused.error, refused.description], ["invalid_dpop_proof", description])
      }
      yield* TestClock.adjust("61 seconds")
      yield* proofs.verify({ ...request, proof: yield* sign(key), now: 61_000 })
    }))

  it.effect("rejects invalid proofs: another type, another key's signature, a shared secret", () =>
    Effect.gen(function*() {
      const proofs = Proofs.make()
      const claims = { jti: "1", htm: "GET", htu: "https://api.test/orders", iat: 0 }
      const wrong = yield* Effect.promise(async () => {
        const { privateKey, publicKey } = await jose.generateKeyPair("ES256")
        const jwk = await jose.exportJWK(publicKey)
        const other = await jose.exportJWK((await jose.generateKeyPair("ES256")).publicKey)
        return [
          await new jose.SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "JWT", jwk }).sign(privateKey),
          await new jose.SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: other }).sign(
            privateKey
          ),
          await new jose.SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "dpop+jwt" }).sign(privateKey),
          await new jose.SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "dpop+jwt" }).sign(new Uint8Array(32)),
          "garbage"
        ]
      })
      for (const proof of wrong) {
        const refused = yield* Effect.flip(proofs.verify({ ...request, token: undefined, proof }))
        assert.strictEqual(refused.error, "invalid_dpop_proof")
      }
    }))

  it.effect("RFC 9449 §8, §9: each server requires its own nonce, a new one each time", () =>
    Effect.gen(function*() {
      const key = yield* DPoP.generate()
      const proofs = Proofs.make()
      proofs.demandNonce("api", true)
      assert.isUndefined(proofs.nonce("token"))
      const refused = yield* Effect.flip(proofs.verify({ ...request, proof: yield* sign(key) }))
      assert.strictEqual(refused.error, "use_dpop_nonce")
      key.nonces.set("https://api.test", proofs.nonce("api"))
      const taken = yield* proofs.verify({ ...request, proof: yield* sign(key) })
      assert.strictEqual(taken.nonce, proofs.nonce("api"))
      proofs.demandNonce("api", true)
      assert.strictEqual(
        (yield* Effect.flip(proofs.verify({ ...request, proof: yield* sign(key) }))).error,
        "use_dpop_nonce"
      )
      proofs.demandNonce("api", false)
      yield* proofs.verify({ ...request, proof: yield* sign(key) })
    }))
})
