import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Either, FastCheck } from "effect"
import { rows } from "../../../core/test/support/Rows.js"
import * as RequestTarget from "../../src/http/RequestTarget.js"

const origin = "http://127.0.0.1:8080"

/** A function that knows the origin, and so cuts what it can. */
const makeKnowing = () => {
  const targetOf = RequestTarget.make()
  targetOf(HttpClientRequest.get(origin))
  return targetOf
}

describe("RequestTarget", () => {
  const piece = FastCheck.oneof(
    FastCheck.constantFrom(
      "/",
      ".",
      "..",
      "%2e",
      "%2E%2e",
      "?",
      "#",
      "\\",
      "@",
      ":",
      "'",
      "|",
      "^",
      " ",
      "\t",
      "é",
      "{",
      "%"
    ),
    FastCheck.stringMatching(/^[\w.~!$&()*+,;=:@%-]{0,8}$/)
  )

  it.prop(
    "a URL that is split without the parser has the same target as with it",
    [FastCheck.array(piece, { maxLength: 8 })],
    ([pieces]) => {
      const url = `${origin}${pieces.join("")}`
      const target = makeKnowing()(HttpClientRequest.get(url))
      if (!URL.canParse(url)) return assert.isTrue(Either.isLeft(target))
      deepStrictEqual(target, Either.right(RequestTarget.fromUrl(new URL(url))))
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("the origin equals the parser's, also the second time", () =>
    rows(
      [
        "HTTP://127.0.0.1:8080/a",
        "http://LOCALHOST/a",
        "http://user:password@127.0.0.1:8080/a",
        "http://127.0.0.1:80/a",
        "http://127.1/a",
        "https://exämple.test/a",
        "http://[::1]:8080/a"
      ],
      (url) => url,
      (url) => {
        const targetOf = makeKnowing()
        const expected = Either.right(RequestTarget.fromUrl(new URL(url)))
        deepStrictEqual(targetOf(HttpClientRequest.get(url)), expected)
        deepStrictEqual(targetOf(HttpClientRequest.get(url)), expected)
      }
    ))

  it("very many origins are forgotten, and parsed again", () => {
    const targetOf = makeKnowing()
    for (let port = 1; port <= 1000; port++) {
      const url = `http://127.0.0.1:${port}/a`
      deepStrictEqual(targetOf(HttpClientRequest.get(url)), Either.right(RequestTarget.fromUrl(new URL(url))))
    }
  })

  it("adds parameters, and omits the fragment", () => {
    const request = HttpClientRequest.get(`${origin}/a?b=c`, { urlParams: { d: "e f" }, hash: "g" })
    deepStrictEqual(
      makeKnowing()(request),
      Either.right({ origin, path: "/a?b=c&d=e+f", href: `${origin}/a?b=c&d=e+f#g` })
    )
  })

  it("an invalid URL is an error", () => {
    assert.isTrue(Either.isLeft(makeKnowing()(HttpClientRequest.get("/relative"))))
  })
})
