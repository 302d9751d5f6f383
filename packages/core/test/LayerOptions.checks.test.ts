import { LayerOptions } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Redacted } from "effect"
import { checks, type Row } from "./support/Checks.js"

describe("LayerOptions, checks", () => {
  describe("text", () => {
    checks((value) => LayerOptions.text("option", value), [
      ["app", undefined],
      [" app ", undefined],
      [undefined, "option is missing"],
      [null, "option is missing"],
      [42, "option is not a string"],
      ["", "option is empty"],
      [" \t\n", "option is empty"]
    ])
  })

  describe("secret", () => {
    checks((value) => LayerOptions.secret("option", value), [
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
    checks((value) => LayerOptions.duration("option", value), [
      ...durations,
      [0, undefined],
      ["0 millis", undefined],
      [Duration.zero, undefined]
    ])

    it.live("returns the decoded duration", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* LayerOptions.duration("option", "2 seconds"), Duration.seconds(2))
      }))
  })

  describe("positiveDuration", () => {
    checks((value) => LayerOptions.positiveDuration("option", value), [
      ...durations,
      [0, "option must be longer than zero"],
      ["0 millis", "option must be longer than zero"],
      [Duration.zero, "option must be longer than zero"],
      // Effect has already changed it to zero
      [Duration.millis(-5), "option must be longer than zero"]
    ])
  })

  describe("positiveInteger", () => {
    const refused = "option must be a whole number above zero"
    checks((value) => LayerOptions.positiveInteger("option", value), [
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

  it.live("rule 9: a secret that is not Redacted is not part of the message", () =>
    Effect.gen(function*() {
      const plain: any = "hunter2"
      const error = yield* Effect.flip(LayerOptions.secret("option", plain))
      assert.notInclude(JSON.stringify(error) + String(error), "hunter2")
    }))
})
