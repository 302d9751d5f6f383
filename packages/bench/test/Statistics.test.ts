import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { deviation, difference, estimate, median, quantile, ratio } from "../src/Statistics.js"

describe("Statistics", () => {
  it("the median of an even number of values lies between the two in the middle", () => {
    assert.strictEqual(median([4, 1, 3, 2]), 2.5)
    assert.strictEqual(median([3, 1, 2]), 2)
  })

  it("an empty list has no median", () => {
    assert.isNaN(median([]))
  })

  it("quantiles are interpolated between the neighbouring values", () => {
    const values = [10, 20, 30, 40, 50]
    deepStrictEqual([0, 0.25, 0.9, 1].map((share) => quantile(values, share)), [10, 20, 46, 50])
  })

  it("one outlier changes neither the median nor the noise by much", () => {
    deepStrictEqual(estimate([10, 11, 9, 10, 500]), { value: 10, noise: 1 })
    assert.strictEqual(deviation([5, 5, 5]), 0)
  })

  it("a slowdown of both sides of a round does not change the ratio", () => {
    deepStrictEqual(ratio([2, 20, 4], [1, 10, 2]), { value: 2, noise: 0 })
    deepStrictEqual(difference([2, 11, 3], [1, 10, 2]), { value: 1, noise: 0 })
  })
})
