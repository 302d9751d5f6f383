import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as Style from "../src/Style.js"

const shows = (isTTY: boolean, environment: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(
    Style.showsColours({ isTTY }),
    ConfigProvider.fromMap(new Map(Object.entries(environment)), { pathDelim: "_" })
  )

describe("Style", () => {
  it.effect("has colours at a terminal only, unless nobody wants them", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* shows(true, { TERM: "xterm" }))
      assert.isTrue(yield* shows(true, { NO_COLOR: "" }))
      assert.isFalse(yield* shows(true, { NO_COLOR: "1" }))
      assert.isFalse(yield* shows(true, { TERM: "dumb" }))
      assert.isFalse(yield* shows(false, {}))
    }))

  it("paints, or leaves a text as it is", () => {
    assert.strictEqual(Style.make(true).red("no"), "\u001b[31mno\u001b[39m")
    assert.strictEqual(Style.make(false).red("no"), "no")
  })
})
