/**
 * What a check of an option says of each value.
 */
import { OAuthError } from "@effect-alf/core"
import { assert, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import { rows } from "./Rows.js"

/** The message of the failure; `undefined` when the check lets the value pass. */
const message = <A>(check: Effect.Effect<A, OAuthError.InvalidOptions>) =>
  Effect.match(check, {
    onSuccess: () => undefined,
    onFailure: (error) => {
      assert.instanceOf(error, OAuthError.InvalidOptions)
      deepStrictEqual(error.problems.map(({ option }) => option), ["option"])
      return error.message
    }
  })

export type Row = readonly [value: unknown, message: string | undefined]

/** Values come untyped: they are what a JavaScript caller or an environment gives. */
export const checks = (
  check: (value: any) => Effect.Effect<unknown, OAuthError.InvalidOptions>,
  values: ReadonlyArray<Row>
) =>
  it("each value is accepted, or rejected with a message", () =>
    rows(values, ([value, expected]) => {
      const shown = Redacted.isRedacted(value) ? `Redacted(${JSON.stringify(Redacted.value(value))})` : show(value)
      return `${shown} ${expected === undefined ? "passes" : `is refused: ${expected}`}`
    }, ([value, expected]) => {
      assert.strictEqual(Effect.runSync(message(check(value))), expected)
    }))

const show = (value: unknown): string =>
  typeof value === "string" || Array.isArray(value) ? JSON.stringify(value) : String(value)
