import * as AccessToken from "@effect-alf/core/AccessToken"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Redacted } from "effect"
import * as Style from "../src/Style.js"
import * as TokenReport from "../src/TokenReport.js"

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
const obtainedAt = DateTime.unsafeMake("2026-11-26T12:00:00Z")
const now = DateTime.unsafeMake("2026-11-26T12:10:00Z")

const jwt = [
  part({ alg: "ES256" }),
  part({ sub: "shop", exp: 1_795_698_000, note: "a\u001b[2Jb", cnf: { jkt: "thumb" } }),
  "the-signature"
].join(".")

const make = (value: string, expiresIn?: number) =>
  AccessToken.make({
    value: Redacted.make(value),
    obtainedAt,
    scope: "orders:read",
    expiresIn: expiresIn === undefined ? undefined : `${expiresIn} seconds`
  })

const plain = Style.make(false)

describe("TokenReport", () => {
  it("shows a JWT without its value and its signature", () => {
    deepStrictEqual(TokenReport.toText(make(jwt, 3600), now, plain).split("\n"), [
      `token     <redacted> ${jwt.length} characters; --reveal shows it`,
      "type      Bearer",
      "scope     orders:read",
      "expires   in 50m, 2026-11-26 13:00:00 UTC",
      "bound to  thumb",
      "kind      a JWT",
      "",
      "Read from the token; nothing of it is verified:",
      "  alg  ES256",
      "  sub   shop",
      "  exp   1795698000 (2026-11-26 13:00:00 UTC)",
      "  note  a?[2Jb",
      "  cnf   {\"jkt\":\"thumb\"}"
    ])
  })

  it("contains no control characters that a server sent", () => {
    const escape = "\u001b[2J\u009b2J"
    const hostile = [
      part({ alg: "ES256", [`k${escape}`]: 1 }),
      part({ [`n${escape}`]: "a", list: [escape], cnf: { jkt: `thumb${escape}` } }),
      "the-signature"
    ].join(".")
    const token = AccessToken.make({ value: Redacted.make(hostile), obtainedAt, scope: `orders${escape}` })
    // eslint-disable-next-line no-control-regex
    assert.notMatch(TokenReport.toText(token, now, plain), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
  })

  it("reports an opaque token, and an expiry that is past or unknown", () => {
    const opaque = TokenReport.toText(make("opaque-token"), now, plain)
    assert.include(opaque, "not known: the server does not say")
    assert.include(opaque, "opaque: only the server can read it")
    assert.notInclude(opaque, "opaque-token")
    assert.include(TokenReport.toText(make(jwt, 300), now, plain), "expires   5m ago, 2026-11-26 12:05:00 UTC")
  })

  it("contains the same as JSON, with the token only if it is to be revealed", () => {
    const token = make(jwt, 3600)
    const shown = TokenReport.toJson(token, now, { reveal: false })
    deepStrictEqual({ ...shown, jwt: undefined }, {
      token: "<redacted>",
      type: "Bearer",
      scope: "orders:read",
      obtainedAt: "2026-11-26T12:00:00.000Z",
      expiresAt: "2026-11-26T13:00:00.000Z",
      expiresInSeconds: 3000,
      thumbprint: "thumb",
      jwt: undefined
    })
    assert.notInclude(JSON.stringify(shown), "the-signature")
    assert.strictEqual(TokenReport.toJson(token, now, { reveal: true }).token, jwt)
  })
})
