import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as OriginList from "../../src/provider/OriginList.js"

describe("OriginList", () => {
  it("an origin is in a list once, and a list is never changed", () => {
    const one = OriginList.add(OriginList.none, "https://a.example", 3)
    const two = OriginList.add(one, "https://b.example", 3)
    assert.strictEqual(OriginList.add(two, "https://a.example", 3), two)
    deepStrictEqual([OriginList.none, one, two], [[], ["https://a.example"], [
      "https://a.example",
      "https://b.example"
    ]])
  })

  it("beyond the limit it begins anew", () => {
    const three = ["a", "b", "c"].reduce<ReadonlyArray<string>>(
      (list, name) => OriginList.add(list, name, 3),
      OriginList.none
    )
    deepStrictEqual(three, ["a", "b", "c"])
    deepStrictEqual(OriginList.add(three, "d", 3), ["d"])
  })

  it("rule 12: lists of the same one origin are one list", () => {
    assert.strictEqual(
      OriginList.add(OriginList.none, "https://a.example", 3),
      OriginList.add([], "https://a.example", 3)
    )
  })
})
