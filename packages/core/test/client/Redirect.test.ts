import { Headers, HttpBody, HttpClientRequest, HttpClientResponse, type HttpMethod } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, FastCheck as fc, Option, Stream } from "effect"
import * as Redirect from "../../src/client/Redirect.js"
import { rowsEffect } from "../support/Rows.js"

interface Hop {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly origin: string | undefined
}

const headersOf = ({ request }: Hop): Record<string, string> => ({ ...request.headers })

/** An answer that redirects. */
const to = (location: string | undefined, status = 302) =>
  new Response(null, { status, headers: location === undefined ? {} : { location } })

/** Follows what the answers say, in turn; the last one is repeated. */
const follow = (
  request: HttpClientRequest.HttpClientRequest,
  answers: ReadonlyArray<() => Response>,
  { max = 10, named = ["https://api.test", "https://b.test"], origin, replayable = false, secretHeaders = [] }: {
    readonly named?: ReadonlyArray<string> | undefined
    readonly origin?: string | undefined
    readonly max?: number | undefined
    readonly replayable?: boolean | undefined
    readonly secretHeaders?: ReadonlyArray<string | RegExp> | undefined
  } = { origin: "https://api.test" }
) =>
  Effect.gen(function*() {
    const hops: Array<Hop> = []
    const result = yield* Effect.either(
      Redirect.follow(max)(request, origin, {
        send: (request, _, origin) =>
          Effect.sync(() => {
            const answer = answers[Math.min(hops.length, answers.length - 1)]
            hops.push({ request, origin })
            return HttpClientResponse.fromWeb(request, answer())
          }),
        route: { named },
        call: { replayable }
      }).pipe(Effect.locally(Headers.currentRedactedNames, secretHeaders))
    )
    return {
      hops,
      urls: hops.map(({ request }) => Option.getOrThrow(HttpClientRequest.toUrl(request)).href),
      status: result._tag === "Right" ? result.right.status : undefined,
      isRedirected: result._tag === "Right" && Redirect.isRedirected(result.right),
      error: result._tag === "Left" ? result.left : undefined
    }
  })

const ok = () => new Response("done")
const get = HttpClientRequest.get("https://api.test/old/1?a=b")
const stream = HttpBody.stream(Stream.make(new TextEncoder().encode("once")), "text/plain")

describe("Redirect", () => {
  it.live("recognizes responses after a redirect", () =>
    Effect.gen(function*() {
      assert.isFalse((yield* follow(get, [ok])).isRedirected)
      assert.isTrue((yield* follow(get, [() => to("/new"), ok])).isRedirected)
      assert.isTrue((yield* follow(get, [() => to("/new"), () => to(undefined)])).isRedirected)
      assert.isFalse((yield* follow(get, [() => to(undefined)])).isRedirected)
    }))

  describe("methods and bodies (RFC 9110 §15.4, fetch)", () => {
    const methods: ReadonlyArray<HttpMethod.HttpMethod> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    const statuses = [301, 302, 303, 307, 308].flatMap((status) =>
      methods.map((method) => {
        const expected = method === "POST" && status < 303
          ? "GET"
          : status === 303 && method !== "HEAD"
          ? "GET"
          : method
        return { status, method, expected }
      })
    )
    it.live("303, and 301 and 302 after POST, change all methods but HEAD to GET", () =>
      rowsEffect(
        statuses,
        ({ expected, method, status }) => `${status} makes ${expected} of ${method}`,
        ({ expected, method, status }) =>
          Effect.gen(function*() {
            const hasBody = method !== "GET" && method !== "HEAD"
            const request = HttpClientRequest.make(method)("https://api.test/old").pipe(
              HttpClientRequest.setHeaders({ accept: "x/y", "content-language": "de" }),
              hasBody ? HttpClientRequest.bodyText("the body") : (request) => request
            )
            const { hops, status: last, urls } = yield* follow(request, [() => to("/new", status), ok])
            assert.strictEqual(last, 200)
            deepStrictEqual(urls, ["https://api.test/old", "https://api.test/new"])
            const [, { request: next }] = hops
            assert.strictEqual(next.method, expected)
            if (method === expected) {
              assert.strictEqual(next.body, request.body)
              deepStrictEqual({ ...next.headers }, { ...request.headers })
            } else {
              assert.strictEqual(next.body._tag, "Empty")
              deepStrictEqual({ ...next.headers }, { accept: "x/y" })
            }
          })
      ))

    it.live("if the body cannot be sent again, the redirect is returned", () =>
      rowsEffect(
        [307, 308, 301],
        (status) => `${status}: where the body cannot be sent again, the redirect is the answer`,
        (status) =>
          Effect.gen(function*() {
            const put = HttpClientRequest.setBody(HttpClientRequest.put("https://api.test/old"), stream)
            const once = yield* follow(put, [() => to("/new", status), ok])
            deepStrictEqual([once.status, once.hops.length], [status, 1])
            const twice = yield* follow(put, [() => to("/new", status), ok], {
              origin: "https://api.test",
              replayable: true
            })
            deepStrictEqual([twice.status, twice.hops.length], [200, 2])
            assert.strictEqual(twice.hops[1].request.body, stream)
          })
      ))

    it.live("a dropped body need not be repeatable", () =>
      Effect.gen(function*() {
        const post = HttpClientRequest.setBody(HttpClientRequest.post("https://api.test/old"), stream)
        const { hops, status } = yield* follow(post, [() => to("/new", 303), ok])
        deepStrictEqual([status, hops[1].request.method, hops[1].request.body._tag], [200, "GET", "Empty"])
      }))

    it.live("the caller's content-type is sent with the body", () =>
      Effect.gen(function*() {
        const post = HttpClientRequest.post("https://api.test/old").pipe(
          HttpClientRequest.bodyText("{}"),
          HttpClientRequest.setHeader("content-type", "application/vnd.x+json")
        )
        const { hops } = yield* follow(post, [() => to("/new", 308), ok])
        assert.strictEqual(hops[1].request.headers["content-type"], "application/vnd.x+json")
      }))
  })

  describe("other responses are returned", () => {
    it.live("another status with a Location", () =>
      rowsEffect(
        [200, 201, 300, 304, 305, 306, 404],
        (status) => `${status} with a Location`,
        (status) =>
          Effect.gen(function*() {
            deepStrictEqual((yield* follow(get, [() => to("/new", status)])).status, status)
          })
      ))

    it.live("a 302 whose Location is missing or empty", () =>
      rowsEffect(
        [undefined, ""],
        (location) => `a 302 whose Location is ${location === undefined ? "missing" : "empty"}`,
        (location) =>
          Effect.gen(function*() {
            const { hops, status } = yield* follow(get, [() => to(location)])
            deepStrictEqual([status, hops.length], [302, 1])
          })
      ))
  })

  describe("Location is resolved against the current URL (RFC 9110 §10.2.2)", () => {
    const locations: Record<string, string> = {
      "/new": "https://api.test/new",
      new: "https://api.test/old/new",
      "../new": "https://api.test/new",
      "?c=d": "https://api.test/old/1?c=d",
      "//b.test/x": "https://b.test/x",
      "/\\b.test/x": "https://b.test/x",
      "https://b.test": "https://b.test/",
      "/new#part": "https://api.test/new",
      "#part": "https://api.test/old/1?a=b",
      "/new?sig=a%20b+c%2Fd~&e=%c3%a9": "https://api.test/new?sig=a%20b+c%2Fd~&e=%c3%a9"
    }
    it.live("resolves a Location in any of its forms", () =>
      rowsEffect(
        Object.entries(locations),
        ([location, url]) => `${location} is ${url}`,
        ([location, url]) =>
          Effect.gen(function*() {
            deepStrictEqual((yield* follow(get, [() => to(location), ok])).urls[1], url)
          })
      ))

    it.live("without the credentials in the caller's URL", () =>
      Effect.gen(function*() {
        const request = HttpClientRequest.get("https://user:password@api.test/old")
        deepStrictEqual((yield* follow(request, [() => to("/new"), ok])).urls[1], "https://api.test/new")
      }))

    it.live("against each URL in turn, not the first", () =>
      Effect.gen(function*() {
        const { urls } = yield* follow(get, [() => to("https://b.test/x/y"), () => to("z"), ok])
        deepStrictEqual(urls.slice(1), ["https://b.test/x/y", "https://b.test/x/z"])
      }))
  })

  describe("rule 10: refused redirects", () => {
    const refused: Record<string, readonly [from: string, location: string, message: RegExp]> = {
      "https to http": ["https://api.test/", "http://api.test/", /\(302\).*leads to http:\/\/api\.test, which is not/],
      "https to loopback": ["https://api.test/", "http://localhost/", /leads to http:\/\/localhost, which is not/],
      "loopback to http elsewhere": ["http://127.0.0.1:1/", "http://api.test/", /leads to http:\/\/api\.test, which/],
      "another scheme": ["https://api.test/", "ftp://api.test/secret", /its Location is not an http address$/],
      "data:": ["https://api.test/", "data:text/plain,secret", /its Location is not an http address$/],
      "no address": ["https://api.test/", "https://a b/secret", /its Location is not a URL$/],
      "a port that is none": ["https://api.test/", "https://api.test:99999/secret", /its Location is not a URL$/],
      credentials: ["https://api.test/", "https://secret:secret@api.test/", /its Location contains credentials$/],
      "a name alone": ["https://api.test/", "//secret@api.test/", /its Location contains credentials$/]
    }
    it.live("an unsafe redirect, with the reason in the error", () =>
      rowsEffect(Object.entries(refused), ([what]) => what, ([, [from, location, message]]) =>
        Effect.gen(function*() {
          const { error, hops } = yield* follow(HttpClientRequest.get(from), [() => to(location), ok])
          assert.strictEqual(hops.length, 1)
          assert.strictEqual(error?._tag, "RedirectError")
          assert.strictEqual(error?.reason, location.startsWith("http://") ? "Insecure" : "InvalidLocation")
          assert.match(error?.message ?? "", message)
          assert.notInclude(JSON.stringify(error) + error?.message, "secret")
        })))

    const taken: ReadonlyArray<readonly [from: string, location: string]> = [
      ["http://127.0.0.1:1/", "http://localhost:2/"],
      ["http://127.0.0.1:1/", "https://api.test/"],
      ["http://api.test/", "https://api.test/"],
      ["http://api.test/", "http://b.test/"]
    ]
    it.live("not a safe one", () =>
      rowsEffect(
        taken,
        ([from, location]) => `but not ${from} to ${location}`,
        ([from, location]) =>
          Effect.gen(function*() {
            deepStrictEqual((yield* follow(HttpClientRequest.get(from), [() => to(location), ok])).urls, [
              from,
              location
            ])
          })
      ))

    it.live("more than the limit in a row", () =>
      rowsEffect([0, 1, 3], (max) => `more than ${max} in a row`, (max) =>
        Effect.gen(function*() {
          const { error, hops } = yield* follow(get, [() => to("/loop")], { max, origin: "https://api.test" })
          assert.strictEqual(hops.length, max + 1)
          assert.strictEqual(
            error?.message,
            `A redirect of https://api.test (302) was not followed: ${`at most ${max} are followed`}`
          )
          const answers = [...Array(max).fill(() => to("/next")), ok]
          deepStrictEqual((yield* follow(get, answers, { max, origin: "https://api.test" })).status, 200)
        })))

    it.live("none, if the limit is not a number", () =>
      Effect.gen(function*() {
        const { error } = yield* follow(get, [() => to("/loop")], { max: Number.NaN, origin: "https://api.test" })
        assert.strictEqual(error?.reason, "TooMany")
      }))
  })

  describe("rule 10: headers and tokens by origin", () => {
    const secrets = {
      authorization: "Basic own",
      "proxy-authorization": "Basic proxy",
      cookie: "session=1",
      dpop: "proof",
      host: "api.test",
      "x-api-key": "key",
      "x-session": "1"
    }
    const secretHeaders = ["X-API-Key", /session/]
    const request = HttpClientRequest.setHeaders(get, { ...secrets, accept: "x/y" })

    it.live("within an origin all headers of the caller are sent", () =>
      Effect.gen(function*() {
        const { hops } = yield* follow(request, [() => to("/new"), ok], { origin: "https://api.test", secretHeaders })
        deepStrictEqual(headersOf(hops[1]), { ...secrets, accept: "x/y" })
      }))

    it.live("no secret of the caller is sent to another origin, or back", () =>
      rowsEffect(
        ["https://evil.test/", "https://b.test/", "https://api.test:8443/", "https://sub.api.test/"],
        (location) => `no secret of the caller's goes to ${location}, or back`,
        (location) =>
          Effect.gen(function*() {
            const { hops } = yield* follow(request, [() => to(location), () => to("https://api.test/"), ok], {
              origin: "https://api.test",
              secretHeaders
            })
            deepStrictEqual(hops.slice(1).map(headersOf), [
              { accept: "x/y" },
              { accept: "x/y" }
            ])
          })
      ))

    const origins = (locations: ReadonlyArray<string>, options?: Parameters<typeof follow>[2]) =>
      Effect.map(
        follow(get, [...locations.map((location) => () => to(location)), ok], options),
        ({ hops }) => hops.map(({ origin }) => origin)
      )

    it.live("a token is sent to the allowed origins only", () =>
      Effect.gen(function*() {
        deepStrictEqual(
          yield* origins(["/x", "https://b.test/", "https://api.test/"]),
          ["https://api.test", "https://api.test", "https://b.test", "https://api.test"]
        )
        deepStrictEqual(yield* origins(["https://evil.test/"]), ["https://api.test", undefined])
      }))

    it.live("a token is not sent after a redirect by another origin", () =>
      Effect.gen(function*() {
        deepStrictEqual(
          yield* origins(["https://evil.test/", "https://api.test/delete", "/more"]),
          ["https://api.test", undefined, undefined, undefined]
        )
      }))

    it.live("without allowed origins a token is sent to the origin of the first request only", () =>
      Effect.gen(function*() {
        deepStrictEqual(
          yield* origins(["/x", "https://b.test/"], { origin: "https://api.test", named: [] }),
          ["https://api.test", "https://api.test", undefined]
        )
      }))

    it.live("a request without a token never gets one", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* origins(["/x", "https://b.test/"], { origin: undefined }), [
          undefined,
          undefined,
          undefined
        ])
      }))

    const locations = fc.oneof(
      fc.webUrl(),
      fc.constantFrom(
        "https://api.test/x",
        "https://b.test/",
        "/y",
        "//api.test",
        "http://api.test",
        "https://b.test."
      ),
      fc.string({ unit: fc.constantFrom(..."/\\@:.?#apitestb \t"), maxLength: 20 }).filter((text) =>
        !/[\t\n]/.test(text)
      )
    )

    it.live("for any redirects, tokens and secrets are sent to permitted origins only", () =>
      Effect.sync(() =>
        fc.assert(fc.property(fc.array(locations, { maxLength: 5 }), (locations) => {
          const { hops, urls } = Effect.runSync(
            follow(request, [...locations.map((location) => () => to(location)), ok], {
              origin: "https://api.test",
              secretHeaders
            })
          )
          hops.forEach(({ origin, request }, index) => {
            const url = new URL(urls[index])
            assert.strictEqual(url.protocol, "https:")
            if (origin !== undefined) {
              assert.strictEqual(url.origin, origin)
              assert.include(["https://api.test", "https://b.test"], origin)
            }
            if (url.origin !== "https://api.test") deepStrictEqual({ ...request.headers }, { accept: "x/y" })
          })
        }))
      ))
  })
})
