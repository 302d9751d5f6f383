import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { rows, rowsEffect } from "./Rows.js"

class Told extends Error {
  override get message() {
    return "told by a getter"
  }
}

const isSmall = (row: number) => assert.isBelow(row, 3)

const messageOf = <A, E>(exit: Exit.Exit<A, E>) => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof Error ? error.message : "nothing failed"
}

describe("Rows", () => {
  it("pass when each passes", () => rows([1, 2], String, isSmall))

  it.effect("pass when each Effect succeeds", () =>
    rowsEffect([1, 2], String, (row) => Effect.sync(() => isSmall(row))))

  it("name the one that is wrong, and what is wrong with it", () => {
    assert.throws(() => rows([1, 5], (row) => `row ${row}`, isSmall), /^row 5: expected 5 to be below 3$/)
    assert.throws(
      () =>
        rows(["a"], String, () => {
          throw new Told()
        }),
      /^a: told by a getter$/
    )
  })

  it("name all that are wrong, and how many there are", () => {
    assert.throws(
      () => rows([1, 5, 6], String, isSmall),
      /^2 of 3 rows\n5: expected 5 to be below 3\n6: expected 6 to be below 3$/
    )
  })

  it.effect("name the Effects that die, that fail and that throw", () =>
    Effect.gen(function*() {
      const table = { dies: Effect.die("dead"), fails: Effect.fail(new Error("bad")), passes: Effect.void }
      const exit = yield* Effect.exit(rowsEffect(Object.entries(table), ([name]) => name, ([, effect]) => effect))
      assert.strictEqual(messageOf(exit), "2 of 3 rows\ndies: dead\nfails: bad")
      const thrown = yield* Effect.exit(rowsEffect([5], String, (row) => {
        isSmall(row)
        return Effect.void
      }))
      assert.strictEqual(messageOf(thrown), "5: expected 5 to be below 3")
    }))
})
