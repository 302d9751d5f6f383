import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Option, Redacted } from "effect"
import * as JwtClaims from "../src/JwtClaims.js"

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

const decode = (...parts: ReadonlyArray<string>) => JwtClaims.decode(Redacted.make(parts.join(".")))

describe("JwtClaims", () => {
  it("reads the header and the claims, and ignores the signature", () => {
    const jwt = decode(part({ alg: "ES256" }), part({ sub: "shöp" }), "signature")
    deepStrictEqual(jwt, Option.some({ header: { alg: "ES256" }, claims: { sub: "shöp" } }))
  })

  it("returns none for a text that is not a JWT", () => {
    for (
      const parts of [
        ["opaque"],
        ["a", "b"],
        [part({}), part({})],
        [part({}), part([1]), "s"],
        [part({}), "!!", "s"],
        [part({}), part("text"), "s"],
        ["a", "b", "c", "d", "e"]
      ]
    ) {
      assert.isTrue(Option.isNone(decode(...parts)), parts.join("."))
    }
  })

  it("reads dates and thumbprints", () => {
    const jwt = { header: {}, claims: { iat: 1_000, exp: "soon", nbf: 1e300, cnf: { "x5t#S256": "abc" } } }
    deepStrictEqual(JwtClaims.date(jwt, "iat"), Option.some(DateTime.unsafeMake(1_000_000)))
    deepStrictEqual(JwtClaims.date(jwt, "exp"), Option.none())
    deepStrictEqual(JwtClaims.date(jwt, "nbf"), Option.none())
    deepStrictEqual(JwtClaims.thumbprint(jwt), Option.some("abc"))
    deepStrictEqual(JwtClaims.thumbprint({ header: {}, claims: { cnf: { jkt: "def" } } }), Option.some("def"))
    deepStrictEqual(JwtClaims.thumbprint({ header: {}, claims: { cnf: "no" } }), Option.none())
  })
})
