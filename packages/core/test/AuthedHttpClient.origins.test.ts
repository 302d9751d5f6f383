import type { AuthedHttpClient } from "@effect-alf/core"
import { OAuthError } from "@effect-alf/core"
import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, FastCheck as fc } from "effect"
import { anyString } from "./support/anyString.js"
import * as Resource from "./support/Resource.js"
import { rowsEffect } from "./support/Rows.js"
import { runs } from "./support/Runs.js"

/** Sends a request to each address and says where it went, or why it did not. */
const send = (options: AuthedHttpClient.Options, urls: ReadonlyArray<string | URL>) =>
  Effect.gen(function*() {
    const { client, sent, tokens } = yield* Resource.over(Resource.make(), options)
    const results: Record<string, string> = {}
    for (const url of urls) {
      const before = sent.length
      const result = yield* Effect.either(client.get(url))
      if (result._tag === "Right") {
        results[String(url)] = sent[before].url.href
        assert.strictEqual(sent[before].authorization, "Bearer token-1")
      } else {
        assert(result.left._tag === "OriginNotAllowed")
        results[String(url)] = `refused: ${result.left.origin}`
        assert.strictEqual(sent.length, before, "an error means that nothing was sent")
      }
    }
    return { results, sent, tokenRequests: (yield* tokens.requests).length }
  })

/** Each row is an address and where it goes. */
const table = (title: string, options: AuthedHttpClient.Options, rows: Record<string, string>) =>
  it.scoped(`rule 10: ${title}`, () =>
    Effect.gen(function*() {
      const urls = Object.keys(rows)
      deepStrictEqual((yield* send(options, urls)).results, rows)
      // Where nothing is sent, no token is asked for either
      const refused = yield* send(options, urls.filter((url) => rows[url].startsWith("refused")))
      deepStrictEqual([refused.sent.length, refused.tokenRequests], [0, 0])
    }))

const withoutOrigin = "refused: an address without an origin"

describe("AuthedHttpClient, where a token goes", () => {
  describe("baseUrl", () => {
    table("a relative address is joined with one slash", { baseUrl: "https://api.test" }, {
      "": "https://api.test/",
      "/": "https://api.test/",
      orders: "https://api.test/orders",
      "/orders": "https://api.test/orders",
      "?a=1": "https://api.test/?a=1",
      "#part": "https://api.test/#part",
      "/orders?a=1#part": "https://api.test/orders?a=1#part",
      "./orders": "https://api.test/orders",
      "../orders": "https://api.test/orders",
      "orders:batch": "https://api.test/orders:batch"
    })

    for (const baseUrl of ["https://api.test/v1", "https://api.test/v1/"]) {
      const slash = baseUrl.endsWith("/") ? "/" : ""
      table(`a relative address is joined to ${baseUrl}`, { baseUrl }, {
        "": baseUrl,
        "/": "https://api.test/v1/",
        orders: "https://api.test/v1/orders",
        "/orders": "https://api.test/v1/orders",
        "?a=1": `https://api.test/v1${slash}?a=1`,
        "#part": `https://api.test/v1${slash}#part`,
        "https://api.test/elsewhere": "https://api.test/elsewhere"
      })
    }

    table("the base's own spelling does not matter", { baseUrl: "HTTPS://API.Test:443/v1" }, {
      orders: "https://api.test/v1/orders",
      "https://api.test/orders": "https://api.test/orders"
    })

    table("a base as it may be on loopback", { baseUrl: "http://localhost:3000" }, {
      orders: "http://localhost:3000/orders",
      "http://localhost:3000/orders": "http://localhost:3000/orders",
      "http://localhost:3001/orders": "refused: http://localhost:3001",
      "https://localhost:3000/orders": "refused: https://localhost:3000",
      "http://127.0.0.1:3000/orders": "refused: http://127.0.0.1:3000",
      ":80/orders": "http://localhost:3000/:80/orders",
      "@evil.com/x": "http://localhost:3000/@evil.com/x"
    })

    table("what looks like a way out stays a path", { baseUrl: "https://api.test" }, {
      "@evil.com/x": "https://api.test/@evil.com/x",
      ".evil.com": "https://api.test/.evil.com",
      ":443@evil.com": "https://api.test/:443@evil.com",
      ":8443/x": "https://api.test/:8443/x",
      "//evil.com": "https://api.test//evil.com",
      "///evil.com": "https://api.test///evil.com",
      "/\\evil.com": "https://api.test//evil.com",
      "\\\\evil.com": "https://api.test///evil.com",
      "\\/evil.com": "https://api.test///evil.com",
      "/\t/evil.com": "https://api.test//evil.com",
      "/\n/evil.com": "https://api.test//evil.com",
      "\t//evil.com": "https://api.test///evil.com",
      " //evil.com": "https://api.test/%20//evil.com",
      " https://evil.com": "https://api.test/%20https://evil.com",
      "\u0000https://evil.com": "https://api.test/%00https://evil.com",
      "ht\ntps://evil.com": "https://api.test/https://evil.com",
      "https:evil.com": "https://api.test/https:evil.com",
      "https:/evil.com": "https://api.test/https:/evil.com",
      "https:\\evil.com": "https://api.test/https:/evil.com",
      "javascript:alert(1)": "https://api.test/javascript:alert(1)",
      "data:text/plain,x": "https://api.test/data:text/plain,x",
      "blob:https://api.test/1": "https://api.test/blob:https://api.test/1"
    })

    table("the same below a path", { baseUrl: "https://api.test/v1" }, {
      "@evil.com/x": "https://api.test/v1/@evil.com/x",
      "//evil.com": "https://api.test/v1//evil.com",
      "/\\evil.com": "https://api.test/v1//evil.com",
      "../../../@evil.com": "https://api.test/@evil.com"
    })
  })

  const absolute = {
    "https://api.test": "https://api.test/",
    "https://api.test/x": "https://api.test/x",
    "https://api.test?x": "https://api.test/?x",
    "https://api.test#x": "https://api.test/#x",
    "https://api.test\\x": "https://api.test/x",
    "https://api.test\\@evil.com": "https://api.test/@evil.com",
    "https://api.test/@evil.com": "https://api.test/@evil.com",
    "https://api.test//evil.com": "https://api.test//evil.com",
    "HTTPS://API.TEST/x": "https://api.test/x",
    "https:\\\\api.test\\x": "https://api.test/x",
    "https:///api.test/x": "https://api.test/x",
    "https://api.test:443/x": "https://api.test/x",
    "https://api.test:/x": "https://api.test/x",
    "https://%61pi.test/x": "https://api.test/x",
    "https://user:pass@api.test/x": "https://user:pass@api.test/x",
    "https://evil.com/x": "refused: https://evil.com",
    "https://evil.com#https://api.test": "refused: https://evil.com",
    "https://evil.com\\@api.test": "refused: https://evil.com",
    "https://api.test@evil.com/x": "refused: https://evil.com",
    "https://api.test:443@evil.com/x": "refused: https://evil.com",
    "https://api.test%2f@evil.com/x": "refused: https://evil.com",
    "https://api.test.evil.com/x": "refused: https://api.test.evil.com",
    "https://api.test./x": "refused: https://api.test.",
    "https://api.testevil.com/x": "refused: https://api.testevil.com",
    "https://api.test-evil.com/x": "refused: https://api.test-evil.com",
    "https://api.test\t.evil.com/x": "refused: https://api.test.evil.com",
    "https://api.test\n@evil.com/x": "refused: https://evil.com",
    "https://sub.api.test/x": "refused: https://sub.api.test",
    "https://api.test:8443/x": "refused: https://api.test:8443",
    "https://api.test:80/x": "refused: https://api.test:80",
    "http://api.test/x": "refused: http://api.test",
    "http://api.test:443/x": "refused: http://api.test:443",
    "http://user@api.test/x": "refused: http://api.test",
    "ftp://api.test/x": withoutOrigin,
    "file:///etc/passwd": withoutOrigin,
    "https://": withoutOrigin,
    "https://api.test:99999/x": withoutOrigin,
    "https://api test/x": withoutOrigin
  }

  describe("an absolute URL", () => {
    table("beside a baseUrl", { baseUrl: "https://api.test/v1" }, absolute)
    table("with origins alone", { origins: ["https://api.test"] }, absolute)
    table(
      "with origins given as URLs, in capitals and with ports",
      { origins: [new URL("HTTPS://API.TEST:443/")] },
      absolute
    )
  })

  describe("origins", () => {
    table("every listed origin is allowed, the base's too", {
      baseUrl: "https://a.test/v1",
      origins: ["https://b.test", "https://c.test:8443/"]
    }, {
      x: "https://a.test/v1/x",
      "https://a.test/x": "https://a.test/x",
      "https://b.test/x": "https://b.test/x",
      "https://c.test:8443/x": "https://c.test:8443/x",
      "https://c.test/x": "refused: https://c.test",
      "https://d.test/x": "refused: https://d.test"
    })

    // A browser would read the last of these relative to the page
    table("without a baseUrl a relative address has no origin", { origins: ["https://api.test"] }, {
      "": withoutOrigin,
      "/x": withoutOrigin,
      x: withoutOrigin,
      "?x": withoutOrigin,
      "//api.test/x": withoutOrigin,
      "/\\api.test/x": withoutOrigin,
      " https://api.test/x": withoutOrigin,
      "ht\ntps://api.test/x": withoutOrigin,
      "https:/\n/api.test/x": withoutOrigin,
      "https:api.test/x": withoutOrigin,
      "https:/api.test/x": withoutOrigin,
      "https:\\api.test/x": withoutOrigin
    })

    table("any allows every origin that is on https or loopback", { origins: "any" }, {
      "https://a.test/x": "https://a.test/x",
      "https://b.test:8443/x": "https://b.test:8443/x",
      "http://localhost:3000/x": "http://localhost:3000/x",
      "http://127.0.0.1/x": "http://127.0.0.1/x",
      "http://127.1/x": "http://127.0.0.1/x",
      "http://[::1]:3000/x": "http://[::1]:3000/x",
      "http://a.test/x": "refused: http://a.test",
      "http://localhost.evil.com/x": "refused: http://localhost.evil.com",
      "http://127.0.0.1.evil.com/x": "refused: http://127.0.0.1.evil.com",
      "http://localhost@evil.com/x": "refused: http://evil.com",
      "http://128.0.0.1/x": "refused: http://128.0.0.1",
      "http://0.0.0.0/x": "refused: http://0.0.0.0",
      "http://[::ffff:10.0.0.1]/x": "refused: http://[::ffff:a00:1]",
      "/x": withoutOrigin,
      "ws://a.test/x": withoutOrigin
    })

    table("any beside a baseUrl", { baseUrl: "https://api.test", origins: "any" }, {
      x: "https://api.test/x",
      "https://b.test/x": "https://b.test/x",
      "http://b.test/x": "refused: http://b.test"
    })

    table("allowInsecure allows plain http to where tokens may go, and nothing else", {
      baseUrl: "http://api.test",
      allowInsecure: true
    }, {
      x: "http://api.test/x",
      "http://api.test/x": "http://api.test/x",
      "http://evil.com/x": "refused: http://evil.com"
    })

    table("allowInsecure with any", { origins: "any", allowInsecure: true }, {
      "http://a.test/x": "http://a.test/x",
      "ftp://a.test/x": withoutOrigin
    })
  })

  it.scoped("rule 10: in a browser no URL is resolved against the page", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(Resource.make(), { origins: ["https://api.test"] })
      yield* client.get("https://api.test/warm")
      const urls = ["https:api.test/x", "https:/api.test/x", "https:\\api.test/x", "/x", "//api.test/x", "x", ""]
      // Without a pause in between: other tests share this global
      const exits = yield* Effect.acquireUseRelease(
        Effect.sync(() => Object.assign(globalThis, { location: { origin: "https://app.test", pathname: "/page" } })),
        () => Effect.sync(() => urls.map((url) => Effect.runSyncExit(client.get(url)))),
        () => Effect.sync(() => Reflect.deleteProperty(globalThis, "location"))
      )
      deepStrictEqual(exits.map(({ _tag }) => _tag), urls.map(() => "Failure"))
      deepStrictEqual(sent.map(({ url }) => url.href), ["https://api.test/warm"])
    }))

  describe("properties", () => {
    const evil = fc.oneof(
      anyString({ maxLength: 30 }),
      fc.string({ unit: fc.constantFrom(..."/\\@:.?#%[]\t\n \u0000evilapi.comhttps"), maxLength: 30 }),
      fc.tuple(
        fc.constantFrom(
          "",
          "/",
          "//",
          "\\",
          "/\\",
          "@",
          ":",
          "https:",
          "https://",
          "//api.test@",
          "https://api.test",
          ".."
        ),
        fc.webUrl(),
        fc.constantFrom("", "@api.test", "#https://api.test", "\\@api.test")
      ).map((parts) => parts.join(""))
    )
    const bases = ["https://api.test", "https://api.test/", "https://api.test/v1", "https://api.test/v1/"]

    it.scoped("rule 10: for any URL, a request with a token goes to an allowed origin", () =>
      Effect.gen(function*() {
        for (const options of [...bases.map((baseUrl) => ({ baseUrl })), { origins: ["https://api.test"] }]) {
          const { client, sent } = yield* Resource.over(Resource.make(), options)
          yield* client.get("https://api.test")
          fc.assert(
            fc.property(evil, (url) => {
              Effect.runSyncExit(client.execute(HttpClientRequest.setUrl(HttpClientRequest.get(""), url)))
              for (const one of sent.splice(0)) {
                assert.strictEqual(one.url.origin, "https://api.test")
                assert.strictEqual(one.token, "token-1")
              }
            }),
            runs(500).fastCheck
          )
        }
      }))

    it.scoped("rule 10: a path is joined as it was written, with exactly one slash", () =>
      Effect.gen(function*() {
        for (const base of bases) {
          const { client, sent } = yield* Resource.over(Resource.make(), { baseUrl: base })
          yield* client.get("")
          const trimmed = base.replace(/\/$/, "")
          fc.assert(
            fc.property(fc.webPath(), fc.webQueryParameters(), (path, query) => {
              sent.length = 0
              Effect.runSync(client.get(`${path}?${query}`))
              const expected = path === "" && !base.endsWith("v1/") ? trimmed : `${trimmed}/${path.replace(/^\//, "")}`
              assert.strictEqual(sent[0].url.href, new URL(`${expected}?${query}`).href)
            }),
            runs(100).fastCheck
          )
        }
      }))
  })

  describe("the parts of a request", () => {
    it.scoped("urlParams and hash are kept by a joined URL", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(), { baseUrl: "https://api.test/v1" })
        yield* client.get("/orders?a=1", { urlParams: { b: "2", c: ["3", "4"] }, hash: "part" })
        assert.strictEqual(sent[0].url.href, "https://api.test/v1/orders?a=1&b=2&c=3&c=4#part")
      }))

    it.scoped("urlParams and hash are kept by an absolute URL, given as text or as a URL", () =>
      Effect.gen(function*() {
        const url = "https://api.test/orders?a=1&a=2#part"
        for (const given of [url, new URL(url)]) {
          deepStrictEqual((yield* send({ baseUrl: "https://api.test" }, [given])).results, { [url]: url })
        }
      }))

    it.scoped("urlParams that look like a URL change nothing", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(), { baseUrl: "https://api.test" })
        yield* client.get("", { urlParams: { "@evil.com": "//evil.com" }, hash: "@evil.com" })
        assert.strictEqual(sent[0].url.origin, "https://api.test")
      }))

    it.scoped("the error names the refused origin and the allowed ones, and no other part of the URL", () =>
      Effect.gen(function*() {
        const messageOf = (options: AuthedHttpClient.Options, url: string) =>
          Effect.gen(function*() {
            const { client } = yield* Resource.over(Resource.make(), options)
            const error = yield* Effect.flip(client.get(url))
            assert.isTrue(OAuthError.isOAuthError(error))
            return error.message
          })
        const url = "http://user:password@evil.com/path?key=value"
        assert.strictEqual(
          yield* messageOf({ baseUrl: "https://a.test", origins: ["https://b.test"] }, url),
          "A token was not sent to http://evil.com: allowed are https://a.test, https://b.test"
        )
        assert.strictEqual(
          yield* messageOf({ origins: "any" }, url),
          "A token was not sent to http://evil.com: allowed are any https origin"
        )
        assert.strictEqual(
          yield* messageOf({ baseUrl: "https://a.test", origins: "any" }, url),
          "A token was not sent to http://evil.com: allowed are any https origin"
        )
      }))
  })

  describe("options", () => {
    const bad: Record<string, readonly [options: unknown, message: RegExp]> = {
      "neither baseUrl nor origins": [{}, /^AuthedHttpClient\.origins is missing: say where tokens may go/],
      "no origins in the list": [{ origins: [] }, /^AuthedHttpClient\.origins is missing/],
      "an empty baseUrl": [{ baseUrl: "" }, /^AuthedHttpClient\.baseUrl is empty/],
      "a blank baseUrl": [{ baseUrl: "  " }, /^AuthedHttpClient\.baseUrl is empty/],
      "a baseUrl that is null": [{ baseUrl: null }, /^AuthedHttpClient\.baseUrl is missing/],
      "a baseUrl that is no text": [{ baseUrl: 5 }, /^AuthedHttpClient\.baseUrl /],
      "a relative baseUrl": [{ baseUrl: "/v1" }, /^AuthedHttpClient\.baseUrl is not an absolute URL/],
      "a baseUrl without a scheme": [{ baseUrl: "api.test" }, /^AuthedHttpClient\.baseUrl is not an absolute URL/],
      "a baseUrl with a query": [
        { baseUrl: "https://api.test/?a=1" },
        /^AuthedHttpClient\.baseUrl must not have a query/
      ],
      "a baseUrl with a fragment": [
        { baseUrl: "https://api.test/#a" },
        /^AuthedHttpClient\.baseUrl must not have a fragment/
      ],
      "a baseUrl with credentials": [
        { baseUrl: "https://user:password@api.test" },
        /^AuthedHttpClient\.baseUrl must not hold credentials$/
      ],
      "a baseUrl of another scheme": [
        { baseUrl: "ftp://api.test" },
        /^AuthedHttpClient\.baseUrl must be an https URL, not ftp:/
      ],
      "a baseUrl on http": [
        { baseUrl: "http://api.test" },
        /^AuthedHttpClient\.baseUrl is http to api\.test: use https/
      ],
      "a baseUrl that begins as loopback does": [
        { baseUrl: "http://127.0.0.1.evil.com" },
        /^AuthedHttpClient\.baseUrl is http to 127\.0\.0\.1\.evil\.com/
      ],
      "an origin on http": [{ origins: ["http://api.test"] }, /^AuthedHttpClient\.origins is http to api\.test/],
      "an origin with a path": [
        { origins: ["https://api.test/v1"] },
        /^AuthedHttpClient\.origins takes origins, without a path: https:\/\/api\.test$/
      ],
      "an origin with a query": [
        { origins: ["https://api.test?a=1"] },
        /^AuthedHttpClient\.origins takes origins, without a path/
      ],
      "an origin that is none": [{ origins: ["api.test"] }, /^AuthedHttpClient\.origins is not an absolute URL/],
      "an empty origin": [{ origins: [""] }, /^AuthedHttpClient\.origins is empty/],
      "one bad origin among good ones": [
        { origins: ["https://a.test", "http://b.test"] },
        /^AuthedHttpClient\.origins is http to b\.test/
      ],
      "a bad baseUrl beside any": [{ baseUrl: "http://a.test", origins: "any" }, /^AuthedHttpClient\.baseUrl is http/],
      "origins as a text": [
        { baseUrl: "https://a.test", origins: "https://b.test" },
        /^AuthedHttpClient\.origins must be a list of origins or "any"/
      ]
    }
    it.scoped("invalid options are reported when the layer is built", () =>
      rowsEffect(Object.entries(bad), ([what]) => what, ([, [options, message]]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(Resource.over(Resource.make(), options as AuthedHttpClient.Options))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.match(error.message, message)
          assert.notInclude(error.message, "password")
        })))

    const good: Record<string, AuthedHttpClient.Options> = {
      "a URL as baseUrl": { baseUrl: new URL("https://api.test/v1") },
      "a baseUrl with a bare question mark": { baseUrl: "https://api.test/?" },
      "http to another machine with allowInsecure": { baseUrl: "http://api.test", allowInsecure: true },
      "http to loopback": { baseUrl: "http://127.0.0.1:3000", origins: ["http://[::1]:3000", "http://app.localhost"] },
      "undefined where nothing is meant": { baseUrl: "https://api.test", origins: undefined, request: undefined }
    }
    it.scoped("valid options are accepted", () =>
      rowsEffect(Object.entries(good), ([what]) => what, ([, options]) => Resource.over(Resource.make(), options)))
  })
})
