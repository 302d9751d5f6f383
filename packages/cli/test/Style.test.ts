import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as Style from "../src/Style.js"

const shows = (isTTY: boolean, environment: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(
    Style.showsColours({ isTTY }),
    ConfigProvider.fromMap(new Map(Object.entries(environment)), { pathDelim: "_" })
  )

describe("Style", () => {
  it.effect("shows colours at a terminal only, unless NO_COLOR is set or TERM is dumb", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* shows(true, { TERM: "xterm" }))
      assert.isTrue(yield* shows(true, { NO_COLOR: "" }))
      assert.isFalse(yield* shows(true, { NO_COLOR: "1" }))
      assert.isFalse(yield* shows(true, { TERM: "dumb" }))
      assert.isFalse(yield* shows(false, {}))
    }))

  it("colours a text, or leaves it unchanged", () => {
    assert.strictEqual(Style.make(true).red("no"), "\u001b[31mno\u001b[39m")
    assert.strictEqual(Style.make(false).red("no"), "no")
  })
})
