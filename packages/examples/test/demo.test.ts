import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as Program from "./Program.js"

/** Longer than anything the demo says; secrets, tokens and each part of a JWT are longer still. */
const secretLike = /[\w+/=~-]{20,}/

describe("demo.ts", () => {
  it.live("shows every step as it should be, and no token or secret", () =>
    Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* Program.run("demo", { args: ["--redis"] })
      const lines = stdout.split("\n")
      assert.strictEqual(stderr, "")
      assert.include(stdout, "All 6 steps did what they should")
      assert.strictEqual(exitCode, 0)
      assert.isEmpty(lines.filter((line) => line.length > 100))
      assert.isEmpty(lines.filter((line) => secretLike.test(line)))
      // No colours where there is no terminal
      assert.notInclude(stdout, "\u001b")
    }))

  it.live("says what it cannot do in one sentence", () =>
    Effect.gen(function*() {
      const [unknown, missing, help] = yield* Effect.all([
        Program.run("demo", { args: ["--rediss"] }),
        Program.run("demo", { args: ["--redis"], env: { PATH: "", REDIS_URL: "" } }),
        Program.run("demo", { args: ["--help"] })
      ], { concurrency: "unbounded" })
      deepStrictEqual(unknown, {
        exitCode: 1,
        stdout: "",
        stderr: "The demo does not know --rediss: it takes --redis and --help.\n"
      })
      assert.match(
        missing.stderr,
        /Neither redis-server nor valkey-server is on the PATH, .* or set REDIS_URL to the address of a server\.[^\n]*\n$/
      )
      deepStrictEqual({ ...missing, stderr: "" }, { exitCode: 1, stdout: "", stderr: "" })
      assert.include(help.stdout, "--redis")
      deepStrictEqual({ ...help, stdout: "" }, { exitCode: 0, stdout: "", stderr: "" })
    }))
})
