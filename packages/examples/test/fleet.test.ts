import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as Program from "./Program.js"

describe("fleet.ts", () => {
  // CI plays its scenarios: npm run fleet -- start revocation crash
  it.live("says what it does not know in one sentence", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* Program.run("fleet", { args: ["expired"] }), {
        exitCode: 1,
        stdout: "",
        stderr: "The fleet does not play expired: it knows start, expiry, revocation, steady, crash.\n"
      })
    }))
})
