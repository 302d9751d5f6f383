import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "../../src/disclosure/Redaction.js"
import { rows } from "../support/Rows.js"

const secret = "s3cret/of+the&client=ä\"<'>?~"

describe("Redaction", () => {
  const forms: Record<string, string> = {
    "as it is": secret,
    "form-encoded": new URLSearchParams([["", secret]]).toString().slice(1),
    "percent-encoded": encodeURIComponent(secret),
    "percent-encoded in small letters": encodeURIComponent(secret).toLowerCase(),
    "in a form that is a part of an address": encodeURIComponent(
      new URLSearchParams([["", secret]]).toString().slice(1)
    ),
    "percent-encoded twice": encodeURIComponent(encodeURIComponent(secret)),
    "in JSON": JSON.stringify(secret),
    "in JSON within JSON": JSON.stringify(JSON.stringify(secret)),
    "in JSON with escaped slashes": JSON.stringify(secret).replaceAll("/", "\\/"),
    "in HTML": "s3cret/of+the&amp;client=ä&quot;&lt;&#39;&gt;?~",
    "in hex": Buffer.from(secret).toString("hex"),
    "in base64": Buffer.from(secret).toString("base64"),
    "in base64url": Buffer.from(secret).toString("base64url"),
    "in capitals": secret.toUpperCase()
  }

  it("takes out a secret in each of its forms", () =>
    rows(Object.entries(forms), ([what]) => `takes out a secret ${what}`, ([, form]) => {
      const clean = Redaction.make([secret])
      assert.match(clean(`before ${form} after`), /^before "?(\\")?<redacted>=*(\\")?"? after$/)
    }))

  it("takes out a secret within base64, wherever it is", () =>
    rows([0, 1, 2], (offset) => `takes out a secret within base64, ${offset} bytes into it`, (offset) => {
      const clean = Redaction.make([secret])
      const text = Buffer.from("x".repeat(offset) + secret + "yz").toString("base64")
      assert.match(clean(text), /^\w{0,3}<redacted>\w{0,4}=*$/)
    }))

  it("takes out a secret of any length, to the end of the word", () => {
    const long = "t0ken".repeat(100_000)
    assert.strictEqual(Redaction.make([long])(`before ${long} after`), "before <redacted> after")
  })

  it("takes a secret out of the names of headers, too", () => {
    const headers = Redaction.headers({ "x-s3cret": "1" } as never, Redaction.make(["s3cret"]))
    assert.notProperty(headers, "x-s3cret")
  })

  it("leaves a text as it is where there is no secret", () => {
    assert.strictEqual(Redaction.make([""])("a b"), "a b")
  })
})
