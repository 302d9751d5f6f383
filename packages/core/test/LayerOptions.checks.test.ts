import { LayerOptions, type OAuthError } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Duration, Effect, Exit, Redacted } from "effect"
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

  describe("collect", () => {
    const { collect, error, invalid } = LayerOptions
    const problems = (exit: Exit.Exit<unknown, OAuthError.InvalidOptions>) =>
      Exit.match(exit, {
        onFailure: (cause) => Array.from(Cause.failures(cause)).flatMap(({ problems }) => problems),
        onSuccess: () => []
      })
    const missing = (option: string) => ({ option, description: "is missing" })

    it("checks that are done give a result that is done", () => {
      deepStrictEqual(collect({ a: Exit.succeed(1), b: Exit.succeed("two") }), Exit.succeed({ a: 1, b: "two" }))
      deepStrictEqual(collect([Exit.succeed(1), Exit.succeed("two")]), Exit.succeed([1, "two"] as const))
      const failed = collect({ a: invalid("a", "is missing"), b: Exit.succeed(2), c: invalid("c", "is missing") })
      deepStrictEqual(problems(failed), [missing("a"), missing("c")])
      deepStrictEqual(problems(collect([invalid("a", "is missing"), invalid("a", "is empty")])), [missing("a")])
    })

    it.effect("checks of both kinds give one result, in the order of the checks", () =>
      Effect.gen(function*() {
        const later = <A>(check: LayerOptions.Check<A>) => Effect.zipRight(Effect.yieldNow(), check)
        deepStrictEqual(yield* collect([later(Exit.succeed(1)), Exit.succeed(2)]), [1, 2])
        deepStrictEqual(yield* collect({ a: Exit.succeed(1), b: later(Exit.succeed(2)) }), { a: 1, b: 2 })
        const failing = collect({
          a: later(error("a", "is missing")),
          b: Exit.succeed(2),
          c: invalid("c", "is missing"),
          d: Effect.fail(error("d", "is missing"))
        })
        deepStrictEqual(problems(yield* Effect.exit(failing)), ["a", "c", "d"].map(missing))
      }))

    it.effect("a check is made again each time", () =>
      Effect.gen(function*() {
        let times = 0
        const counted = collect({ first: Exit.succeed(0), times: Effect.sync(() => ++times) })
        deepStrictEqual([yield* counted, yield* counted], [{ first: 0, times: 1 }, { first: 0, times: 2 }])
      }))

    it.effect("a defect in a check is no invalid option", () =>
      Effect.gen(function*() {
        const bug = new Error("bug")
        for (const check of [Exit.die(bug), Effect.suspend(() => Effect.die(bug))]) {
          deepStrictEqual(yield* Effect.exit(collect([invalid("a", "is missing"), check])), Exit.die(bug))
        }
      }))
  })
})
