import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import * as DemoCommand from "../src/DemoCommand.js"
import * as Output from "./Output.js"

/** Longer than anything the demo says; secrets, tokens and each part of a JWT are longer still. */
const secretLike = /[\w+/=~-]{20,}/

/** Runs it, and measures the longest pause of this process's event loop, in milliseconds. */
const observed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    return Effect.map(effect, (outcome) => {
      delay.disable()
      return { ...outcome, pause: delay.max / 1e6 }
    })
  })

// The 5-second token is renewed in its last second
const tooLong = 100

describe.concurrent("demo.ts", () => {
  it.live("shows that every step succeeds, and no token or secret", () =>
    Effect.gen(function*() {
      const { result, stderr, stdout } = yield* observed(Output.of(DemoCommand.run(["--redis"]))).pipe(
        // On a machine that stalls, the demo shows other results
        Effect.repeat({ while: ({ pause, result }) => !result && pause > tooLong })
      )
      const lines = stdout.split("\n")
      assert.strictEqual(stderr, "")
      assert.include(stdout, "All 6 steps did what they should")
      assert.isTrue(result)
      assert.isEmpty(lines.filter((line) => line.length > 100))
      assert.isEmpty(lines.filter((line) => secretLike.test(line)))
      // No colours where there is no terminal
      assert.notInclude(stdout, "\u001b")
    }))

  it.live("reports errors in one sentence", () =>
    Effect.gen(function*() {
      const [unknown, missing, help] = yield* Effect.all([
        Output.of(DemoCommand.run(["--rediss"])),
        Output.of(Effect.withConfigProvider(DemoCommand.run(["--redis"]), ConfigProvider.fromMap(new Map()))),
        Output.of(DemoCommand.run(["--help"]))
      ], { concurrency: "unbounded" })
      deepStrictEqual(unknown, {
        result: false,
        stdout: "",
        stderr: "The demo does not know --rediss: it takes --store, --redis and --help.\n"
      })
      assert.match(
        missing.stderr,
        /Neither redis-server nor valkey-server is on the PATH, .*: install one of them\..* Or set REDIS_URL to the address of a server\.\n$/
      )
      deepStrictEqual({ ...missing, stderr: "" }, { result: false, stdout: "", stderr: "" })
      assert.include(help.stdout, "--store")
      deepStrictEqual({ ...help, stdout: "" }, { result: true, stdout: "", stderr: "" })
    }))
})
