import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Redaction from "../../src/disclosure/Redaction.js"
import { anyString } from "../support/anyString.js"
import { rows } from "../support/Rows.js"
import { runs } from "../support/Runs.js"

const secret = "s3cret/of+the&client=ä\"<'>?~"

const html = (write: (code: number, character: string) => string) => (text: string) =>
  text.replaceAll(/[^a-z0-9 ]/gi, (character) => write(character.codePointAt(0) ?? 0, character))

/** How servers write a text that they were sent. */
const writings: Readonly<Record<string, (text: string) => string>> = {
  "as it is": (text) => text,
  "form-encoded": (text) => new URLSearchParams([["", text]]).toString().slice(1),
  "percent-encoded": encodeURIComponent,
  "percent-encoded in small letters": (text) =>
    encodeURIComponent(text).replaceAll(/%../g, (byte) => byte.toLowerCase()),
  "percent-encoded, every byte": (text) => Buffer.from(text).toString("hex").replaceAll(/../g, "%$&"),
  "in JSON": (text) => JSON.stringify(text),
  "in JSON with escaped slashes": (text) => JSON.stringify(text).replaceAll("/", "\\/"),
  "in JSON, all escaped": html((code) => `\\u${code.toString(16).padStart(4, "0")}`),
  "in JavaScript": (text) => text.replaceAll(/[^a-z0-9]/gi, (c) => c < "\u0080" ? `\\x${percentHex(c)}` : c),
  "in quotes, escaped by a backslash": (text) => `'${text.replaceAll(/['"\\]/g, "\\$&")}'`,
  "in HTML by names": (text) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
      .replaceAll("'", "&apos;"),
  "in HTML as Go writes it": (text) => text.replaceAll("&", "&amp;").replaceAll("\"", "&#34;").replaceAll("'", "&#39;"),
  "in HTML as Mustache writes it": html((code, c) => c < "\u0080" ? `&#x${code.toString(16).toUpperCase()};` : c),
  "in HTML by numbers": html((code) => `&#${code};`),
  "in hex": (text) => Buffer.from(text).toString("hex"),
  "in hex with colons": (text) => Buffer.from(text).toString("hex").replaceAll(/..(?=.)/g, "$&:"),
  "in base64": (text) => Buffer.from(text).toString("base64"),
  "in base64url": (text) => Buffer.from(text).toString("base64url"),
  "in base64 within more": (text) => Buffer.from(`id:${text}, yes`).toString("base64")
}

const percentHex = (character: string) => character.charCodeAt(0).toString(16).padStart(2, "0")

const chain = fc.array(fc.constantFrom(...Object.keys(writings)), { minLength: 1, maxLength: 3 })

const write = (names: ReadonlyArray<string>, text: string) =>
  names.reduce((written, name) => writings[name]?.(written) ?? assert.fail(), text)

/** Random enough not to be a part of any word. */
const secrets = fc.oneof(
  fc.stringMatching(/^[!-~]{12,60}$/),
  fc.uint8Array({ minLength: 12, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("base64")),
  fc.tuple(fc.stringMatching(/^[A-Za-z0-9]{8,20}$/), anyString({ maxLength: 20 })).map((texts) =>
    texts.join("").replaceAll(/[\s\p{Cc}]/gu, "x")
  )
).filter((text) => (text.match(/[a-z0-9]/gi) ?? []).length >= 8)

describe("Redaction", () => {
  it("redacts a secret in each encoding", () =>
    rows(Object.keys(writings), (name) => `redacts a secret ${name}`, (name) => {
      const clean = Redaction.make([secret])
      assert.strictEqual(clean(`before ${write([name], secret)} after`), "before <redacted> after")
    }))

  it.prop(
    "redacts any secret, in up to three nested encodings",
    [secrets, chain],
    ([secret, names]) => {
      const clean = Redaction.make(["another secret".replace(" ", "-"), secret])
      const written = write(names, secret)
      fc.pre(!/\s/.test(written))
      assert.include(["before <redacted> after", "<redacted>"], clean(`before ${written} after`))
    },
    runs(1_000)
  )

  it.prop(
    "redacts any part of a secret that could identify it",
    [fc.stringMatching(/^[a-zA-Z0-9]{16,40}$/), fc.nat(8), chain],
    ([secret, start, names]) => {
      const written = write(names, secret.slice(start, start + 8))
      assert.include(
        ["starts with <redacted> only", "<redacted>"],
        Redaction.make([secret])(`starts with ${written} only`)
      )
    }
  )

  it("redacts a secret in nested escapes by backslashes", () => {
    const written = write(["in HTML as Mustache writes it", "in JavaScript", "in JSON"], "00!!!0!A!!0000")
    assert.strictEqual(Redaction.make(["00!!!0!A!!0000"])(`before ${written} after`), "before <redacted> after")
  })

  it("redacts a secret in capitals", () => {
    assert.strictEqual(Redaction.make([secret])(`before ${secret.toUpperCase()} after`), "before <redacted> after")
  })

  it("redacts a secret within base64, at any offset", () =>
    rows([0, 1, 2], (offset) => `redacts a secret within base64, ${offset} bytes into it`, (offset) => {
      const text = Buffer.from("x".repeat(offset) + secret + "yz").toString("base64")
      assert.strictEqual(Redaction.make([secret])(`before ${text} after`), "before <redacted> after")
    }))

  it("leaves out a text in which a secret spans several words", () =>
    rows(
      [
        ["p4ss w0rd of mine", "it is p4ss w0rd of mine, sir", "<redacted>"],
        ["a1b2c3d4e5f6", "61 31 62 32 63 33 64 34 65 35 66 36", "<redacted>"],
        ["a1b2c3d4e5f6", "a1b2c3 d4e5f6", "<redacted>"]
      ] as const,
      ([secret]) => secret,
      ([secret, text, clean]) => {
        assert.strictEqual(Redaction.make([secret])(text), clean)
      }
    ))

  it("leaves out a text that cannot be shown to be clean", () =>
    rows(
      [
        ["that is too long for one word", secret, "word".repeat(10_000)],
        [
          "that is escaped too often",
          secret,
          Array.from({ length: 20 }).reduce(
            (text: string) => text.replaceAll("%", "&#37;").replaceAll("&", "%26"),
            "%3C"
          )
        ],
        ["beside a secret of nothing but quotes", "'\"'", "word"]
      ] as const,
      ([what]) => what,
      ([, secret, text]) => {
        assert.strictEqual(Redaction.make([secret])(text), "<redacted>")
      }
    ))

  it("reads only the beginning of a long text", () => {
    const clean = Redaction.make([secret])
    assert.match(clean("word ".repeat(10_000) + secret), /^(word ){1600,1700}<redacted>$/)
  })

  it("redacts a secret in the names of headers too", () => {
    const headers = Redaction.headers({ "x-s3cret": "1" } as never, Redaction.make(["s3cret"]))
    assert.notProperty(headers, "x-s3cret")
  })

  it("leaves a text without secrets unchanged, whatever its encoding", () =>
    rows(
      ["a b", "100 %, &c. \\o/ eyJhbGciOiJIUzI1NiJ9 c3RhdHVz &lt;h1&gt; äöü 💥", "x".repeat(300)],
      (text) => text,
      (text) => {
        assert.strictEqual(Redaction.make([secret, "Basic bXktaWQ6czNjcmV0LW9m", ""])(text), text)
      }
    ))
})
