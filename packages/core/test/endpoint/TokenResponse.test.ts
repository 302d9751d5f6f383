import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Either, FastCheck as fc, Option, Redacted } from "effect"
import { inspect } from "node:util"
import * as Redaction from "../../src/disclosure/Redaction.js"
import * as TokenResponse from "../../src/endpoint/TokenResponse.js"
import { rows } from "../support/Rows.js"

const answer = (fields: Record<string, unknown>) => ({ access_token: "abc.def", token_type: "Bearer", ...fields })

/** Decodes a body as it arrives: an `undefined` field is absent. */
const decode = (body: unknown) => TokenResponse.decode(JSON.parse(JSON.stringify(body)))

/** The decoded value of one field, and the problem if it cannot be read. */
const read = (name: "expires_in" | "scope" | "isBound", fields: Record<string, unknown>) =>
  Either.map(decode(answer(fields)), (response) => [response[name], ...response.unread])

const invalid = (body: unknown) => Either.getOrThrowWith(Either.flip(decode(body)), () => new Error("was taken"))

describe("TokenResponse", () => {
  describe("decode (RFC 6749 §5.1)", () => {
    it("decodes the example of RFC 6749 §4.4.3", () => {
      const response = Either.getOrThrow(decode({
        access_token: "2YotnFZFEjr1zCsicMWpAA",
        token_type: "example".replace("example", "Bearer"),
        expires_in: 3600,
        example_parameter: "example_value"
      }))
      assert.strictEqual(Redacted.value(response.access_token), "2YotnFZFEjr1zCsicMWpAA")
      assert.strictEqual(response.expires_in, 3600)
      assert.isUndefined(response.scope)
    })

    it("RFC 6749 §5.1: reads the refresh token, redacted, whatever else is wrong; an invalid one is left out", () => {
      const refreshToken = (body: Record<string, unknown>) =>
        Option.map(
          Option.fromNullable(TokenResponse.decodeRefreshToken(body)),
          (token) => [String(token), Redacted.value(token)]
        )
      deepStrictEqual(refreshToken(answer({ refresh_token: "abc" })), Option.some(["<redacted>", "abc"]))
      deepStrictEqual(refreshToken({ refresh_token: "abc" }), Option.some(["<redacted>", "abc"]))
      for (const refresh_token of [undefined, null, "", " ", 1, { a: 1 }, "a\nb"]) {
        deepStrictEqual(refreshToken(answer({ refresh_token })), Option.none())
        assert.isTrue(Either.isRight(decode(answer({ refresh_token }))))
      }
    })

    const tokens: ReadonlyArray<readonly [token: unknown, message: string]> = [
      [undefined, "access_token is missing"],
      [null, "access_token is not a string"],
      [42, "access_token is not a string"],
      [true, "access_token is not a string"],
      [{ value: "abc" }, "access_token is not a string"],
      [["abc"], "access_token is not a string"],
      ["", "access_token is empty"],
      ["   ", "access_token is empty"],
      ["abc\r\nx-admin: 1", "access_token contains characters that no token may have"],
      ["abc\u0000", "access_token contains characters that no token may have"],
      ["abc\t", "access_token contains characters that no token may have"],
      ["abc\u007f", "access_token contains characters that no token may have"],
      ["tökén", "access_token contains characters that no token may have"],
      ["abc\u2028", "access_token contains characters that no token may have"]
    ]
    it("RFC 6749 appendix A.12: rejects an access_token that is not a valid token", () =>
      rows(
        tokens,
        ([access_token]) => `RFC 6749 appendix A.12: rejects an access_token of ${JSON.stringify(access_token)}`,
        ([access_token, message]) => {
          assert.strictEqual(invalid(answer({ access_token })), message)
        }
      ))

    it.prop("keeps every token of RFC 6749 appendix A.12 as it is", [fc.stringMatching(/^[!-~]{1,40}$/)], ([token]) => {
      const response = Either.getOrThrow(decode(answer({ access_token: token })))
      assert.strictEqual(Redacted.value(response.access_token), token)
    })

    it.prop(
      "rejects every token with any other character, and the error never contains the token",
      [
        fc.stringMatching(/^[!-~]{5,10}$/),
        fc.integer({ min: 0, max: 0xffff }).filter((code) => code < 0x20 || code > 0x7e)
      ],
      ([token, code]) => {
        const message = invalid(answer({ access_token: token + String.fromCharCode(code) + token }))
        assert.strictEqual(message, "access_token contains characters that no token may have")
      }
    )

    const types: ReadonlyArray<readonly [type: unknown, isBound: boolean, unread?: string]> = [
      [undefined, false],
      [null, false],
      ["Bearer", false],
      ["bEaReR", false],
      [" BEARER ", false],
      ["BearerToken", false],
      ["bearer_token", false],
      ["DPoP", true],
      ["dpop", true],
      ["", false, "token_type is empty"],
      [" ", false, "token_type is empty"],
      [1, false, "token_type is not a string"],
      [["Bearer"], false, "token_type is not a string"],
      [{ type: "DPoP" }, false, "token_type is not a string"]
    ]
    it("RFC 6749 §7.1, RFC 9449 §5: token_type is case-insensitive; an unreadable one counts as absent", () =>
      rows(
        types,
        ([token_type]) => `a token_type of ${JSON.stringify(token_type)}`,
        ([token_type, ...expected]) => {
          deepStrictEqual(read("isBound", { token_type }), Either.right(expected))
        }
      ))

    const otherTypes: ReadonlyArray<readonly [type: string, shown: string]> = [
      ["mac", "\"mac\""],
      ["N_A", "\"N_A\""],
      ["Bearer\r\nx: 1", "\"Bearer x: 1\""],
      ["x".repeat(41), "41 characters long"]
    ]
    it("RFC 6749 §7.1: rejects an unknown token_type, unless bearerTypes contains it", () =>
      rows(
        otherTypes,
        ([token_type]) => `RFC 6749 §7.1: rejects a token_type of ${JSON.stringify(token_type)}`,
        ([token_type, shown]) => {
          const message = `token_type is ${shown}, which this client does not know (bearerTypes)`
          assert.strictEqual(invalid(answer({ token_type })), message)
          const told = TokenResponse.decode(answer({ token_type }), { bearerTypes: ["jwt", token_type.toUpperCase()] })
          deepStrictEqual(Either.map(told, ({ isBound }) => isBound), Either.right(false))
        }
      ))

    const lifetimes: ReadonlyArray<readonly [expires_in: unknown, seconds: number | undefined]> = [
      [3600, 3600],
      ["3600", 3600],
      [" 3600 ", 3600],
      ["+3600", 3600],
      [0.5, 0.5],
      ["3599.5", 3599.5],
      [1e18, 1e18],
      ["1000000000000000000", 1e18],
      [0, undefined],
      ["0", undefined],
      [-0, undefined],
      [null, undefined],
      [undefined, undefined]
    ]
    it("reads expires_in; zero, null and no value mean that the lifetime is unknown", () =>
      rows(
        lifetimes,
        ([expires_in, seconds]) =>
          `expires_in ${JSON.stringify(expires_in)} ${seconds === undefined ? "does not say" : `is ${seconds} s`}`,
        ([expires_in, seconds]) => {
          deepStrictEqual(read("expires_in", { expires_in }), Either.right([seconds]))
        }
      ))

    it("an expires_in of 1e999, which exceeds every number, is accepted as infinite", () => {
      const body = JSON.parse("{\"access_token\":\"a\",\"expires_in\":1e999}")
      deepStrictEqual(Either.map(TokenResponse.decode(body), ({ expires_in }) => expires_in), Either.right(Infinity))
    })

    const notLifetimes: ReadonlyArray<readonly [expires_in: unknown, fault: string]> = [
      [-1, "expires_in is negative"],
      [-0.001, "expires_in is negative"],
      ["-3600", "expires_in is negative"],
      ["abc", "expires_in is not a number of seconds"],
      ["", "expires_in is not a number of seconds"],
      ["1h", "expires_in is not a number of seconds"],
      ["0x10", "expires_in is not a number of seconds"],
      ["Infinity", "expires_in is not a number of seconds"],
      ["2030-01-01T00:00:00Z", "expires_in is not a number of seconds"],
      [true, "expires_in is not a number of seconds"],
      [[3600], "expires_in is not a number of seconds"],
      [{}, "expires_in is not a number of seconds"]
    ]
    it("an expires_in that is not a number of seconds counts as absent", () =>
      rows(notLifetimes, ([expires_in]) => `expires_in ${JSON.stringify(expires_in)}`, ([expires_in, fault]) => {
        deepStrictEqual(read("expires_in", { expires_in }), Either.right([undefined, fault]))
      }))

    it.prop("a number of seconds may also be sent as text", [fc.integer({ min: 1, max: 1e9 })], ([seconds]) => {
      deepStrictEqual(read("expires_in", { expires_in: seconds }), Either.right([seconds]))
      deepStrictEqual(read("expires_in", { expires_in: String(seconds) }), Either.right([seconds]))
    })

    const scopes: ReadonlyArray<readonly [scope: unknown, text: string | undefined, unread?: string]> = [
      ["read write", "read write"],
      [["read", "write"], "read write"],
      ["", ""],
      [null, undefined],
      [undefined, undefined],
      ...[1, {}, [1], true].map((scope) => [scope, undefined, "scope is not a string"] as const)
    ]
    it("reads a scope in any of its forms; one that is not text counts as absent", () =>
      rows(
        scopes,
        ([given, text]) => `scope ${JSON.stringify(given)} is ${JSON.stringify(text)}`,
        ([scope, ...expected]) => {
          deepStrictEqual(read("scope", { scope }), Either.right(expected))
        }
      ))

    it("accepts a token whatever the types of the other fields", () =>
      rows([0, -1, "", "x", false, true, [], {}, [[]]], (value) => JSON.stringify(value), (value) => {
        const fields = { expires_in: value, scope: value, refresh_token: value, id_token: value, other: value }
        assert.isTrue(Either.isRight(decode({ access_token: "abc", ...fields })))
      }))

    it("rule 9: the token is Redacted at once, and shown nowhere", () => {
      const response = Either.getOrThrow(decode(answer({ access_token: "hunter2hunter2" })))
      for (
        const shown of [String(response), JSON.stringify(response), inspect(response, { depth: 20, showHidden: true })]
      ) {
        assert.notInclude(shown, "hunter2")
      }
    })
  })

  describe("decodeError (RFC 6749 §5.2)", () => {
    it("reads the error, its description and its URI", () => {
      deepStrictEqual(
        TokenResponse.decodeError({
          error: "invalid_client",
          error_description: "unknown client",
          error_uri: "https://help"
        }),
        { error: "invalid_client", errorDescription: "unknown client", errorUri: "https://help" }
      )
    })

    const partial: ReadonlyArray<readonly [description: unknown, uri: unknown]> = [
      [undefined, undefined],
      [null, null],
      ["", ""],
      [1, { a: 1 }]
    ]
    it("leaves out a description or a URI that is not text", () =>
      rows(
        partial,
        ([error_description]) => `leaves out a description of ${JSON.stringify(error_description)}`,
        ([error_description, error_uri]) => {
          deepStrictEqual(TokenResponse.decodeError({ error: "invalid_scope", error_description, error_uri }), {
            error: "invalid_scope",
            errorDescription: undefined,
            errorUri: undefined
          })
        }
      ))

    const none: ReadonlyArray<unknown> = [
      {},
      { error: "" },
      { error: null },
      { error: 1 },
      { error: { code: 401, message: "no" } },
      ["error"],
      "error",
      null,
      answer({})
    ]
    it("finds no error where there is none", () =>
      rows(none, (body) => `finds no error in ${JSON.stringify(body)}`, (body) => {
        assert.isUndefined(TokenResponse.decodeError(body))
      }))

    it("rule 11: a response with an error that is not of RFC 6749 is not a token either", () => {
      for (const error of [1, true, {}, { code: 401 }, ["no"]]) {
        const decoded = TokenResponse.decode({ access_token: "token", token_type: "Bearer", error })
        deepStrictEqual(decoded, Either.left("error is not a string"))
      }
      for (const error of [null, false, 0, ""]) {
        assert.isTrue(Either.isRight(TokenResponse.decode({ access_token: "token", error })))
      }
    })

    it("makes each field one line of bounded length", () => {
      const found = TokenResponse.decodeError({
        error: "a\r\nb",
        error_description: `first\r\nsecond\u001b[31m${"x".repeat(1000)}`,
        error_uri: "https://a\nb"
      })
      assert.strictEqual(found?.error, "a b")
      assert.match(found?.errorDescription ?? "", /^first second \[31mx{270,}…$/)
      assert.strictEqual(found?.errorUri, "https://a b")
    })

    it("keeps a standard error code, even if a secret contains the same words", () => {
      const clean = Redaction.make(["invalid_secret"])
      deepStrictEqual(TokenResponse.decodeError({ error: "invalid_client" }, clean)?.error, "invalid_client")
      deepStrictEqual(TokenResponse.decodeError({ error: "invalid_secret" }, clean)?.error, "<redacted>")
    })

    it("redacts each field before it is cut", () => {
      const secret = "s".repeat(20)
      const text = "x".repeat(290) + secret
      const found = TokenResponse.decodeError(
        { error: text, error_description: text, error_uri: text },
        (text) => text.replaceAll(secret, "***")
      )
      deepStrictEqual(Object.values(found ?? {}), Array(3).fill(`${"x".repeat(290)}***`))
    })
  })
})
