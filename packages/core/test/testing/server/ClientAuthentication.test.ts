import type { TestExchange } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Encoding, Redacted } from "effect"
import * as jose from "jose"
import * as ClientAuthentication from "../../../src/testing/server/ClientAuthentication.js"

const secret = Redacted.make("s".repeat(32))

const basic = (pair: string) => `Basic ${Encoding.encodeBase64(pair)}`

const assertion = (
  claims: jose.JWTPayload = {},
  key: CryptoKey | Uint8Array = new TextEncoder().encode("s".repeat(32)),
  alg = "HS256"
) =>
  Effect.promise(() =>
    new jose.SignJWT({ iss: "app", sub: "app", aud: "https://auth.test", exp: 60, jti: "1", ...claims })
      .setProtectedHeader({ alg })
      .sign(key)
  )

const make = (known: Partial<ClientAuthentication.Known> = {}) => {
  const verify = ClientAuthentication.make({
    clientId: "app",
    methods: ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"],
    clientKey: undefined,
    audiences: ["https://auth.test", "https://auth.test/token"],
    ...known
  })
  return (method: TestExchange.ClientAuthMethod, proof: string | undefined, clientId = "app") =>
    verify({ method, clientId, proof }, secret, 0)
}

describe("ClientAuthentication", () => {
  it.effect("reads the credentials of each authentication method", () =>
    Effect.gen(function*() {
      deepStrictEqual(ClientAuthentication.read(basic("a%3Ab+c:s%26"), []), {
        method: "client_secret_basic",
        clientId: "a:b c",
        proof: "s&"
      })
      const post = [["client_id", "app"], ["client_secret", "s"]] as const
      deepStrictEqual(ClientAuthentication.read(undefined, post), {
        method: "client_secret_post",
        clientId: "app",
        proof: "s"
      })
      deepStrictEqual(ClientAuthentication.read(undefined, [["client_id", "app"]]), {
        method: "none",
        clientId: "app",
        proof: undefined
      })
      assert.strictEqual(ClientAuthentication.read(basic("a:b"), post), "several")
      assert.propertyVal(
        ClientAuthentication.read(basic("a:b"), [["client_secret", ""]]),
        "method",
        "client_secret_basic"
      )
      assert.isUndefined(ClientAuthentication.read("Basic %%", []))
      assert.isUndefined(ClientAuthentication.read(undefined, []))
      const jwt = yield* assertion()
      const type = ["client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] as const
      deepStrictEqual(ClientAuthentication.read(undefined, [["client_assertion", jwt], type]), {
        method: "client_secret_jwt",
        clientId: "app",
        proof: jwt
      })
      assert.propertyVal(
        ClientAuthentication.read(undefined, [["client_assertion", "garbage"], type, ["client_id", "app"]]),
        "method",
        "private_key_jwt"
      )
      assert.isUndefined(ClientAuthentication.read(undefined, [["client_assertion", jwt], ["client_id", "app"]]))
      assert.isUndefined(
        ClientAuthentication.read(undefined, [["client_assertion", jwt], ["client_assertion_type", "saml2-bearer"]])
      )
    }))

  it.effect("authenticates the client by its secret, and by allowed methods only", () =>
    Effect.gen(function*() {
      const verify = make({ methods: ["client_secret_basic", "none"] })
      assert.isTrue(yield* verify("client_secret_basic", Redacted.value(secret)))
      assert.isFalse(yield* verify("client_secret_basic", "wrong"))
      assert.isFalse(yield* verify("client_secret_basic", Redacted.value(secret), "other"))
      assert.isFalse(yield* verify("client_secret_post", Redacted.value(secret)))
      assert.isTrue(yield* verify("none", undefined))
    }))

  it.effect("RFC 7523 §3: an assertion must be signed, for this server and not expired, and is accepted once", () =>
    Effect.gen(function*() {
      const verify = make()
      const right = yield* assertion()
      assert.isTrue(yield* verify("client_secret_jwt", right))
      assert.isFalse(yield* verify("client_secret_jwt", right))
      assert.isTrue(yield* verify("client_secret_jwt", yield* assertion({ jti: "2", aud: "https://auth.test/token" })))
      const wrong = yield* Effect.all([
        assertion({ jti: "3", aud: "https://other.test" }),
        assertion({ jti: "4", iss: "other" }),
        assertion({ jti: "5", exp: -1 }),
        assertion({ jti: "6" }, new TextEncoder().encode("w".repeat(32))),
        Effect.succeed("garbage")
      ])
      for (const jwt of wrong) assert.isFalse(yield* verify("client_secret_jwt", jwt))
    }))

  it.effect("a signature is verified with the client's public key", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.promise(() =>
        Promise.all([jose.generateKeyPair("ES256"), jose.generateKeyPair("ES256")])
      )
      const verify = make({ clientKey: yield* Effect.promise(() => jose.exportJWK(one.publicKey)) })
      assert.isTrue(yield* verify("private_key_jwt", yield* assertion({}, one.privateKey, "ES256")))
      assert.isFalse(yield* verify("private_key_jwt", yield* assertion({ jti: "2" }, other.privateKey, "ES256")))
      assert.isFalse(yield* make()("private_key_jwt", yield* assertion({ jti: "3" }, one.privateKey, "ES256")))
    }))
})
