import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as Program from "./Program.js"

/** A line of the table: whether it was as it should be, and what it is about. */
const judged = (stdout: string) =>
  stdout.split("\n").flatMap((line) => {
    const cells = /^ {2}([✔✘]) (.+?) {2,}/.exec(line)
    return cells === null ? [] : [`${cells[1]} ${cells[2]}`]
  })

describe("fleet.ts", () => {
  it.live(
    "gets by with one token when it starts",
    () =>
      Effect.gen(function*() {
        const { stdout } = yield* Program.run("fleet", { args: ["start"] })
        // How long it took depends on what else the machine has to do
        deepStrictEqual(judged(stdout).filter((line) => !/longest|until all/.test(line)), [
          "✔ token requests",
          "✔ failed calls"
        ])
        assert.isEmpty(stdout.split("\n").filter((line) => line.length > 100))
        assert.notInclude(stdout, "\u001b")
      }),
    120_000
  )

  it.live("says what it does not know in one sentence", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* Program.run("fleet", { args: ["expired"] }), {
        exitCode: 1,
        stdout: "",
        stderr: "The fleet does not play expired: it knows start, expiry, revocation, steady, crash.\n"
      })
    }))
})
