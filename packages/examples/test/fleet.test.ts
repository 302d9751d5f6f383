import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as FleetCommand from "../src/fleet/FleetCommand.js"
import * as Output from "./Output.js"

describe("fleet.ts", () => {
  // CI plays its scenarios: npm run fleet -- start revocation crash
  it.live("reports unknown scenarios and stores in one sentence", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* Output.of(FleetCommand.run(["expired"])), {
        result: false,
        stdout: "",
        stderr: "The fleet does not play expired: it knows start, expiry, revocation, steady, crash.\n"
      })
      deepStrictEqual(yield* Output.of(FleetCommand.run(["--store", "sqlserver", "start"])), {
        result: false,
        stdout: "",
        stderr: "--store takes redis, memcached, postgres, or sqlite.\n"
      })
    }))
})
