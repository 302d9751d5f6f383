import { Check, OAuthError } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Redacted } from "effect"
import { rows } from "./support/Rows.js"

/** The message of the failure; `undefined` when the check lets the value pass. */
const message = <A>(check: Effect.Effect<A, OAuthError.InvalidOptions>) =>
  Effect.match(check, {
    onSuccess: () => undefined,
    onFailure: (error) => {
      assert.instanceOf(error, OAuthError.InvalidOptions)
      assert.strictEqual(error.option, "option")
      return error.message
    }
  })

type Row = readonly [value: unknown, message: string | undefined]

/** Values come untyped: they are what a JavaScript caller or an environment gives. */
const table = (
  check: (value: any) => Effect.Effect<unknown, OAuthError.InvalidOptions>,
  values: ReadonlyArray<Row>
) =>
  it("each value passes, or is refused with what is wrong", () =>
    rows(values, ([value, expected]) => {
      const shown = Redacted.isRedacted(value) ? `Redacted(${JSON.stringify(Redacted.value(value))})` : show(value)
      return `${shown} ${expected === undefined ? "passes" : `is refused: ${expected}`}`
    }, ([value, expected]) => {
      assert.strictEqual(Effect.runSync(message(check(value))), expected)
    }))

const show = (value: unknown): string =>
  typeof value === "string" || Array.isArray(value) ? JSON.stringify(value) : String(value)

describe("Check", () => {
  describe("text", () => {
    table((value) => Check.text("option", value), [
      ["app", undefined],
      [" app ", undefined],
      [undefined, "option is missing"],
      [null, "option is missing"],
      [42, "option is missing"],
      ["", "option is empty"],
      [" \t\n", "option is empty"]
    ])
  })

  describe("secret", () => {
    table((value) => Check.secret("option", value), [
      [Redacted.make("s"), undefined],
      [Redacted.make(" s "), undefined],
      [undefined, "option is missing"],
      [null, "option is missing"],
      ["plain", "option must be made by Redacted.make"],
      [{ secret: "plain" }, "option must be made by Redacted.make"],
      [Redacted.make(""), "option is empty"],
      [Redacted.make("  \n"), "option is empty"],
      [Redacted.make(undefined), "option is missing"],
      [Redacted.make(42), "option is not a string"]
    ])
  })

  const durations: ReadonlyArray<Row> = [
    ["5 seconds", undefined],
    ["0.5 seconds", undefined],
    [250, undefined],
    [5n, undefined],
    [[1, 500], undefined],
    [Duration.minutes(1), undefined],
    [Infinity, undefined],
    [-1, "option is negative"],
    [-Infinity, "option is negative"],
    [-1n, "option is negative"],
    [[-1, 0], "option is negative"],
    [[0, -1], "option is negative"],
    ["-5 seconds", "option is negative"],
    [" -5 seconds", "option is negative"],
    [NaN, "option is not a duration"],
    [[NaN, 0], "option is not a duration"],
    ["soon", "option is not a duration"],
    ["5", "option is not a duration"],
    ["5seconds", "option is not a duration"],
    ["", "option is not a duration"],
    [null, "option is not a duration"],
    [undefined, "option is not a duration"],
    [{}, "option is not a duration"],
    [true, "option is not a duration"]
  ]

  describe("duration", () => {
    table((value) => Check.duration("option", value), [
      ...durations,
      [0, undefined],
      ["0 millis", undefined],
      [Duration.zero, undefined]
    ])

    it.live("answers the decoded duration", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* Check.duration("option", "2 seconds"), Duration.seconds(2))
      }))
  })

  describe("positiveDuration", () => {
    table((value) => Check.positiveDuration("option", value), [
      ...durations,
      [0, "option must be longer than zero"],
      ["0 millis", "option must be longer than zero"],
      [Duration.zero, "option must be longer than zero"],
      // Effect has made a zero of it before anybody could look
      [Duration.millis(-5), "option must be longer than zero"]
    ])
  })

  describe("positiveInteger", () => {
    const refused = "option must be a whole number above zero"
    table((value) => Check.positiveInteger("option", value), [
      [1, undefined],
      [262_144, undefined],
      [0, refused],
      [-1, refused],
      [1.5, refused],
      [NaN, refused],
      [Infinity, refused],
      ["5", refused],
      [undefined, refused]
    ])
  })

  describe("url", () => {
    table((value) => Check.url("option", value), [
      ["https://auth.example.com/token", undefined],
      ["https://auth.example.com/token?tenant=1", undefined],
      ["HTTPS://AUTH.EXAMPLE.COM", undefined],
      ["https://auth.example.com:8443", undefined],
      [new URL("https://auth.example.com/token"), undefined],
      [undefined, "option is missing"],
      [null, "option is missing"],
      ["", "option is empty"],
      ["  ", "option is empty"],
      ["auth.example.com/token", "option is not an absolute URL"],
      ["/token", "option is not an absolute URL"],
      ["//auth.example.com", "option is not an absolute URL"],
      ["https://", "option is not an absolute URL"],
      ["https://a b/", "option is not an absolute URL"],
      ["ftp://auth.example.com", "option must be an https URL, not ftp:"],
      ["file:///etc/passwd", "option must be an https URL, not file:"],
      ["javascript:alert(1)", "option must be an https URL, not javascript:"],
      ["https://user@auth.example.com", "option must not hold credentials"],
      ["https://user:secret@auth.example.com", "option must not hold credentials"],
      ["https://:secret@auth.example.com", "option must not hold credentials"],
      ["https://auth.example.com/#top", "option must not have a fragment"],
      ["https://auth.example.com/#", "option must not have a fragment"],
      ["http://auth.example.com/token", "option is http to auth.example.com: use https, or set allowInsecure"],
      ["http://10.0.0.1", "option is http to 10.0.0.1: use https, or set allowInsecure"],
      ["http://0.0.0.0", "option is http to 0.0.0.0: use https, or set allowInsecure"],
      ["http://localhost.evil.com", "option is http to localhost.evil.com: use https, or set allowInsecure"],
      ["http://127.0.0.1.evil.com", "option is http to 127.0.0.1.evil.com: use https, or set allowInsecure"],
      ["http://[::2]", "option is http to [::2]: use https, or set allowInsecure"],
      ["http://localhost", undefined],
      ["http://LOCALHOST:9999/token", undefined],
      ["http://auth.localhost:9999", undefined],
      ["http://127.0.0.1:8080", undefined],
      ["http://127.1", undefined],
      ["http://127.255.0.3", undefined],
      ["http://2130706433", undefined],
      ["http://[::1]:8080", undefined],
      ["http://[0:0:0:0:0:0:0:1]", undefined]
    ])

    describe("with allowInsecure", () => {
      table((value) => Check.url("option", value, { allowInsecure: true }), [
        ["http://auth.example.com/token", undefined],
        ["ftp://auth.example.com", "option must be an https URL, not ftp:"],
        ["http://user:secret@auth.example.com", "option must not hold credentials"],
        ["http://auth.example.com/#x", "option must not have a fragment"]
      ])
    })

    it.live("rule 9: a password in the address is not part of the message", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Check.url("option", "https://user:hunter2@auth.example.com"))
        assert.notInclude(JSON.stringify(error) + String(error), "hunter2")
      }))
  })

  it.live("rule 9: a secret that is not Redacted is not part of the message", () =>
    Effect.gen(function*() {
      const plain: any = "hunter2"
      const error = yield* Effect.flip(Check.secret("option", plain))
      assert.notInclude(JSON.stringify(error) + String(error), "hunter2")
    }))
})
