import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option } from "effect"
import { ExitCode } from "../src/ExitCode.js"
import * as Finding from "../src/Finding.js"
import { Problem } from "../src/Problem.js"

const short = Problem.LifetimeShort({ seconds: 5 })
const down = Problem.StoreDown({ store: { variable: "ALF_STORE_URL", scheme: "redis" }, description: "refused" })

describe("Finding", () => {
  it.effect("a journal records the outcome of each check, in the order of the checks", () =>
    Effect.gen(function*() {
      const journal = yield* Finding.makeJournal
      yield* journal.skip("not asked for", "api")
      const failed = yield* journal.note("store", Effect.fail(down))
      const passed = yield* journal.note("credentials", Effect.succeed({ says: "given", value: 1 }))
      yield* journal.note("lifetime", Effect.succeed({ says: "5 s", value: undefined, concern: short }))
      deepStrictEqual([failed, passed], [Option.none(), Option.some(1)])
      deepStrictEqual(yield* journal.findings, [
        Finding.Finding.Ok({ check: "credentials", says: "given" }),
        Finding.Finding.Concern({ check: "lifetime", problem: short }),
        Finding.Finding.Failed({ check: "store", problem: down }),
        Finding.Finding.Skipped({ check: "api", because: "not asked for" })
      ])
    }))

  it("the cause is the first failure, else the first concern", () => {
    const concern = Finding.Finding.Concern({ check: "lifetime", problem: short })
    const failed = Finding.Finding.Failed({ check: "store", problem: down })
    const ok = Finding.Finding.Ok({ check: "credentials", says: "given" })
    deepStrictEqual(Finding.cause([ok, concern, failed]), Option.some<Problem>(down))
    deepStrictEqual(Finding.cause([ok, concern]), Option.some<Problem>(short))
    deepStrictEqual(Finding.cause([ok]), Option.none())
    assert.strictEqual(Finding.exitCode([ok]), ExitCode.ok)
    assert.strictEqual(Finding.exitCode([failed]), ExitCode.degraded)
  })
})
