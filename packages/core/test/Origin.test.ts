import { Origin } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { anyString } from "./support/anyString.js"
import { rows } from "./support/Rows.js"

const bases = [
  "https://api.example.com",
  "https://api.example.com/",
  "https://api.example.com/v1",
  "https://api.example.com/v1/"
]
const origin = "https://api.example.com"

/** Text made of what address parsers stumble over. */
const hostile = fc.string({
  unit: fc.constantFrom(
    ...[
      "/",
      "\\",
      "@",
      ":",
      "?",
      "#",
      ".",
      "..",
      "%",
      "%2f",
      "%5c",
      "%40",
      "\t",
      "\n",
      "\r",
      " ",
      "\u0000",
      "[",
      "]",
      "|",
      "^"
    ],
    ...[
      "https:",
      "http://",
      "https://",
      "javascript:",
      "evil.com",
      "api.example.com",
      "user:pass@",
      "x",
      "é",
      "。",
      "／",
      "💥"
    ]
  ),
  maxLength: 8
})
const text = fc.oneof(hostile, anyString({ maxLength: 20 }), fc.webUrl())

describe("Origin", () => {
  describe("join (rule 10)", () => {
    const table: ReadonlyArray<readonly [base: string, url: string, joined: string]> = [
      ["https://api.example.com", "", "https://api.example.com"],
      ["https://api.example.com/", "", "https://api.example.com/"],
      ["https://api.example.com/v1", "", "https://api.example.com/v1"],
      ["https://api.example.com", "orders", "https://api.example.com/orders"],
      ["https://api.example.com", "/orders", "https://api.example.com/orders"],
      ["https://api.example.com/", "orders", "https://api.example.com/orders"],
      ["https://api.example.com/", "/orders", "https://api.example.com/orders"],
      ["https://api.example.com/v1", "orders", "https://api.example.com/v1/orders"],
      ["https://api.example.com/v1", "/orders", "https://api.example.com/v1/orders"],
      ["https://api.example.com/v1/", "/orders", "https://api.example.com/v1/orders"],
      ["https://api.example.com", "?q=1", "https://api.example.com?q=1"],
      ["https://api.example.com/v1", "?q=1", "https://api.example.com/v1?q=1"],
      ["https://api.example.com/v1/", "#f", "https://api.example.com/v1/#f"],
      ["https://api.example.com/v1", "/", "https://api.example.com/v1/"]
    ]
    it("joins a base URL and a path", () =>
      rows(
        table,
        ([base, url, joined]) => `${base} and ${JSON.stringify(url)} make ${joined}`,
        ([base, url, joined]) => {
          assert.strictEqual(Origin.join(base, url), joined)
        }
      ))

    const attacks = [
      "@evil.com/x",
      "//evil.com",
      "///evil.com",
      "/\\evil.com",
      "\\\\evil.com",
      "\\evil.com",
      "https:evil.com",
      "https:/evil.com",
      "ht\ntps://evil.com",
      " https://evil.com",
      "\thttps://evil.com",
      "\u0000https://evil.com",
      ".evil.com",
      ":8443",
      ":pass@evil.com",
      "javascript:alert(1)",
      "?q",
      "#f",
      "",
      "../x",
      "../../..//evil.com",
      "%2f%2fevil.com",
      "..\\..\\evil.com",
      "\t//evil.com",
      "\n@evil.com",
      "／／evil.com"
    ]
    it("no path leaves the origin of the base URL", () =>
      rows(attacks, (attack) => `${JSON.stringify(attack)} does not leave the base's origin`, (attack) => {
        assert.isFalse(Origin.isAbsolute(attack))
        for (const base of bases) assert.strictEqual(new URL(Origin.join(base, attack)).origin, origin)
      }))

    it.prop(
      "no relative text whatever leaves the base's origin",
      [text.filter((text) => !Origin.isAbsolute(text)), fc.constantFrom(...bases)],
      ([text, base]) => {
        assert.strictEqual(new URL(Origin.join(base, text)).origin, origin)
      },
      { fastCheck: { numRuns: 2000 } }
    )

    it.prop(
      "puts exactly one slash between base and path",
      [fc.stringMatching(/^[a-z][a-z/]{0,8}$/), fc.constantFrom(...bases), fc.boolean()],
      ([path, base, isRooted]) => {
        assert.strictEqual(
          Origin.join(base, isRooted ? `/${path}` : path),
          `${base.replace(/\/$/, "")}/${path}`
        )
      }
    )
  })

  describe("isAbsolute", () => {
    const absolute = [
      "https://evil.com",
      "HTTPS://evil.com",
      "http://evil.com",
      "https:\\\\evil.com",
      "https:/\\evil.com",
      "https:\\/evil.com",
      "ftp://evil.com",
      "a+b-c.d://x"
    ]
    it("recognizes URLs with an origin of their own", () =>
      rows(absolute, (url) => `${url} names its own origin`, (url) => {
        assert.isTrue(Origin.isAbsolute(url))
      }))
  })

  describe("startsWith", () => {
    const table: ReadonlyArray<readonly [url: string, startsWith: boolean]> = [
      ["https://api.example.com", true],
      ["https://api.example.com/", true],
      ["https://api.example.com/orders", true],
      ["https://api.example.com?q", true],
      ["https://api.example.com#f", true],
      ["https://api.example.com/@evil.com", true],
      ["https://api.example.com.evil.com", false],
      ["https://api.example.com:8443/", false],
      ["https://api.example.com:443/", false],
      ["https://api.example.com:x@evil.com", false],
      ["https://api.example.com@evil.com", false],
      ["https://api.example.com%2eevil.com", false],
      ["https://api.example.com\t.evil.com", false],
      ["https://api.example.com\n@evil.com", false],
      ["https://api.example.comevil.com", false],
      ["https://API.example.com/", false],
      ["http://api.example.com/", false],
      [" https://api.example.com/", false],
      ["//api.example.com/", false],
      ["", false]
    ]
    it("recognizes URLs that start with the origin and need no parsing", () =>
      rows(
        table,
        ([url, startsWith]) => `${JSON.stringify(url)}: ${startsWith ? "begins with the origin" : "must be parsed"}`,
        ([url, startsWith]) => {
          assert.strictEqual(Origin.startsWith(url, origin), startsWith)
        }
      ))

    it.prop(
      "URLs that it recognizes have the same origin by the URL parser",
      [fc.constantFrom("", "/", "\\", "?", "#", ":", "@", ".", "\t", "%2f"), text],
      ([first, rest]) => {
        const url = origin + first + rest
        if (Origin.startsWith(url, origin) && URL.canParse(url)) assert.strictEqual(new URL(url).origin, origin)
      },
      { fastCheck: { numRuns: 2000 } }
    )

    it.prop("is true for every result of join", [text, fc.constantFrom(...bases)], ([text, base]) => {
      assert.isTrue(Origin.startsWith(Origin.join(base, text), origin))
    })
  })

  describe("isSecure", () => {
    const table: ReadonlyArray<readonly [url: string, isSecure: boolean]> = [
      ["https://anywhere.example", true],
      ["http://localhost:3000", true],
      ["http://api.localhost", true],
      ["http://127.0.0.1", true],
      ["http://127.9.9.9", true],
      ["http://0x7f.1", true],
      ["http://[::1]", true],
      ["http://anywhere.example", false],
      ["http://notlocalhost", false],
      ["http://localhost.example", false],
      ["http://127.0.0.1.example", false],
      ["http://128.0.0.1", false],
      ["http://[::ffff:127.0.0.1]", false],
      ["http://[::]", false],
      ["ws://localhost", false],
      ["ftp://localhost", false]
    ]
    it("recognizes origins to which secrets may be sent", () =>
      rows(
        table,
        ([url, isSecure]) => `${url} is ${isSecure ? "" : "not "}safe to send a secret to`,
        ([url, isSecure]) => {
          assert.strictEqual(Origin.isSecure(new URL(url)), isSecure)
        }
      ))
  })

  describe("parse", () => {
    it("returns a URL for http and https, and nothing for anything else", () => {
      assert.strictEqual(Origin.parse("HTTPS://API.example.com:443/x")?.origin, origin)
      assert.strictEqual(Origin.parse("http://api.example.com")?.origin, "http://api.example.com")
      for (
        const url of [
          "https:evil.com",
          "https:/evil.com",
          "ht\ntps://evil.com",
          " https://a.b",
          "ftp://a.b",
          "javascript:alert(1)",
          "data:,x",
          "/x",
          "",
          "https://",
          "https://a b"
        ]
      ) {
        assert.isUndefined(Origin.parse(url), url)
      }
    })
  })
})
